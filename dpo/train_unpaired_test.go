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

// labelled are answers that count upwards, wanted, and that repeat, unwanted,
// to prompts of which some follow each other twice.
func labelled() []datasets.Unpaired {
	var list []datasets.Unpaired
	for _, p := range countingPairs(4) {
		both := datasets.Unpair(p)
		list = append(list, both[:]...)
	}
	return list[:7]
}

// unpairedTrainer trains an adapter with random values on a random model, in
// float64.
func unpairedTrainer(t *testing.T, change func(*dpo.Config)) *dpo.UnpairedTrainer {
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
	if err := m.AllocAdapter(a, unpairedValues(a)); err != nil {
		t.Fatal(err)
	}
	c := dpo.DefaultConfig()
	c.Loss, c.DesirableWeight, c.UndesirableWeight = "kto", 1.2, 0.8
	change(&c)
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := dpo.Mismatch(labelled(), 32)
	if err != nil {
		t.Fatal(err)
	}
	tr := &dpo.UnpairedTrainer{Config: c, Loss: loss, Model: m, Adapter: a, Save: exec.SaveNone, Answers: answers}
	referee := &dpo.Referee{Model: m, Batch: c.Batch}
	if tr.References, err = referee.LogProbs(context.Background(), dpo.Both(answers)); err != nil {
		t.Fatal(err)
	}
	return tr
}

func unpairedValues(a *model.Adapter) []float32 {
	values := a.Initial(1)
	for _, f := range a.Factors {
		for i := range f.Out * f.Rank {
			values[f.OffsetB+i] = float32(math.Sin(float64(i)) / 4)
		}
	}
	return values
}

// stepOf is the loss of one step dealt in micro-batches of the given size.
func stepOf(t *testing.T, tr *dpo.UnpairedTrainer, size int, prepare bool) (sum float64) {
	t.Helper()
	var micro [][]int
	for from := 0; from < len(tr.Answers); from += size {
		var part []int
		for i := from; i < min(from+size, len(tr.Answers)); i++ {
			part = append(part, i)
		}
		micro = append(micro, part)
	}
	if prepare {
		if err := tr.Prepare(1, micro); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range micro {
		loss, _, err := tr.Micro(1, part, float64(len(tr.Answers)))
		if err != nil {
			t.Fatal(err)
		}
		sum += loss
	}
	return sum
}

// gradients of the adapter after one step.
func gradients(t *testing.T, tr *dpo.UnpairedTrainer, size int) []float32 {
	t.Helper()
	if err := model.WriteFloats(tr.Model.Backend(), tr.Adapter.Grad, make([]float32, tr.Adapter.Len)); err != nil {
		t.Fatal(err)
	}
	stepOf(t, tr, size, true)
	grads, err := model.ReadFloat32s(tr.Model.Backend(), tr.Adapter.Grad)
	if err != nil {
		t.Fatal(err)
	}
	return grads
}

// However a step is dealt and packed, it has the loss and the gradient of one
// batch: the baseline is that of the whole step.
func TestKTOIsTheSameHoweverItIsDealt(t *testing.T) {
	for _, loss := range []string{"kto", "apo_zero_unpaired", "kto,apo_zero_unpaired:0.5"} {
		whole := unpairedTrainer(t, func(c *dpo.Config) { c.Loss, c.Batch = loss, 7 })
		want := stepOf(t, whole, 7, true)
		grads := gradients(t, whole, 7)
		for _, size := range []int{1, 2, 3} {
			dealt := unpairedTrainer(t, func(c *dpo.Config) { c.Loss, c.Batch, c.Packing = loss, size, size != 2 })
			if got := stepOf(t, dealt, size, true); math.Abs(got-want) > sameTolerance {
				t.Errorf("%s by %d: loss %v, want %v", loss, size, got, want)
			}
			for i, g := range gradients(t, dealt, size) {
				if math.Abs(float64(g-grads[i])) > 1e-6*max(1e-3, math.Abs(float64(grads[i]))) {
					t.Fatalf("%s by %d: gradient %d is %v, want %v", loss, size, i, g, grads[i])
				}
			}
		}
	}
}

// The gradient in the model's graph agrees with central differences, the
// baseline held fixed. Values are float32 apart, hence the step and the limit.
func TestKTOGradientInTheModel(t *testing.T) {
	tr := unpairedTrainer(t, func(c *dpo.Config) { c.Batch = 7 })
	grads := gradients(t, tr, 7)
	values := unpairedValues(tr.Adapter)
	at := func(i int, v float32) float64 {
		changed := append([]float32(nil), values...)
		changed[i] = v
		if err := model.WriteFloats(tr.Model.Backend(), tr.Adapter.Value, changed); err != nil {
			t.Fatal(err)
		}
		return stepOf(t, tr, 7, false)
	}
	const step = 1.0 / 1024
	for i := 0; i < len(values); i += 37 {
		up, down := values[i]+step, values[i]-step
		want := (at(i, up) - at(i, down)) / float64(up-down)
		if math.Abs(float64(grads[i])-want) > 1e-5*max(1, math.Abs(want)) {
			t.Errorf("gradient %d is %v, by differences %v", i, grads[i], want)
		}
	}
}

// The baseline is the mean log-ratio of answers to other prompts, not below 0;
// the metrics have TRL's names and the counts of both labels.
func TestKTOBaselineAndMetrics(t *testing.T) {
	tr := unpairedTrainer(t, func(c *dpo.Config) { c.Batch = 7 })
	referee := &dpo.Referee{Model: tr.Model, Adapter: tr.Adapter, Batch: 4}
	policy, err := referee.LogProbs(context.Background(), dpo.Both(tr.Answers))
	if err != nil {
		t.Fatal(err)
	}
	z := 0.0
	var chosen, rejected float64
	for i, r := range policy {
		z += (r.Rejected - tr.References[i].Rejected) / 7
		reward := tr.Config.Beta * (r.Chosen - tr.References[i].Chosen)
		if tr.Answers[i].Desirable {
			chosen += reward / 4
		} else {
			rejected += reward / 3
		}
	}
	if err := tr.Prepare(1, [][]int{{0, 1, 2}, {3, 4, 5, 6}}); err != nil {
		t.Fatal(err)
	}
	_, m, err := tr.Micro(1, []int{0, 1, 2}, 7)
	if err != nil {
		t.Fatal(err)
	}
	_, more, err := tr.Micro(1, []int{3, 4, 5, 6}, 7)
	if err != nil {
		t.Fatal(err)
	}
	m.Merge(more)
	for name, want := range map[string]float64{
		"kl": max(0, z), "count/chosen": 4, "count/rejected": 3,
		"rewards/chosen": chosen, "rewards/rejected": rejected, "rewards/margins": chosen - rejected,
	} {
		if got, ok := m.Get(name); !ok || math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// Every answer's partner belongs to another prompt, and the answers to one
// prompt share it.
func TestMismatch(t *testing.T) {
	of := func(prompt, response int32) datasets.Unpaired {
		return datasets.Unpaired{Prompt: []int32{prompt}, Response: []int32{response, response}}
	}
	list := []datasets.Unpaired{of(1, 10), of(1, 11), of(2, 12), of(3, 13), of(3, 14), of(1, 15)}
	answers, err := dpo.Mismatch(list, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int32{14, 14, 11, 12, 12, 14} {
		if got := answers[i].Other; len(got) != 1 || got[0] != want {
			t.Errorf("partner of %d is %v, want %d cut to one token", i, got, want)
		}
	}
	if _, err := dpo.Mismatch(list[:2], 0); err == nil {
		t.Error("answers to one prompt alone have no partners")
	}
}
