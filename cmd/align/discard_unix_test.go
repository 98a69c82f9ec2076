//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"align/internal/atomicfile"
)

// A signal during a write leaves no temporary file, and ends with its code.
func TestASignalDiscardsWhatIsHalfWritten(t *testing.T) {
	dir := t.TempDir()
	codes := make(chan int, 1)
	release := discardOnSignal(func(code int) { codes <- code })
	defer release()
	atomicfile.WriteFile(filepath.Join(dir, "model.gguf"), func(io.Writer) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case code := <-codes:
			if code != exitTerminated {
				t.Errorf("left with %d, want %d", code, exitTerminated)
			}
		case <-time.After(time.Minute):
			t.Error("the signal was not taken")
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("left %v, %v", left, err)
		}
		return nil
	})
}
