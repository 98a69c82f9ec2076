package crashfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestImages(t *testing.T) {
	f := New("/d")
	w, err := f.Create("/d/a")
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("sure"))
	w.Sync()
	w.Write([]byte("loose!"))
	tests := []struct {
		name string
		mode Mode
		want string
	}{
		{"kept", Mode{Kept, 1}, "sureloose!"},
		{"dropped", Mode{Dropped, 1}, "sure"},
		{"cut", Mode{Cut, 1}, "sureloo"},
		{"torn", Mode{Torn512, 1}, "sure\x00\x00\x00\x00\x00\x00"},
	}
	for _, tt := range tests {
		if got := string(f.Crash(f.Ops(), tt.mode)["a"]); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := f.Crash(f.Ops(), Mode{Kept, 0}); len(got) != 0 {
		t.Errorf("unsynced name: got %q, want none", got)
	}
	f.SyncDir("/d")
	if got := f.Crash(f.Ops(), Mode{Kept, 0}); len(got) != 1 {
		t.Errorf("synced name: got %q, want a", got)
	}
}

func TestErrorsAsTheSystem(t *testing.T) {
	f := New("/d")
	f.Mkdir("/d/full")
	f.Create("/d/full/x")
	f.Mkdir("/d/other")
	if err := f.Mkdir("/d/full"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("mkdir: got %v", err)
	}
	if err := f.Rename("/d/other", "/d/full"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("rename onto a full folder: got %v", err)
	}
	if err := f.Rename("/d/none", "/d/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rename of nothing: got %v", err)
	}
	if _, err := f.Create("/d/none/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create in nothing: got %v", err)
	}
}

func TestLoadAndWrite(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	os.Mkdir(filepath.Join(dir, "sub"), 0o777)
	os.WriteFile(filepath.Join(dir, "sub", "a"), []byte("hello"), 0o666)
	f, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.RemoveAll(filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	if err := f.Crash(0, Mode{}).Write(out); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(out, "sub", "a"))
	if err != nil || string(got) != "hello" || f.Exists(filepath.Join(dir, "sub")) {
		t.Errorf("got %q, %v", got, err)
	}
}
