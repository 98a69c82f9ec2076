package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDirCommit(t *testing.T) {
	parent := t.TempDir()
	d, err := Stage(parent, "out")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	if err := d.WriteFile("a", text("one")); err != nil {
		t.Fatal(err)
	}
	w, err := d.Create("b")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(); err == nil || !strings.Contains(err.Error(), "was not closed") {
		t.Errorf("commit with an open file: got %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(d.Path(), "a"))
	if err != nil || string(got) != "one" || len(names(t, parent)) != 1 {
		t.Errorf("got %q, %v beside %q", got, err, names(t, parent))
	}
	if err := d.Commit(); err == nil {
		t.Error("second commit: got no error")
	}
}

func TestDirDoesNotReplace(t *testing.T) {
	parent := t.TempDir()
	for i := range 2 {
		d, err := Stage(parent, "out")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.WriteFile("a", text("one")); err != nil {
			t.Fatal(err)
		}
		err = d.Commit()
		if i == 0 && err != nil || i == 1 && !errors.Is(err, fs.ErrExist) {
			t.Errorf("commit %d: got %v", i, err)
		}
		if err := d.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, parent); len(got) != 1 {
		t.Errorf("got %q, want out alone", got)
	}
}

func TestDirRefusesNames(t *testing.T) {
	d, err := Stage(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	for _, name := range []string{"", ".", "..", "../a", "a/b", "/etc/passwd", "a/"} {
		if _, err := d.Create(name); err == nil {
			t.Errorf("Create(%q): got no error", name)
		}
		if _, err := Stage(t.TempDir(), name); err == nil {
			t.Errorf("Stage(%q): got no error", name)
		}
	}
}

// Of several files the first that fails is told, alone.
func TestDirTellsOneFault(t *testing.T) {
	d, err := Stage(t.TempDir(), "run")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	full := func(what string) func(io.Writer) error {
		return func(io.Writer) error { return errors.New("full at " + what) }
	}
	err = d.WriteFiles(Part{Name: "a", Write: text("a")}, Part{Name: "b", Write: full("b")}, Part{Name: "c", Write: full("c")})
	if err == nil || !strings.Contains(err.Error(), "full at b") || strings.Contains(err.Error(), "full at c") {
		t.Errorf("got %v", err)
	}
}
