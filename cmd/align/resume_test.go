//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"align/internal/fixture"
)

// stopSteps is far more than a run makes between its seventh line and the
// signal that the line brings, on a busy machine too.
const stopSteps = "150"

// A run that a signal stops says where it saved and how to go on; resumed to
// the end it leaves the bytes of a run that was never stopped.
func TestStopAndResume(t *testing.T) {
	shared := fixture.Find(t)
	if shared == "" {
		t.Skip("the model is in the shared folder, which is not there")
	}
	for _, tc := range []struct {
		method, data string
		signal       syscall.Signal
		code         int
	}{
		{"sft", `{"prompt": "Question %d?", "completion": "Once upon a time there were %d cats."}`, syscall.SIGTERM, exitTerminated},
		{"dpo", `{"prompt": "Question %d?", "chosen": "There were %d cats.", "rejected": "No."}`, syscall.SIGINT, exitInterrupted},
	} {
		t.Run(tc.method, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var data strings.Builder
			for i := range 24 {
				fmt.Fprintf(&data, tc.data+"\n", i, i)
			}
			file := filepath.Join(dir, "data.jsonl")
			if err := os.WriteFile(file, []byte(data.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			source := map[string]string{"sft": "--data", "dpo": "--pairs"}[tc.method]
			args := []string{tc.method, "--model", filepath.Join(shared, "data", "stories260K-chat"), source, file, "--steps", stopSteps, "--batch", "2", "--json"}
			whole, parts := filepath.Join(dir, "whole"), filepath.Join(dir, "parts")
			runProcess(t, dir, 0, nil, exitDone, append(args, "--out", whole)...)
			stderr := runProcess(t, dir, tc.signal, []byte(`"step":7,`), tc.code, append(args, "--out", parts)...)
			if !strings.Contains(stderr, "align: hint: go on with --resume --out "+parts) {
				t.Errorf("stderr does not say how to go on:\n%s", stderr)
			}
			runProcess(t, dir, 0, nil, exitDone, tc.method, "--resume", "--out", parts, "--json")
			compareFolders(t, whole, parts)
		})
	}
}

// runProcess runs the program and, when a line of its output holds mark, sends
// it a signal. It returns what was written to stderr.
func runProcess(t *testing.T, dir string, signal syscall.Signal, mark []byte, wantCode int, args ...string) string {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), mainSwitch+"=1", "ALIGN_CACHE="+filepath.Join(dir, "cache"))
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if mark != nil && bytes.Contains(lines.Bytes(), mark) {
			mark = nil
			if err := c.Process.Signal(signal); err != nil {
				t.Error(err)
			}
		}
	}
	code := 0
	var exit *exec.ExitError
	if err := c.Wait(); errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if code != wantCode {
		t.Fatalf("%v: exit %d, want %d:\n%s", args, code, wantCode, stderr.String())
	}
	return stderr.String()
}

// compareFolders compares metrics and the last checkpoint, byte by byte.
func compareFolders(t *testing.T, want, got string) {
	t.Helper()
	names := []string{"metrics.jsonl"}
	last := filepath.Join(want, "checkpoints", "step-000"+stopSteps)
	err := filepath.WalkDir(last, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(want, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		a, errA := os.ReadFile(filepath.Join(want, name))
		b, errB := os.ReadFile(filepath.Join(got, name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from that of the run that was not stopped (%v, %v)", name, errA, errB)
		}
	}
}
