package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// names lists a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWriteFileReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.txt")
	for _, want := range []string{"old", "new and longer", "", strings.Repeat("x", 3*bufferSize+1)} {
		if err := WriteFile(path, text(want)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Fatalf("got %d bytes, %v, want %d", len(got), err, len(want))
		}
	}
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("folder holds %q, want a.txt alone", got)
	}
}

// A failed write leaves the old file and nothing beside it.
func TestWriteFileFailureLeavesOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.txt")
	if err := WriteFile(path, text("old")); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := WriteFile(path, func(w io.Writer) error {
		io.WriteString(w, "half")
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	func() {
		defer func() { recover() }()
		WriteFile(path, func(io.Writer) error { panic("in the writer") })
	}()
	got, _ := os.ReadFile(path)
	if string(got) != "old" || len(names(t, filepath.Dir(path))) != 1 {
		t.Errorf("got %q beside %q, want old alone", got, names(t, filepath.Dir(path)))
	}
}

func TestWriteFileRefusesOtherKinds(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("target", link); err != nil {
		t.Skip("no symbolic links here")
	}
	for path, want := range map[string]string{dir: "is a folder", link: "is a symbolic link", os.DevNull: "is a device"} {
		err := WriteFile(path, text("x"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if err := WriteFile(filepath.Join(dir, "none", "a"), text("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: got %v", err)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	names := []string{filepath.Base(tempName("a.jsonl")), "a.jsonl", ".lock", ".a.tmp-short", "a.tmp-K5QJ2ZWX"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	staged := filepath.Base(tempName("step"))
	if err := os.Mkdir(filepath.Join(dir, staged), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	for i, name := range append(names, staged) {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != (i > 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIsTemp(t *testing.T) {
	base := filepath.Base(tempName("/a/model.gguf"))
	if !IsTemp(base, "model.gguf") || IsTemp(base, "model") || IsTemp("model.gguf", "model.gguf") {
		t.Errorf("IsTemp does not recognise %q", base)
	}
}
