package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// What is half-written is gone after Discard, what is whole stays, and who was
// writing gets an error.
func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	if err := WriteFile(whole, func(w io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	kept, err := Stage(dir, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.Commit(); err != nil {
		t.Fatal(err)
	}
	staged, err := Stage(dir, "folder")
	if err != nil {
		t.Fatal(err)
	}
	var goOn func()
	err = WriteFile(filepath.Join(dir, "file"), func(w io.Writer) error {
		goOn = Discard()
		return nil
	})
	if err == nil || staged.Commit() == nil {
		t.Error("what was discarded is written")
	}
	late := WriteFile(filepath.Join(dir, "late"), func(w io.Writer) error { return nil })
	_, lateDir := Stage(dir, "late")
	_, lateFolders := MakeFolders(filepath.Join(dir, "late", "one"))
	for _, err := range []error{late, lateDir, lateFolders} {
		if !errors.Is(err, errOver) {
			t.Errorf("what begins after a signal: error %v, want %v", err, errOver)
		}
	}
	goOn()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "kept" || entries[1].Name() != "whole" {
		t.Errorf("left %v, %v, want kept and whole", entries, err)
	}
	if len(underway.names) != 1 { // staged, which is neither committed nor aborted
		t.Errorf("underway: %v", underway.names)
	}
	if err := staged.Abort(); err != nil || len(underway.names) != 0 {
		t.Errorf("after the abort: %v, %v", underway.names, err)
	}
}
