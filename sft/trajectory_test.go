package sft_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/fixture"
	"align/internal/optim"
	"align/internal/train"
	"align/model"
	"align/sft"
)

// trajectory is a reference run: 30 AdamW steps of LoRA, one batch per step.
type trajectory struct {
	Batches []struct {
		Examples []struct {
			IDs  []int32 `json:"ids"`
			Mask []int   `json:"mask"`
		} `json:"examples"`
	} `json:"batches"`
	Losses []float64 `json:"losses"`
}

func readTrajectory(t *testing.T, dir string) (trajectory, []datasets.Example, int) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "golden", "trajectory", "sft.json"))
	if err != nil {
		t.Fatal(err)
	}
	var tr trajectory
	if err := json.Unmarshal(data, &tr); err != nil {
		t.Fatal(err)
	}
	var examples []datasets.Example
	for _, b := range tr.Batches {
		for _, e := range b.Examples {
			mask := make([]bool, len(e.Mask))
			for i, m := range e.Mask {
				mask[i] = m == 1
			}
			examples = append(examples, datasets.Example{IDs: e.IDs, LossMask: mask})
		}
	}
	return tr, examples, len(tr.Batches[0].Examples)
}

// quiet collects the losses of a run.
type quiet struct{ losses []float64 }

func (q *quiet) Stepped(e train.Event) {
	if !e.Evaluation {
		q.losses = append(q.losses, e.Loss)
	}
}
func (q *quiet) Saved(string, int) {}

// runTrajectory repeats the reference run with the given settings.
func runTrajectory(t *testing.T, dir string, threads, steps int, change func(*sft.Config, *sft.Trainer)) (losses []float64, adapter []float32) {
	t.Helper()
	return runTrajectoryOn(t, dir, cpu.Options{Threads: threads, Activations: device.F32}, steps, change)
}

func runTrajectoryOn(t *testing.T, dir string, o cpu.Options, steps int, change func(*sft.Config, *sft.Trainer)) (losses []float64, adapter []float32) {
	t.Helper()
	_, examples, perBatch := readTrajectory(t, dir)
	b, err := cpu.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := model.Load(filepath.Join(dir, "data", "stories260K"), b, device.F32, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, values, err := model.ReadAdapter(filepath.Join(dir, "golden", "trajectory", "init"), m.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AllocAdapter(a, values); err != nil {
		t.Fatal(err)
	}
	trainer := &sft.Trainer{Config: sft.DefaultConfig(), Model: m, Adapter: a, Save: exec.SaveNone, Examples: examples}
	trainer.Config.Batch = perBatch
	if change != nil {
		change(&trainer.Config, trainer)
	}
	order, err := datasets.NewOrder(len(examples), perBatch, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	report := &quiet{}
	_, err = train.Run(context.Background(), train.Options{
		Method: "sft", Run: t.TempDir(), Steps: steps, Keep: 1,
		Schedule: optim.Schedule{Kind: "constant", LearningRate: 0.002, Steps: steps},
		AdamW:    optim.Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01},
	}, b, &train.LoRA{Model: m, Adapter: a}, &train.Batches{Order: order, PerMicro: trainer.Config.Batch, Weigh: trainer.Weigh}, trainer, report, nil)
	if err != nil {
		t.Fatal(err)
	}
	adapter, err = model.ReadFloat32s(b, a.Value)
	if err != nil {
		t.Fatal(err)
	}
	return report.losses, adapter
}

// lossTolerance is the limit that the main job states for each of 30 losses.
const lossTolerance = 1e-4

func TestTheTrajectoryEqualsTheReference(t *testing.T) {
	dir := fixture.Path(t)
	tr, _, _ := readTrajectory(t, dir)
	losses, _ := runTrajectory(t, dir, 2, len(tr.Losses), nil)
	worst := 0.0
	for i, want := range tr.Losses {
		worst = max(worst, math.Abs(losses[i]-want))
	}
	t.Logf("largest difference of %d losses: %.2g", len(losses), worst)
	if !(worst <= lossTolerance) {
		t.Errorf("losses differ by %.3g, limit %.3g", worst, lossTolerance)
	}
}

// bf16Tolerance is what a loss in bf16 may be off, of itself.
const bf16Tolerance = 0.01

func TestTheTrajectoryInBF16FollowsTheReference(t *testing.T) {
	dir := fixture.Path(t)
	tr, _, _ := readTrajectory(t, dir)
	o := cpu.Options{Threads: 2, Activations: device.F32, Precision: device.BF16}
	losses, _ := runTrajectoryOn(t, dir, o, len(tr.Losses), nil)
	worst := 0.0
	for i, want := range tr.Losses {
		worst = max(worst, math.Abs(losses[i]/want-1))
	}
	t.Logf("largest difference of %d losses: %.2g of itself", len(losses), worst)
	if !(worst <= bf16Tolerance) {
		t.Errorf("losses are %.3g of themselves off, limit %.3g", worst, bf16Tolerance)
	}
}

// shortRun is the number of steps where one after the other need not be new.
const shortRun = 4

func equalRuns(t *testing.T, what string, a, b []float32) {
	t.Helper()
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			t.Fatalf("%s: value %d is %v and %v", what, i, a[i], b[i])
		}
	}
}

func TestThreadsAndSavePoliciesMoveNoBit(t *testing.T) {
	dir := fixture.Path(t)
	_, want := runTrajectory(t, dir, 1, shortRun, nil)
	_, again := runTrajectory(t, dir, 1, shortRun, nil)
	equalRuns(t, "the same run twice", again, want)
	_, two := runTrajectory(t, dir, 2, shortRun, nil)
	equalRuns(t, "two threads", two, want)
	for _, policy := range exec.SavePolicies {
		_, got := runTrajectory(t, dir, 2, shortRun, func(_ *sft.Config, tr *sft.Trainer) { tr.Save = policy })
		equalRuns(t, "policy "+string(policy), got, want)
	}
}

// accumulationTolerance bounds the difference of losses between one micro-step
// and several, in float32: gradients are summed in another order.
const accumulationTolerance = 1e-6

func TestAccumulationAndPackingDoNotShow(t *testing.T) {
	dir := fixture.Path(t)
	want, _ := runTrajectory(t, dir, 2, shortRun, nil)
	for name, change := range map[string]func(*sft.Config, *sft.Trainer){
		"one by one": func(c *sft.Config, _ *sft.Trainer) { c.Batch = 1 },
		"not packed": func(c *sft.Config, _ *sft.Trainer) { c.Packing = false },
	} {
		got, _ := runTrajectory(t, dir, 2, shortRun, change)
		// Steps after the first differ by what rounding did to the weights.
		if d := math.Abs(got[0] - want[0]); d > accumulationTolerance {
			t.Errorf("%s: the first loss differs by %.3g, limit %.3g", name, d, accumulationTolerance)
		}
		for i := range got {
			if d := math.Abs(got[i] - want[i]); d > lossTolerance {
				t.Errorf("%s: loss %d differs by %.3g", name, i, d)
			}
		}
	}
}
