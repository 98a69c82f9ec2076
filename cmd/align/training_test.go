package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"align/align"
	"align/dpo"
	"align/internal/runfolder"
	"align/internal/train"
	"align/sft"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// runDPO runs `align dpo args` with an engine that keeps what reaches it.
func runDPO(t *testing.T, ended train.Request, args ...string) (got dpo.Config, explicit []string, code int, stdout, stderr string) {
	t.Helper()
	io, out, errs := testStreams("")
	root := newRootCommand(io)
	replace(root, newDPOCommand(io, func(_ context.Context, c dpo.Config, keys []string, e align.Environment) (align.Result, error) {
		got, explicit = c, keys
		e.Note("8 pairs a step")
		e.Progress("loading the model", 1, 2)
		e.Progress("loading the model", 2, 2)
		e.Report.Stepped(train.Event{Step: 1, Steps: 1, Loss: 0.5})
		return align.Result{Run: "runs/dpo-001", Result: train.Result{Step: 1, Checkpoint: "runs/dpo-001/checkpoints/step-000001", Ended: ended}}, nil
	}))
	replace(root, newSFTCommand(io, func(_ context.Context, c sft.Config, _ []string, _ align.Environment) (align.Result, error) {
		t.Errorf("align sft ran with %+v", c)
		return align.Result{}, nil
	}))
	root.SetArgs(append([]string{"dpo"}, args...))
	code = report(io, root.Execute())
	return got, explicit, code, out.String(), errs.String()
}

// replace puts c in the place of the command of its name.
func replace(root, c *cobra.Command) {
	for _, old := range root.Commands() {
		if old.Name() == c.Name() {
			root.RemoveCommand(old)
		}
	}
	root.AddCommand(c)
}

func TestDefaultsThenFileThenFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dpo.yaml")
	if err := os.WriteFile(file, []byte("model: m\npairs: p.jsonl\nbeta: 0.3\nbatch: 8\npacking: off\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, explicit, code, _, stderr := runDPO(t, train.Continue, "--config", file, "--beta", "0.2", "--lr", "1e-5", "--max_length=77")
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	want := dpo.DefaultConfig()
	want.Model, want.Pairs, want.Batch, want.Packing = "m", "p.jsonl", 8, false
	want.Beta, want.LearningRate, want.MaxLength = 0.2, 1e-5, 77
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	slices.Sort(explicit)
	if want := []string{"batch", "beta", "beta", "learning_rate", "max_length", "model", "packing", "pairs"}; !slices.Equal(explicit, want) {
		t.Errorf("explicit %v, want %v", explicit, want)
	}
}

// What `align init` prints is a config that changes nothing.
func TestInitIsTheDefault(t *testing.T) {
	io, out, _ := testStreams("")
	root := newRootCommand(io)
	root.SetArgs([]string{"init", "dpo"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dpo.yaml")
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	got, _, code, _, stderr := runDPO(t, train.Continue, "--config", file, "--model", "m", "--pairs", "p")
	want := dpo.DefaultConfig()
	want.Model, want.Pairs = "m", "p"
	if code != exitDone || !cmp.Equal(got, want) {
		t.Errorf("exit %d: %s\n%s", code, stderr, cmp.Diff(want, got))
	}
}

// A resumed run takes the settings that it wrote, and flags over them.
func TestResumeTakesTheRunsSettings(t *testing.T) {
	run := t.TempDir()
	if err := os.WriteFile(filepath.Join(run, runfolder.SettingsFile), []byte("model: m\npairs: p\nbeta: 0.7\nthreads: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, _, code, _, stderr := runDPO(t, train.Continue, "--resume", "--out", run, "--threads", "2")
	want := dpo.DefaultConfig()
	want.Model, want.Pairs, want.Beta, want.Threads, want.Out, want.Resume = "m", "p", 0.7, 2, run, true
	if code != exitDone || !cmp.Equal(got, want) {
		t.Errorf("exit %d: %s\n%s", code, stderr, cmp.Diff(want, got))
	}
}

func TestEverySettingIsDescribedOnce(t *testing.T) {
	for _, method := range methods() {
		for _, f := range defaultFields(method) {
			n := 0
			for _, s := range settings {
				if s.key == f.Key {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s: key %q is described %d times, want once", method, f.Key, n)
			}
		}
	}
}

func TestAFullDiskIsToldWithTheWayOn(t *testing.T) {
	full := fmt.Errorf("checkpoint: %w", &fs.PathError{Op: "write", Path: "run/x", Err: syscall.ENOSPC})
	io, _, stderr := testStreams("")
	if code := report(io, spaceHint(full, "run")); code != exitFailed || !strings.Contains(stderr.String(), "align: hint: make room, then go on with --resume --out run; --keep 1") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if err := spaceHint(full, ""); err != error(full) {
		t.Errorf("without a run: %v", err)
	}
	job := t.TempDir()
	if err := roomHint(full, job, "run.yaml"); err != error(full) {
		t.Errorf("a job that has not begun: %v", err)
	}
	if err := os.WriteFile(filepath.Join(job, "run.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := hintOf(roomHint(full, job, "run.yaml")); got != "make room, then go on with --resume --out "+job {
		t.Errorf("a job: hint %q", got)
	}
}

func TestWrongUseOfATrainingCommand(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want []string
	}{
		{"unknown flag", []string{"--betta", "1"}, []string{"align: unknown flag --betta, did you mean --beta"}},
		{"a flag of another tool", []string{"--lora-r", "8"}, []string{"align: unknown flag --lora-r: use --rank"}},
		{"one dash", []string{"-lr", "1e-5"}, []string{"align: unknown flag -lr: flags have two dashes, --lr"}},
		{"a letter", []string{"-m", "x"}, []string{"align: unknown flag -m: flags have two dashes and whole names"}},
		{"numbers beyond any run", []string{"--model", "m", "--pairs", "p", "--batch", "1000000000000", "--epochs", "1e300", "--threads", "100000", "--steps", "5000000000"}, []string{
			"align: batch must be at most 1048576, got 1e+12", "align: epochs must be at most 1000000, got 1e+300", "align: threads must be at most 4096, got 100000", "align: steps must be at most 1000000000, got 5e+09"}},
		{"missing value", []string{"--model"}, []string{"align: --model needs a value"}},
		{"bad number", []string{"--batch", "many"}, []string{`align: --batch: want a whole number, got "many"`}},
		{"bad switch", []string{"--packing", "maybe"}, []string{`align: --packing: want on or off, got "maybe"`}},
		{"a stray word", []string{"prefs.jsonl"}, []string{`align: unexpected argument "prefs.jsonl"`}},
		{"all faults at once", []string{"--model", "m", "--beta", "-1", "--batch", "0", "--schedule", "step"}, []string{
			"align: batch must be at least 1, got 0", `align: schedule must be one of constant, linear, cosine, cosine_with_min_lr, `, `warmup_stable_decay, constant_with_warmup, got "step"`,
			"align: pairs is missing", "align: beta must be positive, got -1"}},
		{"resume without a run", []string{"--model", "m", "--pairs", "p", "--resume"}, []string{"align: --resume needs the run", "align: hint: add --out RUN"}},
		{"resume of no run", []string{"--resume", "--out", "none"}, []string{"align: --resume: none is no run: "}},
		{"missing config", []string{"--config", "none.yaml"}, []string{"none.yaml: no such file"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, code, stdout, stderr := runDPO(t, train.Continue, tc.args...)
			if code != exitWrongUse || stdout != "" {
				t.Errorf("exit %d, stdout %q, want 2 and none", code, stdout)
			}
			for _, want := range append(tc.want, "usage: align dpo") {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q:\n%s", want, stderr)
				}
			}
		})
	}
}

func TestOutputOfATrainingCommand(t *testing.T) {
	given := []string{"--model", "m", "--pairs", "p"}
	_, _, _, stdout, stderr := runDPO(t, train.Continue, given...)
	if stdout != "runs/dpo-001\n" || !strings.Contains(stderr, "8 pairs a step\nloading the model\nstep 1/1 | loss 0.5 |") {
		t.Errorf("plain: stdout %q, stderr %q", stdout, stderr)
	}
	_, _, _, stdout, stderr = runDPO(t, train.Continue, append(given, "--quiet")...)
	if stdout != "runs/dpo-001\n" || stderr != "" {
		t.Errorf("--quiet: stdout %q, stderr %q", stdout, stderr)
	}
	_, _, _, stdout, stderr = runDPO(t, train.Continue, append(given, "--json")...)
	if !strings.HasPrefix(stdout, `{"v":1,"step":1,"loss":0.5,`) || strings.Count(stdout, "\n") != 1 || stderr != "8 pairs a step\nloading the model\n" {
		t.Errorf("--json: stdout %q, stderr %q", stdout, stderr)
	}
}

// sft has its own settings and none of dpo's.
func TestFlagsOfSFT(t *testing.T) {
	for args, want := range map[string]string{
		"sft --model m --data d --loss-mean word": `align: loss_mean must be one of token, sequence, got "word"`,
		"sft --model m --beta 1":                  "align: unknown flag --beta",
		"sft --model m":                           "align: data is missing",
	} {
		io, _, errs := testStreams("")
		root := newRootCommand(io)
		replace(root, newSFTCommand(io, nil))
		root.SetArgs(strings.Fields(args))
		if code := report(io, root.Execute()); code != exitWrongUse || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: exit %d, stderr %s, want %s", args, code, errs, want)
		}
	}
}

func TestAStoppedRunSaysHowToGoOn(t *testing.T) {
	for ended, want := range map[train.Request]int{train.Interrupt: 130, train.Terminate: 143} {
		_, _, code, stdout, stderr := runDPO(t, ended, "--model", "m", "--pairs", "p", "--quiet")
		if code != want || stdout != "" {
			t.Errorf("%v: exit %d, stdout %q, want %d and none", ended, code, stdout, want)
		}
		for _, text := range []string{"after saving: runs/dpo-001/checkpoints/step-000001", "align: hint: go on with --resume --out runs/dpo-001"} {
			if !strings.Contains(stderr, text) {
				t.Errorf("stderr lacks %q: %s", text, stderr)
			}
		}
	}
}

// A run that ended before a step was done says so, and how to go on where it has a folder.
func TestARunThatEndedEarlySaysSo(t *testing.T) {
	for run, goOn := range map[string]string{"": "", "runs/dpo-001": "go on with --resume --out runs/dpo-001"} {
		r := align.Result{Run: run}
		r.Ended = train.Terminate
		err := conclude(&trainOptions{}, r)
		if got := fmt.Sprint(err); got != "terminated before a step was done" || hintOf(err) != goOn || exitCode(err) != exitTerminated {
			t.Errorf("run %q: %s, hint %q, exit %d", run, got, hintOf(err), exitCode(err))
		}
	}
}

func TestExitCodes(t *testing.T) {
	plain := errors.New("x")
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {plain, 1}, {hint(plain, "y"), 1}, {&usageError{err: plain}, 2}, {hint(&usageError{err: plain}, "y"), 2},
		{&stoppedError{by: train.Interrupt}, 130}, {hint(&stoppedError{by: train.Terminate}, "y"), 143},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%v: exit %d, want %d", tc.err, got, tc.want)
		}
	}
}
