package dpo_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"align/datasets"
	"align/dpo"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/optim"
	"align/internal/train"
	"align/model"
)

// losses collects the losses of a run.
type losses struct{ all []float64 }

func (l *losses) Stepped(e train.Event) {
	if !e.Evaluation {
		l.all = append(l.all, e.Loss)
	}
}
func (l *losses) Saved(string, int) {}

// countingPairs prefer the answer that counts upwards to the one that repeats.
func countingPairs(n int) []datasets.Pair {
	r := rand.New(rand.NewPCG(4, 5))
	pairs := make([]datasets.Pair, n)
	for i := range pairs {
		at := int32(r.IntN(8))
		pairs[i] = datasets.Pair{Prompt: []int32{16, at}, Chosen: []int32{at + 1, at + 2, at + 3}, Rejected: []int32{at, at, at}}
	}
	return pairs
}

// TestFullParameterDPO: all weights are trained, the reference is the model as
// it was, so that the first loss is ln 2 to the last bit, and the loss falls.
func TestFullParameterDPO(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, full, err := model.NewRandom(model.Config{
		HiddenSize: 16, IntermediateSize: 24, NumLayers: 2, NumHeads: 2, NumKVHeads: 1, HeadDim: 8,
		VocabSize: 17, ContextLength: 32, RMSNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: true, BOS: -1,
	}, b, device.F32, 3, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	c := dpo.DefaultConfig()
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		t.Fatal(err)
	}
	trainer := &dpo.Trainer{Config: c, Loss: loss, Model: m, Full: full, Save: exec.SaveAll, Pairs: countingPairs(8)}
	referee := &dpo.Referee{Model: m, Batch: c.Batch}
	if trainer.References, err = referee.LogProbs(context.Background(), trainer.Pairs); err != nil {
		t.Fatal(err)
	}
	order, err := datasets.NewOrder(len(trainer.Pairs), len(trainer.Pairs), false, 0)
	if err != nil {
		t.Fatal(err)
	}
	const steps = 12
	report := &losses{}
	_, err = train.Run(context.Background(), train.Options{
		Method: "dpo", Run: t.TempDir(), Steps: steps, Keep: 1,
		Schedule: optim.Schedule{Kind: "constant", LearningRate: 0.005, Steps: steps},
		AdamW:    optim.DefaultConfig(),
	}, b, &train.Full{Model: m, Full: full}, &train.Batches{Order: order, PerMicro: c.Batch, Weigh: trainer.Weigh}, trainer, report, nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.all[0] != math.Ln2 {
		t.Errorf("the first loss is %v, want ln 2", report.all[0])
	}
	for i := 1; i < steps; i++ {
		if !(report.all[i] < report.all[i-1]) {
			t.Errorf("loss %d is %v after %v", i, report.all[i], report.all[i-1])
		}
	}
}
