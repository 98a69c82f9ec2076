package atomicfile

import (
	"os"
	"strings"
	"testing"
)

// Folders that were made and not used go again, those that were there stay.
func TestFoldersAreRemoved(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct{ name, there, dir, file, left string }{
		{"all", ".", "a/b/c", "", ""},
		{"but what was there", "d", "d/e", "", "d"},
		{"but what is used", ".", "f/g/h", "f/x", "f"},
		{"a folder itself", "i", "i", "", "i"},
	} {
		if err := os.MkdirAll(tt.there, 0o755); err != nil {
			t.Fatal(err)
		}
		made, err := MakeFolders(tt.dir)
		if err != nil {
			t.Fatal(err)
		}
		if tt.file != "" {
			if err := os.WriteFile(tt.file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		made.Remove()
		top, _, _ := strings.Cut(tt.dir, "/")
		if there(tt.dir) && tt.dir != tt.left || there(top) != (tt.left == top) {
			t.Errorf("%s: %s is there: %v, %s: %v", tt.name, tt.dir, there(tt.dir), top, there(top))
		}
	}
}

// A signal takes them away as long as nothing was written there.
func TestDiscardRemovesFolders(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"empty/a/b", "used/a/b"} {
		made, err := MakeFolders(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer made.Remove()
	}
	if err := os.WriteFile("used/a/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	Discard()()
	if there("empty") || !there("used/a") || there("used/a/b") {
		t.Errorf("empty is there: %v, used/a: %v, used/a/b: %v", there("empty"), there("used/a"), there("used/a/b"))
	}
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
