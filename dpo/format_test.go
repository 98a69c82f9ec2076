package dpo_test

import (
	"context"
	"math"
	"testing"

	"align/datasets"
	"align/dpo"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/model"
)

// formatPairs end every answer with a closing token, which is marked.
func formatPairs() []datasets.Pair {
	pairs := countingPairs(5)
	for i := range pairs {
		p := &pairs[i]
		p.Chosen, p.Rejected = append(p.Chosen, 15), append(p.Rejected, 15)
		p.ChosenFormat, p.RejectedFormat = []bool{false, false, false, true}, []bool{false, false, false, true}
	}
	return pairs
}

// formatTrainer trains an adapter with random values on a random model.
func formatTrainer(t *testing.T, change func(*dpo.Config)) *dpo.Trainer {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	m, _, err := model.NewRandom(model.Config{
		HiddenSize: 16, IntermediateSize: 24, NumLayers: 2, NumHeads: 2, NumKVHeads: 1, HeadDim: 8,
		VocabSize: 17, ContextLength: 32, RMSNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: true, BOS: -1,
	}, b, device.F64, 3, 0.3)
	if err != nil {
		t.Fatal(err)
	}
	a, err := model.NewAdapter(m.Config, model.LoRAConfig{Rank: 2, Alpha: 4, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	values := a.Initial(1)
	for _, f := range a.Factors {
		for i := range f.Out * f.Rank {
			values[f.OffsetB+i] = float32(math.Sin(float64(i)) / 4)
		}
	}
	if err := m.AllocAdapter(a, values); err != nil {
		t.Fatal(err)
	}
	c := dpo.DefaultConfig()
	change(&c)
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		t.Fatal(err)
	}
	tr := &dpo.Trainer{Config: c, Loss: loss, Model: m, Adapter: a, Save: exec.SaveNone, Pairs: formatPairs()}
	referee := &dpo.Referee{Model: m, Batch: c.Batch, MaskFormat: c.MaskFormat}
	if tr.References, err = referee.LogProbs(context.Background(), tr.Pairs); err != nil {
		t.Fatal(err)
	}
	return tr
}

// oneStep is the loss over all pairs, with metrics.
func oneStep(t *testing.T, tr *dpo.Trainer) (loss, chosen float64) {
	t.Helper()
	indices := []int{0, 1, 2, 3, 4}
	loss, metrics, err := tr.Micro(1, indices, 5)
	if err != nil {
		t.Fatal(err)
	}
	chosen, _ = metrics.Get("logps/chosen")
	return loss, chosen
}

// stripped is the same data without its closing tokens.
func stripped(pairs []datasets.Pair) []datasets.Pair {
	var list []datasets.Pair
	for _, p := range pairs {
		p.Chosen, p.Rejected = p.Chosen[:3], p.Rejected[:3]
		p.ChosenFormat, p.RejectedFormat = nil, nil
		list = append(list, p)
	}
	return list
}

// sameTolerance: the same sums of float64 numbers.
const sameTolerance = 1e-12

// Masking the format tokens is the loss on answers without them, since nothing
// comes after a closing token.
func TestMaskedFormatTokensDoNotCount(t *testing.T) {
	masked := formatTrainer(t, func(c *dpo.Config) { c.MaskFormat = true })
	without := formatTrainer(t, func(*dpo.Config) {})
	without.Pairs = stripped(without.Pairs)
	referee := &dpo.Referee{Model: without.Model, Batch: 4}
	var err error
	if without.References, err = referee.LogProbs(context.Background(), without.Pairs); err != nil {
		t.Fatal(err)
	}
	a, chosenA := oneStep(t, masked)
	b, chosenB := oneStep(t, without)
	if math.Abs(a-b) > sameTolerance || math.Abs(chosenA-chosenB) > sameTolerance {
		t.Errorf("loss %v and log-probability %v, want %v and %v", a, chosenA, b, chosenB)
	}
	all := formatTrainer(t, func(*dpo.Config) {})
	if c, _ := oneStep(t, all); math.Abs(a-c) < 1e-6 {
		t.Error("the mask changes nothing")
	}
}

// The NLL keeps the closing token: it is that of the whole answer, with the
// mask and without it.
func TestTheLikelihoodKeepsFormatTokens(t *testing.T) {
	const weight = 0.2
	nll := func(mask bool) float64 {
		with := formatTrainer(t, func(c *dpo.Config) { c.MaskFormat, c.NLL = mask, weight })
		without := formatTrainer(t, func(c *dpo.Config) { c.MaskFormat = mask })
		a, _ := oneStep(t, with)
		b, _ := oneStep(t, without)
		return (a - b) / weight
	}
	masked, plain := nll(true), nll(false)
	if math.Abs(masked-plain) > sameTolerance*100 || plain <= 0 {
		t.Errorf("the NLL is %v with the mask and %v without it", masked, plain)
	}
}
