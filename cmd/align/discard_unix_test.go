//go:build unix

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// Every command that writes a folder or a file at its end leaves nothing of it
// where a signal comes while it writes.
func TestASignalLeavesNothingOfAResult(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the program some dozen times")
	}
	t.Chdir(t.TempDir())
	t.Setenv("ALIGN_CACHE", "cache")
	t.Setenv(mainSwitch, "1")
	if err := os.WriteFile("data.jsonl", []byte(`{"prompt": "Who is Tom?", "completion": "Tom is a boy."}`), 0o600); err != nil {
		t.Fatal(err)
	}
	align := func(words string) *exec.Cmd { return exec.Command(os.Args[0], strings.Fields(words)...) }
	if out, err := align("sft --data data.jsonl --steps 1 --rank 128 --eval-fraction 0 --out run").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, words := range []string{
		"average run run --out new/out", "tokenizer train --data data.jsonl --vocab-size 264 --out new/out",
		"export run --format peft --out new/out", "report run --out new/out", "bench make-model --out new/out",
	} {
		hit := false
		for try := 0; try < 200 && !hit; try++ {
			hit = endedWhileWriting(t, align(words))
		}
		if left, err := os.ReadDir("new"); err == nil {
			t.Errorf("%s: left %v", words, left)
			os.RemoveAll("new")
		}
		if !hit {
			t.Errorf("%s: no signal came while it wrote", words)
		}
	}
}

// endedWhileWriting sends c a signal as soon as something lies in the folder new,
// and says whether that was before the result was whole, which is then taken away.
func endedWhileWriting(t *testing.T, c *exec.Cmd) bool {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		select {
		case err := <-ended:
			_, whole := os.Lstat("new/out")
			if exit := new(exec.ExitError); errors.As(err, &exit) && whole != nil {
				if exit.ExitCode() != exitTerminated {
					t.Errorf("%v: exit code %d, want %d", c.Args[1:], exit.ExitCode(), exitTerminated)
				}
				return true
			}
			os.RemoveAll("new")
			return false
		default:
		}
		if left, err := os.ReadDir("new"); err == nil && len(left) > 0 {
			_ = c.Process.Signal(syscall.SIGTERM)
		}
	}
}
