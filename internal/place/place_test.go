package place_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/place"
)

// A name that cannot be one is refused with what is wrong about it, and a look at one
// leaves nothing behind.
func TestFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"-": "is no name", "~/run": "only a shell reads ~", "file": "exists: want a new name", filepath.Join("file", "run"): "out: file is a file",
	} {
		if path, err := place.Folder(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v, want an error with %q", name, path, err, want)
		}
	}
	if path, err := place.Folder(filepath.Join("a", "b", "..", "c")); err != nil || path != filepath.Join("a", "c") {
		t.Errorf("%q, %v", path, err)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 1 {
		t.Errorf("%d names lie there, want the file alone (%v)", len(files), err)
	}
}

// The folders above a result are made, and go where nothing came of it.
func TestMakeAbove(t *testing.T) {
	t.Chdir(t.TempDir())
	path := filepath.Join("a", "b", "out.gguf")
	if err := place.CheckFileName(path); err != nil {
		t.Fatal(err)
	}
	made, err := place.MakeAbove(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := place.CheckFileName(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), "is the name of a folder") {
		t.Errorf("a folder as a file: %v", err)
	}
	made.Remove()
	if _, err := os.Stat("a"); !os.IsNotExist(err) {
		t.Errorf("what was made is still there: %v", err)
	}
}
