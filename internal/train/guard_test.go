package train_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/checkpoint"
	"align/internal/optim"
	"align/internal/train"
)

var errCrash = errors.New("crash")

// crashing is a toy whose step never ends.
type crashing struct {
	*toy
	at int
}

func (c crashing) Micro(step int, batch []float64, weight float64) (float64, train.Metrics, error) {
	if step == c.at {
		return 0, nil, errCrash
	}
	return c.toy.Micro(step, batch, weight)
}

// A run that crashes in any step, before the first checkpoint too, goes on from
// what it had saved as if nothing had been.
func TestACrashInAnyStepDoesNotShow(t *testing.T) {
	whole, y := t.TempDir(), newToy(t)
	mustRun(t, options(whole), y, 2, nil)
	for at := 1; at <= 20; at++ {
		part, first := t.TempDir(), newToy(t)
		o := options(part)
		_, err := train.Run(context.Background(), o, first.backend, first, &points{Micros: 2}, crashing{first, at}, &recorder{}, nil)
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		o.Resume = true
		second := newToy(t)
		mustRun(t, o, second, 2, nil)
		if got, want := second.download(second.value), y.download(y.value); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("crash in step %d: values are %v, want %v", at, got, want)
		}
		if readFile(t, part, train.MetricsFile) != readFile(t, whole, train.MetricsFile) {
			t.Errorf("crash in step %d: the logs differ", at)
		}
	}
}

func TestARequestBeforeTheFirstStepIsMet(t *testing.T) {
	whole, part, y := t.TempDir(), t.TempDir(), newToy(t)
	mustRun(t, options(whole), newToy(t), 2, nil)
	stop := &train.Stop{}
	stop.Ask(train.Terminate)
	result, r := mustRun(t, options(part), y, 2, stop)
	if result.Ended != train.Terminate || result.Step != 0 || fmt.Sprint(r.saved) != "[0]" {
		t.Errorf("got %+v, saved at %v", result, r.saved)
	}
	o := options(part)
	o.Resume = true
	mustRun(t, o, newToy(t), 2, nil)
	if readFile(t, part, train.MetricsFile) != readFile(t, whole, train.MetricsFile) {
		t.Error("the logs differ")
	}
}

// Resuming a run that is done does nothing and says where its result is.
func TestResumingAFinishedRun(t *testing.T) {
	o := options(t.TempDir())
	first, _ := mustRun(t, o, newToy(t), 2, nil)
	log := readFile(t, o.Run, train.MetricsFile)
	o.Resume = true
	second, r := mustRun(t, o, newToy(t), 2, nil)
	if second.Step != 20 || second.Checkpoint != first.Checkpoint || len(r.events)+len(r.saved) != 0 {
		t.Errorf("got %+v, %d events, saved at %v", second, len(r.events), r.saved)
	}
	if readFile(t, o.Run, train.MetricsFile) != log {
		t.Error("the log has changed")
	}
}

// Two runs in one folder would mix their checkpoints: the newest one is found
// by its step.
func TestANewRunBesideOldCheckpointsIsRefused(t *testing.T) {
	o := options(t.TempDir())
	mustRun(t, o, newToy(t), 2, nil)
	log := readFile(t, o.Run, train.MetricsFile)
	if _, _, err := run(t, o, newToy(t), 2, nil); err == nil || !strings.Contains(err.Error(), "has a checkpoint of step 20") {
		t.Errorf("error is %v", err)
	}
	if readFile(t, o.Run, train.MetricsFile) != log {
		t.Error("the log has changed")
	}
}

// When all checkpoints are damaged a resume must not begin again at step 1: it
// would cut the log.
func TestResumingWithDamagedCheckpointsOnlyIsRefused(t *testing.T) {
	o := options(t.TempDir())
	mustRun(t, o, newToy(t), 2, nil)
	log := readFile(t, o.Run, train.MetricsFile)
	files, err := filepath.Glob(filepath.Join(o.Run, "checkpoints", "*", train.OptimizerFile))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	var notes []string
	o.Resume, o.Notes = true, func(s string) { notes = append(notes, s) }
	damage(t, files[1])
	result, _ := mustRun(t, o, newToy(t), 2, nil) // from step 15
	if result.Step != 20 || len(notes) != 2 || !strings.Contains(notes[0], "step-000020 is not valid") {
		t.Errorf("got %+v, %q", result, notes)
	}
	damage(t, files[0])
	damage(t, files[1])
	if _, _, err := run(t, o, newToy(t), 2, nil); !errors.Is(err, checkpoint.ErrNone) {
		t.Errorf("error is %v", err)
	}
	if readFile(t, o.Run, train.MetricsFile) != log {
		t.Error("the log has changed")
	}
}

