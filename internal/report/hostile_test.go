package report

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A run that was killed as it wrote a line has a page of what it had written.
func TestALineThatIsNotWholeIsNotRead(t *testing.T) {
	r := &Run{series: map[string][]point{}}
	if err := r.readMetrics([]byte("{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"lo")); err != nil || len(r.series["loss"]) != 1 {
		t.Errorf("%v, %v", r.series, err)
	}
}

// A page is made of whatever lies in a run's files, or an error.
func FuzzRun(f *testing.F) {
	f.Add([]byte("{\"step\":1,\"loss\":0.5,\"learning_rate\":1e-3}\n{\"step\":1,\"eval_loss\":1e308}\n"), []byte("learning_rate: \"<b>\"\n"), []byte(`[{"prompt":"a","before":"b","after":"c"}]`))
	f.Add([]byte("{\"step\":2147483646,\"loss\":-1e308}\n{\"step\":0,\"loss\":1e308}\n"), []byte("a: b"), []byte(`null`))
	f.Add([]byte("{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"lo"), []byte(""), []byte(`[`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, metrics, settings, samples []byte) {
		for name, data := range map[string][]byte{"metrics.jsonl": metrics, settingsFile: settings, SamplesFile: samples} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Read(dir)
		if err != nil {
			return
		}
		if err := Write(io.Discard, []*Run{r}); err != nil {
			t.Error(err)
		}
	})
}
