package sft_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"align/datasets"
	"align/internal/checkpoint"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/optim"
	"align/internal/train"
	"align/model"
	"align/sft"
)

// fullRun trains all weights of a small untrained model in a run folder, until
// the last step or, with stopAt above 0, until a step is asked to be the last.
type fullRun struct {
	run          string
	stopAt       int
	resume, tied bool
	noise        float64
}

// stopper asks for an end after a step, as Ctrl-C does.
type stopper struct {
	quiet
	stop *train.Stop
	at   int
}

func (s *stopper) Stepped(e train.Event) {
	s.quiet.Stepped(e)
	if e.Step == s.at {
		s.stop.Ask(train.Interrupt)
	}
}

// fullSteps is the length of the runs, over data of five steps to an epoch.
const fullSteps = 8

func (f fullRun) train(t *testing.T) (losses []float64, values []float32) {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	return f.trainOn(t, b, device.F32)
}

func (f fullRun) trainOn(t *testing.T, b device.Backend, act device.Type) (losses []float64, values []float32) {
	t.Helper()
	m, full, err := model.NewRandom(model.Config{
		HiddenSize: 16, IntermediateSize: 24, NumLayers: 2, NumHeads: 2, NumKVHeads: 1, HeadDim: 8,
		VocabSize: 17, ContextLength: 32, RMSNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: f.tied, BOS: -1,
	}, b, act, 3, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	trainer := &sft.Trainer{Config: sft.DefaultConfig(), Model: m, Full: full, Save: exec.SaveAll, Examples: countingExamples()}
	trainer.Config.Batch, trainer.Config.NEFTuneNoiseAlpha = 2, f.noise
	order, err := datasets.NewOrder(len(trainer.Examples), 4, true, 1)
	if err != nil {
		t.Fatal(err)
	}
	report := &stopper{stop: &train.Stop{}, at: f.stopAt}
	_, err = train.Run(context.Background(), train.Options{
		Method: "sft", Run: f.run, Steps: fullSteps, Keep: 1, Resume: f.resume,
		Schedule: optim.Schedule{Kind: "cosine", LearningRate: 0.02, Warmup: 2, Steps: fullSteps},
		AdamW:    optim.Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, Clip: 1},
	}, b, &train.Full{Model: m, Full: full}, &train.Batches{Order: order, PerMicro: 2, Weigh: trainer.Weigh}, trainer, report, report.stop)
	if err != nil {
		t.Fatal(err)
	}
	if values, err = model.ReadFloat32s(b, full.Value); err != nil {
		t.Fatal(err)
	}
	return report.losses, values
}

// countingExamples are 20 sequences that count upwards by one of three strides.
func countingExamples() []datasets.Example {
	r := rand.New(rand.NewPCG(1, 2))
	examples := make([]datasets.Example, 20)
	for i := range examples {
		stride, at := 1+r.IntN(3), r.IntN(17)
		e := datasets.Example{}
		for range 5 + r.IntN(6) {
			e.IDs, e.LossMask = append(e.IDs, int32(at)), append(e.LossMask, true)
			at = (at + stride) % 17
		}
		examples[i] = e
	}
	return examples
}

// TestFullTrainingResumesToTheBit: stopped and resumed equals uninterrupted,
// losses, weights and the bytes of the last checkpoint.
func TestFullTrainingResumesToTheBit(t *testing.T) {
	for _, tied := range []bool{false, true} {
		whole := fullRun{run: t.TempDir(), tied: tied}
		losses, values := whole.train(t)
		if losses[fullSteps-1] >= losses[0] {
			t.Errorf("tied=%v: the loss does not fall: %v", tied, losses)
		}
		parts := fullRun{run: t.TempDir(), tied: tied, stopAt: 3}
		before, _ := parts.train(t)
		parts.stopAt, parts.resume = 0, true
		after, got := parts.train(t)
		for i, loss := range append(before, after...) {
			if loss != losses[i] {
				t.Errorf("tied=%v: loss %d is %v, uninterrupted %v", tied, i, loss, losses[i])
			}
		}
		equalRuns(t, "resumed", got, values)
		equalFiles(t, whole.run, parts.run, train.ModelWeightsFile, train.ModelConfigFile, train.OptimizerFile)
	}
}

// Noise on the embeddings is the step's: a resumed run has that of the
// uninterrupted one.
func TestNoiseResumesToTheBit(t *testing.T) {
	whole := fullRun{run: t.TempDir(), noise: 5}
	losses, values := whole.train(t)
	plain, _ := fullRun{run: t.TempDir()}.train(t)
	if plain[0] == losses[0] {
		t.Errorf("the first loss is %v with noise and without", losses[0])
	}
	parts := fullRun{run: t.TempDir(), noise: 5, stopAt: 3}
	parts.train(t)
	parts.stopAt, parts.resume = 0, true
	_, got := parts.train(t)
	equalRuns(t, "resumed with noise", got, values)
	equalFiles(t, whole.run, parts.run, train.ModelWeightsFile, train.OptimizerFile)
}

func equalFiles(t *testing.T, a, b string, names ...string) {
	t.Helper()
	for _, name := range names {
		var data [2][]byte
		for i, run := range []string{a, b} {
			c, err := checkpoint.Open(run)
			if err != nil {
				t.Fatal(err)
			}
			if data[i], err = os.ReadFile(filepath.Join(c.Path, name)); err != nil {
				t.Fatal(err)
			}
		}
		if string(data[0]) != string(data[1]) {
			t.Errorf("%s differs between the two runs", name)
		}
	}
}

// TestFullCheckpointIsAModelFolder: any reader of Hugging Face folders takes it.
func TestFullCheckpointIsAModelFolder(t *testing.T) {
	f := fullRun{run: t.TempDir(), tied: true}
	_, values := f.train(t)
	c, err := checkpoint.Open(f.run)
	if err != nil {
		t.Fatal(err)
	}
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, full, err := model.LoadFull(c.Path, b, device.F32, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := model.ReadFloat32s(b, full.Value)
	if err != nil {
		t.Fatal(err)
	}
	equalRuns(t, "loaded", got, values)
}
