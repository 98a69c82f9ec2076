package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// parts is a checkpoint of three files whose content tells the step.
func parts(step int) []Part {
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	return []Part{
		{"state.json", text(fmt.Sprintf(`{"step":%d}`, step))},
		{"adapter_model.safetensors", text(strings.Repeat(fmt.Sprintf("weights %d ", step), 1000))},
		{"optimizer.safetensors", text(strings.Repeat(fmt.Sprintf("moments %d ", step), 1000))},
	}
}

func save(t testing.TB, run string, steps ...int) {
	t.Helper()
	for _, step := range steps {
		if _, err := Save(run, step, parts(step)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkStep reads all files of c and compares them with what parts wrote.
func checkStep(t testing.TB, c *Checkpoint, step int) {
	t.Helper()
	if c.Step != step {
		t.Errorf("got step %d, want %d", c.Step, step)
	}
	for _, p := range parts(step) {
		var want strings.Builder
		p.Write(&want)
		got, err := c.ReadFile(p.Name)
		if err != nil || string(got) != want.String() {
			t.Errorf("%s: got %d bytes, %v, want %d", p.Name, len(got), err, want.Len())
		}
	}
}

func TestSaveAndOpen(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	save(t, run, 10, 20, 100)
	c, err := Open(run)
	if err != nil {
		t.Fatal(err)
	}
	checkStep(t, c, 100)
	if want := filepath.Join(run, "checkpoints", "step-000100"); c.Path != want || len(c.Rejected) != 0 {
		t.Errorf("got %s, rejected %v, want %s", c.Path, c.Rejected, want)
	}
	older, err := Open(filepath.Join(run, "checkpoints", "step-000010"))
	if err != nil {
		t.Fatal(err)
	}
	checkStep(t, older, 10)
	if !older.Has("state.json") || older.Has("heads.safetensors") || older.Has(manifestName) || len(older.Files()) != 3 {
		t.Errorf("got files %+v", older.Files())
	}
	if _, err := older.ReadFile("heads.safetensors"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: got %v", err)
	}
	f, err := older.Open("state.json")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// A file is peeked at in the newest checkpoint that has it whole.
func TestPeek(t *testing.T) {
	run := t.TempDir()
	if _, err := Peek(run, "state.json"); err == nil {
		t.Error("a run without checkpoints: no error")
	}
	save(t, run, 1, 2)
	file := func(step, name string) string { return filepath.Join(run, folder, step, name) }
	for _, tt := range []struct{ name, broken, want string }{
		{"newest", "", `{"step":2}`},
		{"another file's content is not read", file("step-000002", "optimizer.safetensors"), `{"step":2}`},
		{"its own is", file("step-000002", "state.json"), `{"step":1}`},
		{"none", file("step-000001", "state.json"), ""},
	} {
		if tt.broken != "" {
			data, err := os.ReadFile(tt.broken)
			if err != nil {
				t.Fatal(err)
			}
			data[0] ^= 1
			if err := os.WriteFile(tt.broken, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Peek(run, "state.json")
		if string(got) != tt.want || errors.Is(err, ErrNone) != (tt.want == "") {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// A checkpoint that was copied elsewhere under another name opens.
func TestOpenCopy(t *testing.T) {
	run, copied := t.TempDir(), filepath.Join(t.TempDir(), "best")
	save(t, run, 7)
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(run, folder, "step-000007"))); err != nil {
		t.Fatal(err)
	}
	c, err := Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	checkStep(t, c, 7)
}

func TestSaveReplacesSameStep(t *testing.T) {
	run := t.TempDir()
	save(t, run, 5)
	if _, err := Save(run, 5, parts(6)); err != nil { // other content under the same step
		t.Fatal(err)
	}
	c, err := Open(run)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.ReadFile("state.json")
	if err != nil || string(got) != `{"step":6}` {
		t.Errorf("got %s, %v", got, err)
	}
	if left := list(t, run); !slices.Equal(left, []string{"step-000005"}) {
		t.Errorf("got %q", left)
	}
}

func list(t testing.TB, run string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(run, folder))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestSaveRefuses(t *testing.T) {
	nothing := func(io.Writer) error { return nil }
	boom := errors.New("boom")
	tests := []struct {
		name  string
		step  int
		parts []Part
		want  string
	}{
		{"negative step", -1, nil, "step -1 is outside"},
		{"manifest", 1, []Part{{manifestName, nothing}}, "manifest's own name"},
		{"path", 1, []Part{{"../x", nothing}}, "not a plain file name"},
		{"twice", 1, []Part{{"a", nothing}, {"a", nothing}}, `two files are called "a"`},
		{"writer fails", 1, []Part{{"a", func(io.Writer) error { return boom }}}, "step 1: boom"},
	}
	for _, tt := range tests {
		run := t.TempDir()
		_, err := Save(run, tt.step, tt.parts)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if _, err := os.Stat(filepath.Join(run, folder)); err == nil && len(list(t, run)) != 0 {
			t.Errorf("%s: left %q", tt.name, list(t, run))
		}
	}
}

func TestOpenNone(t *testing.T) {
	run := t.TempDir()
	if _, err := Open(filepath.Join(run, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
	if _, err := Open(run); err == nil || !strings.Contains(err.Error(), "MANIFEST.json is missing") {
		t.Errorf("empty folder: got %v", err)
	}
	if err := os.Mkdir(filepath.Join(run, folder), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(run); !errors.Is(err, ErrNone) {
		t.Errorf("empty run: got %v", err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]int{"step-000000": 0, "step-000123": 123, "step-1234567": 1234567} {
		if got, ok := parseStep(name); !ok || got != want || stepName(got) != name {
			t.Errorf("%s: got %d, %v", name, got, ok)
		}
	}
	for _, name := range []string{"step-", "step-1", "step-+00001", "step-0001234", "step-12345678901", "step-00012a", "Step-000123", "epoch-000001"} {
		if _, ok := parseStep(name); ok {
			t.Errorf("%s is taken for a step", name)
		}
	}
	for _, name := range []string{".trash-step-000001.ABC", ".trash-.replaced-step-000001.AB.CD", ".step-000001.tmp-ABC"} {
		if !isLeftover(name) {
			t.Errorf("%s is not taken for a leftover", name)
		}
	}
	for _, name := range []string{"step-000001", ".trash-notes.txt", ".step-1.tmp-A", ".git", "step-000001.tmp-A", ".replaced-step-000001.AB"} {
		if isLeftover(name) {
			t.Errorf("%s is taken for a leftover", name)
		}
	}
}

func TestHashFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "abc")
	if err := os.WriteFile(path, []byte("abc"), 0o666); err != nil {
		t.Fatal(err)
	}
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, B.1
	if got, err := HashFile(t.Context(), path); got != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// What is asked to end while it hashes ends, and rejects no checkpoint for it.
func TestHashingEndsWhenAsked(t *testing.T) {
	run := t.TempDir()
	path, err := Save(run, 3, parts(3))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := HashFile(ctx, filepath.Join(path, "state.json")); !errors.Is(err, context.Canceled) {
		t.Errorf("HashFile: %v", err)
	}
	for _, name := range []string{run, path} {
		if _, err := OpenUntil(ctx, name); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNone) {
			t.Errorf("OpenUntil(%s): %v", name, err)
		}
	}
}
