package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a kill within Save or Retain left goes, and nothing else does.
func TestSweep(t *testing.T) {
	run := t.TempDir()
	save(t, run, 1)
	dir := filepath.Join(run, "checkpoints")
	for _, name := range []string{".trash-step-000001.ABC", ".step-000002.tmp-ABC", "notes"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := Sweep(run); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "notes" || entries[1].Name() != "step-000001" {
		t.Errorf("left %v, %v", entries, err)
	}
}

func TestRetain(t *testing.T) {
	tests := []struct {
		name    string
		keep    int
		protect []int
		damage  func(t *testing.T, dir string)
		want    string
	}{
		{"newest two", 2, nil, nil, "4 5"},
		{"more than there are", 9, nil, nil, "1 2 3 4 5"},
		{"best is protected", 1, []int{2}, nil, "2 5"},
		{"a broken one is left and does not count", 2, nil, func(t *testing.T, dir string) {
			flip(t, filepath.Join(dir, stepName(5), "state.json"))
		}, "3 4 5"},
		{"all but one broken", 1, nil, func(t *testing.T, dir string) {
			for _, step := range []int{2, 3, 4, 5} {
				flip(t, filepath.Join(dir, stepName(step), "state.json"))
			}
		}, "1 2 3 4 5"},
		{"a foreign file saves its folder", 1, nil, func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, stepName(2), "notes.txt"), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}, "2 5"},
	}
	for _, tt := range tests {
		run := t.TempDir()
		save(t, run, 1, 2, 3, 4, 5)
		if tt.damage != nil {
			tt.damage(t, filepath.Join(run, folder))
		}
		if err := Retain(run, tt.keep, tt.protect...); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		got := strings.Join(list(t, run), " ")
		if got = strings.ReplaceAll(got, "step-00000", ""); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// flip changes a byte and keeps the size.
func flip(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[0] ^= 1
	if err := os.WriteFile(path, raw, 0o666); err != nil {
		t.Fatal(err)
	}
}

// Retain clears its own leftovers and nothing that it did not make.
func TestRetainLeavesForeign(t *testing.T) {
	run := t.TempDir()
	save(t, run, 1)
	for _, name := range []string{".step-000002.tmp-ABCDEFGH", ".trash-step-000003.ABCDEFGH", "notes", ".git", "step-2", "step-000009"} {
		if err := os.MkdirAll(filepath.Join(run, folder, name, "x"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := Retain(run, 1); err != nil {
		t.Fatal(err)
	}
	want := []string{".git", "notes", "step-000001", "step-000009", "step-2"}
	if got := list(t, run); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A replaced checkpoint that a crash left goes once its successor is whole, and
// stays while it is not.
func TestRetainReplaced(t *testing.T) {
	for _, broken := range []bool{false, true} {
		run := t.TempDir()
		save(t, run, 3)
		dir := filepath.Join(run, folder)
		if err := os.Rename(filepath.Join(dir, stepName(3)), filepath.Join(dir, ".replaced-step-000003.ABCDEFGH")); err != nil {
			t.Fatal(err)
		}
		save(t, run, 3)
		if broken {
			flip(t, filepath.Join(dir, stepName(3), "state.json"))
		}
		if err := Retain(run, 1); err != nil {
			t.Fatal(err)
		}
		if c, err := Open(run); err != nil || !holds(c, 3) {
			t.Errorf("broken %v: %v", broken, err)
		}
		if got := len(list(t, run)) == 2; got != broken {
			t.Errorf("broken %v: got %q", broken, list(t, run))
		}
	}
}

func TestRetainRefuses(t *testing.T) {
	if err := Retain(t.TempDir(), 0); err == nil || !strings.Contains(err.Error(), "at least 1, got 0") {
		t.Errorf("got %v", err)
	}
}
