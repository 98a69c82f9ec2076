package model_test

import (
	"math"
	"path/filepath"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/fixture"
)

// bf16Limits are how far from a golden model's float64 values PyTorch 1.13 is where it
// computes in bfloat16 as Transformers and PEFT do (weights and activations narrow, norms,
// softmax and the adapter in float32): the largest logit, relative to the largest of
// all, the gradient of SFT and of DPO, and of each the worst factor, relative in L2.
// The same program in float64 gives the goldens to 1e-15.
type bf16Limits struct{ logits, sft, sftFactor, dpo, dpoFactor float64 }

var bf16Golden = map[string]bf16Limits{
	"tiny":              {0.012, 0.0153, 0.0225, 0.0170, 0.0227},
	"tied":              {0.0061, 0.0196, 0.0289, 0.0219, 0.0344},
	"tiny-bf16-sharded": {0.013, 0.0177, 0.0253, 0.0187, 0.0264},
	"stories260K":       {0.030, 0.0572, 0.208, 0.0802, 0.125},
}

// What PyTorch's losses are away, of themselves, on the furthest of the models: on one
// model it is chance.
const (
	bf16SFTLoss = 0.0011
	bf16DPOLoss = 0.038
)

// forEachBF16 opens the golden models on a processor that is asked for bf16: where it
// cannot multiply it, weights alone are rounded.
func forEachBF16(t *testing.T, f func(*testing.T, *golden, bf16Limits)) {
	dir := fixture.Path(t)
	for _, name := range goldenNames {
		t.Run(name, func(t *testing.T) {
			b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32, Precision: device.BF16})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			f(t, openGoldenOn(t, dir, name, device.F32, b), bf16Golden[name])
		})
	}
}

func TestBF16LogitsFollowTheReference(t *testing.T) {
	forEachBF16(t, func(t *testing.T, g *golden, limits bf16Limits) {
		want := npy(t, filepath.Join(g.dir, "logits_lora.npy"))
		got := difference(t, g.logits(t, g.whole(), g.adapter), want) / largest(want)
		t.Logf("logits %.2g of the largest away, limit %.2g", got, limits.logits)
		within(t, "logits", got, limits.logits)
	})
}

func TestBF16LossesAndGradientsFollowTheReference(t *testing.T) {
	forEachBF16(t, func(t *testing.T, g *golden, limits bf16Limits) {
		loss := g.train(t, g.sftBatch(t), exec.SaveAll, 0, weighted, map[string][]float64{"weights": g.sftWeights(t)})
		within(t, "sft loss", math.Abs(loss/g.SFTToken-1), bf16SFTLoss)
		g.gradsFollow(t, "sft_grads_token.safetensors", limits.sft, limits.sftFactor)
		pack, inputs := g.dpoBatch(t)
		loss = g.train(t, pack, exec.SaveAll, len(g.DPO.Pairs), dpoLoss(0.1, 0, 0), inputs)
		within(t, "dpo loss", math.Abs(loss/g.DPO.Loss-1), bf16DPOLoss)
		g.gradsFollow(t, "dpo_b0.1_grads.safetensors", limits.dpo, limits.dpoFactor)
	})
}

// gradsFollow holds the whole gradient, and that of each factor, to the reference's.
func (g *golden) gradsFollow(t *testing.T, file string, limit, factorLimit float64) {
	t.Helper()
	var got, want []float64
	worst := 0.0
	g.eachGrad(t, file, func(_ string, ours, reference []float64) {
		worst = max(worst, relativeL2(ours, reference))
		got, want = append(got, ours...), append(want, reference...)
	})
	all := relativeL2(got, want)
	t.Logf("%s: %.3g away, limit %.3g; the worst factor %.3g, limit %.3g", file, all, limit, worst, factorLimit)
	within(t, file, all, limit)
	within(t, file+", the worst factor", worst, factorLimit)
}

// sftBatch and dpoBatch are the batches of the reference's gradients, with the weights
// of their sequences.
func (g *golden) sftBatch(t *testing.T) *datasets.Pack {
	var batch struct {
		Examples []goldenExample `json:"examples"`
	}
	readJSON(t, filepath.Join(g.dir, "sft_batch.json"), &batch)
	return sftPack(batch.Examples)
}

func (g *golden) sftWeights(t *testing.T) []float64 {
	p := g.sftBatch(t)
	weights := make([]float64, p.Sequences)
	for i := range weights {
		weights[i] = 1 / float64(len(p.Targets))
	}
	return weights
}

func (g *golden) dpoBatch(t *testing.T) (*datasets.Pack, map[string][]float64) {
	var batch struct{ Pairs []goldenPair }
	readJSON(t, filepath.Join(g.dir, "dpo_pairs.json"), &batch)
	n := len(batch.Pairs)
	inputs := map[string][]float64{"inverse length": make([]float64, n)}
	for i := range n {
		reference := g.DPO.Pairs[i]
		inputs["reference margin"] = append(inputs["reference margin"], reference.ReferenceChosen-reference.ReferenceRejected)
		inputs["weights"] = append(inputs["weights"], 1/float64(n))
	}
	return pairPack(batch.Pairs, true), inputs
}
