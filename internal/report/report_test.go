package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/report"
)

// writeRun makes the folder of a run of some steps.
func writeRun(t *testing.T, name string, steps int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	var metrics strings.Builder
	for i := range steps + 1 {
		if i > 0 {
			fmt.Fprintf(&metrics, `{"v":1,"step":%d,"loss":%v,"grad_norm":null,"num_tokens":%d,"epoch":0.5,"rewards/margins":%v}`+"\n", i, math.Exp(-float64(i)/50), i, math.Sin(float64(i)))
		}
		if i%10 == 0 {
			fmt.Fprintf(&metrics, `{"v":1,"step":%d,"num_tokens":%d,"epoch":0.5,"eval_loss":%v}`+"\n", i, i, 1-float64(i)/1000)
		}
	}
	for file, text := range map[string]string{
		"metrics.jsonl":    metrics.String(),
		"run.yaml":         "model: builtin:tiny\nlearning_rate: 5e-06\npairs: \"a & <b>.jsonl\"\nout: " + name + "\n",
		"verdict.json":     `{"better":"yes","step":100,"examples":20,"start":1,"end":0.9,"low":-0.2,"high":-0.05}`,
		"samples.json":     `[{"prompt":"Say <script>alert(1)</script> & go.","before":"No.","after":"Yes, with \"pleasure\"."}]`,
		"quarantine.jsonl": "{}\n{}\n",
	} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, folders ...string) (path, page string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), report.File)
	if err := report.WriteFile(path, folders...); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(data)
}

// wellFormed counts the elements of a page that is XML.
func wellFormed(t *testing.T, page string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(page)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return count
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
}

func TestPageOfOneRun(t *testing.T) {
	_, page := write(t, writeRun(t, "dpo-001", 100))
	count := wellFormed(t, page)
	if count["script"] != 0 || count["svg"] != 2 || count["polyline"] != 5 || count["circle"] != 11 {
		t.Errorf("elements %v", count)
	}
	for _, want := range []string{
		"<h1>dpo-001</h1>", "better than its start: yes", "learning_rate", "a &amp; &lt;b&gt;.jsonl", "2, each with its reason",
		"eval_loss 0.99 (step 10)", "Say &lt;script&gt;", "rewards/margins",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, not := range []string{"NaN", "ZgotmplZ", "src=", "@import", "url("} {
		if strings.Contains(page, not) {
			t.Errorf("the page holds %q", not)
		}
	}
}

func TestRunsAreLaidOver(t *testing.T) {
	_, page := write(t, writeRun(t, "first", 100), writeRun(t, "second", 3000))
	if count := wellFormed(t, page); count["svg"] != 2 || count["polyline"] != 10 {
		t.Errorf("elements %v", count)
	}
	for _, want := range []string{"Settings that differ", "first, second", "second loss "} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if len(page) > 400_000 {
		t.Errorf("%d bytes: the curves are not thinned", len(page))
	}
}

func TestShortestRuns(t *testing.T) {
	for _, steps := range []int{0, 1, 2} {
		_, page := write(t, writeRun(t, "short", steps))
		wellFormed(t, page)
		if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
			t.Errorf("%d steps: a number is not finite", steps)
		}
	}
}

func TestReadTellsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if _, err := report.Read(dir); err == nil || !strings.Contains(err.Error(), "is no run") {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "metrics.jsonl"), []byte("{\"step\":1}\n{\"step\":\"x\"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := report.Read(dir); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a broken line: %v", err)
	}
}

// TestPageInABrowser opens the page where Chromium is installed: it must lay
// out all curves and log no error.
func TestPageInABrowser(t *testing.T) {
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("Chromium is not installed")
	}
	path, _ := write(t, writeRun(t, "dpo-001", 100))
	var complaints bytes.Buffer
	c := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(), "--enable-logging=stderr", "--dump-dom", "file://"+path)
	c.Stderr = &complaints
	dom, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	if strings.Count(string(dom), "<polyline") != 5 || strings.Contains(complaints.String(), "CONSOLE") {
		t.Errorf("%d curves in the browser, want 5; it says %s", strings.Count(string(dom), "<polyline"), complaints.String())
	}
}
