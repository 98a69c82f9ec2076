package rounds_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"align/align"
	"align/internal/train"
)

// writeLines writes values as lines of JSON and returns the file.
func writeLines[T any](t *testing.T, name string, values []T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := json.NewEncoder(f)
	for _, v := range values {
		if err := lines.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// recorder keeps the losses of a job's steps, and may stop it.
type recorder struct {
	losses []float64
	stop   train.Stop
	stopAt int
}

func (r *recorder) Stepped(e train.Event) {
	if e.Evaluation {
		return
	}
	r.losses = append(r.losses, e.Loss)
	if e.Step == r.stopAt {
		r.stop.Ask(train.Interrupt)
	}
}
func (r *recorder) Saved(string, int) {}

func (r *recorder) environment(t *testing.T) align.Environment {
	return align.Environment{Report: r, Stop: &r.stop, CacheDir: t.TempDir()}
}
