package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/checkpoint"
	"align/internal/train"
)

// A run is shown by its newest valid checkpoint; a damaged one is named with
// its fault.
func TestInspectRun(t *testing.T) {
	run := t.TempDir()
	for step, state := range map[int]string{
		3: `{"version":1,"method":"dpo","step":3,"steps":9,"num_tokens":77,"lineage":{"model":"abc"}}`,
		6: `{"version":1,"method":"dpo","step":6,"steps":9}`,
	} {
		_, err := checkpoint.Save(run, step, []checkpoint.Part{{Name: train.StateFile, Write: func(w io.Writer) error {
			_, err := io.WriteString(w, state)
			return err
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(run, "checkpoints", "step-000006", train.StateFile), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, out, errs := testStreams("")
	if code := runArgs(s, "inspect", run); code != exitDone {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"step               3\n", "method             dpo\n", "num tokens         77\n", "state.json, ", "step-000006: ", "model: abc\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

func runArgs(s *streams, args ...string) int { return run(args, s) }