func damage(t *testing.T, path string) {
	t.Helper()
	data := []byte(readFile(t, path))
	data[len(data)-1] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// An update of finite gradients and values can still overflow; the checkpoint
// after it is not written then.
func TestWeightsThatAreNotFiniteAreNotSaved(t *testing.T) {
	o := options(t.TempDir())
	o.SaveEvery, o.Schedule = 1, optim.Schedule{Kind: "constant", LearningRate: 1e200, Steps: 20}
	_, r, err := run(t, o, newToy(t), 1, nil)
	var bad *train.ErrNotFinite
	if !errors.As(err, &bad) || bad.Step != 1 || bad.What != "norm of the trained values" {
		t.Errorf("error is %v", err)
	}
	if len(r.events) != 2 || len(r.saved) != 0 { // the first evaluation and the step
		t.Errorf("%d events, saved at %v", len(r.events), r.saved)
	}
}

func TestACancelledRunStopsAndResumes(t *testing.T) {
	whole, part := t.TempDir(), t.TempDir()
	mustRun(t, options(whole), newToy(t), 2, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o, y := options(part), newToy(t)
	y.onStep = func(step int) {
		if step == 8 {
			cancel()
		}
	}
	result, err := train.Run(ctx, o, y.backend, y, &points{Micros: 2}, y, &recorder{}, nil)
	if !errors.Is(err, context.Canceled) || result.Step != 8 {
		t.Fatalf("got %+v, %v", result, err)
	}
	o.Resume = true
	mustRun(t, o, newToy(t), 2, nil)
	if readFile(t, part, train.MetricsFile) != readFile(t, whole, train.MetricsFile) {
		t.Error("the logs differ")
	}
}

// A longer schedule is allowed and told.
func TestChangesAreTold(t *testing.T) {
	o := options(t.TempDir())
	mustRun(t, o, newToy(t), 2, nil)
	var notes []string
	o.Notes = func(s string) { notes = append(notes, s) }
	o.Resume, o.Steps, o.Schedule.Steps, o.AdamW.WeightDecay = true, 24, 24, 0
	result, _ := mustRun(t, o, newToy(t), 2, nil)
	if result.Step != 24 {
		t.Errorf("got %+v", result)
	}
	all := strings.Join(notes, "\n")
	for _, want := range []string{"resuming after step 20 of 24", "of 24 steps of warm-up, the run began with cosine", "WeightDecay:0.01"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %q", want, all)
		}
	}
}

// idle yields a step without examples.
type idle struct{ points }

func (*idle) Next() (train.Work[[]float64], error) {
	return train.Work[[]float64]{Micro: [][]float64{{}}, Weight: 0}, nil
}

func TestAStepOfWeightZeroIsRefused(t *testing.T) {
	y := newToy(t)
	_, err := train.Run(context.Background(), options(t.TempDir()), y.backend, y, &idle{}, y, &recorder{}, nil)
	if err == nil || !strings.Contains(err.Error(), "step 1 has nothing to train on") {
		t.Errorf("error is %v", err)
	}
}

func TestRunRefusesOptions(t *testing.T) {
	y := newToy(t)
	_, _, err := run(t, train.Options{SaveEvery: -1, Schedule: optim.Schedule{Kind: "constant", Steps: 1}}, y, 1, nil)
	if err == nil || strings.Count(err.Error(), "train:") != 4 {
		t.Errorf("want four faults, got %v", err)
	}
	o := options(filepath.Join(t.TempDir(), "missing"))
	if _, _, err := run(t, o, y, 1, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: got %v", err)
	}
}
