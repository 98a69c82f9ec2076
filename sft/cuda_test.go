//go:build linux && (amd64 || arm64) && !nogpu

package sft_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/exec"
	"align/internal/optim"
	"align/internal/train"
	"align/model"
	"align/sft"
)

// A very tiny model, so that 30 steps in the simulator take seconds.
var veryTiny = model.Config{
	Architecture: "LlamaForCausalLM", HiddenSize: 32, IntermediateSize: 48, NumLayers: 1, NumHeads: 2, NumKVHeads: 1, HeadDim: 16,
	VocabSize: 40, ContextLength: 64, RMSNormEps: 1e-5, RopeTheta: 10000, BOS: -1, DType: "float32",
}

// patterns are examples with something to learn: each token is the one before
// plus a step of the example's own.
func patterns(n, length int) []datasets.Example {
	rng := rand.New(rand.NewPCG(5, 8))
	var list []datasets.Example
	for range n {
		e := datasets.Example{LossMask: make([]bool, length)}
		at, step := rng.IntN(veryTiny.VocabSize), 1+rng.IntN(3)
		for i := range length {
			e.IDs = append(e.IDs, int32(at))
			e.LossMask[i] = i > 1
			at = (at + step) % veryTiny.VocabSize
		}
		list = append(list, e)
	}
	return list
}

// trainTiny runs the loop, optimiser and all, on a backend.
func trainTiny(t *testing.T, b device.Backend, act device.Type, steps int, c sft.Config) (losses []float64, adapter []float32) {
	t.Helper()
	m, err := model.Random(veryTiny, b, act, device.BF16, 7)
	if err != nil {
		t.Fatal(err)
	}
	a, err := model.NewAdapter(veryTiny, model.LoRAConfig{Rank: 4, Alpha: 8, Dropout: c.Dropout, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AllocAdapter(a, a.Initial(3)); err != nil {
		t.Fatal(err)
	}
	examples := patterns(6, 12)
	trainer := &sft.Trainer{Config: c, Model: m, Adapter: a, Save: exec.SaveNone, Examples: examples}
	order, err := datasets.NewOrder(len(examples), c.Batch, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	report := &quiet{}
	if steps == 0 {
		return nil, a.Initial(3)
	}
	_, err = train.Run(context.Background(), train.Options{
		Method: "sft", Run: t.TempDir(), Steps: steps, Keep: 1,
		Schedule: optim.Schedule{Kind: "cosine", LearningRate: 0.02, Steps: steps},
		AdamW:    optim.Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, Clip: 1},
	}, b, &train.LoRA{Model: m, Adapter: a}, &train.Batches{Order: order, PerMicro: c.Batch, Weigh: trainer.Weigh}, trainer, report, nil)
	if err != nil {
		t.Fatal(err)
	}
	adapter, err = model.ReadFloat32s(b, a.Value)
	if err != nil {
		t.Fatal(err)
	}
	return report.losses, adapter
}

func openCard(t *testing.T) *cuda.Backend {
	t.Helper()
	b, err := cuda.OpenOn(cudatest.Library(t, false), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func openHost(t *testing.T) *cpu.Backend {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// What bfloat16 in the products of a card moves in 30 steps: losses, and the
// adapter's way relative to its length. Products are off by up to 2^-8 of
// themselves, gradients by some hundredths, and AdamW's first steps divide by
// their own size, so that small gradients' signs matter. Losses one step late, or
// without dropout, are 0.11 and 0.08 off.
const (
	cardTrajectoryLoss = 0.015
	cardTrajectoryWay  = 0.15
)

// 30 steps with clipping, dropout and AdamW: the CPU in float32 and the card
// with products in bfloat16.
func TestCardTrajectoryIsTheCPUs(t *testing.T) {
	const steps = 30
	c := sft.DefaultConfig()
	c.Batch, c.Dropout = 3, 0.1
	_, start := trainTiny(t, openHost(t), device.F32, 0, c)
	want, wantAdapter := trainTiny(t, openHost(t), device.F32, steps, c)
	got, adapter := trainTiny(t, openCard(t), device.BF16, steps, c)
	worst, apart, way := 0.0, 0.0, 0.0
	for i := range want {
		worst = max(worst, math.Abs(got[i]-want[i]))
	}
	for i := range start {
		apart += math.Pow(float64(adapter[i]-wantAdapter[i]), 2)
		way += math.Pow(float64(wantAdapter[i]-start[i]), 2)
	}
	t.Logf("losses from %.4f to %.4f, largest difference %.2g; adapters %.2g of their way apart", want[0], want[steps-1], worst, math.Sqrt(apart/way))
	if !(worst <= cardTrajectoryLoss) || !(math.Sqrt(apart/way) <= cardTrajectoryWay) {
		t.Errorf("losses differ by %.2g, limit %g; adapters are %.2g of their way apart, limit %g", worst, cardTrajectoryLoss, math.Sqrt(apart/way), cardTrajectoryWay)
	}
}

// What bfloat16 moves in 8 steps on all weights: losses around 3, which rounding
// the inputs of products shifts by some 2^-8 of themselves, and weights.
const (
	cardFullLoss    = 0.012
	cardFullWeights = 0.01
)

// All weights, trained on the card: float32 masters, their products in bfloat16.
// A tied head gets both gradients.
func TestCardTrainsAllWeights(t *testing.T) {
	for _, tied := range []bool{false, true} {
		want, wantValues := fullRun{run: t.TempDir(), tied: tied}.train(t)
		got, values := fullRun{run: t.TempDir(), tied: tied}.trainOn(t, openCard(t), device.BF16)
		worst, apart, length := 0.0, 0.0, 0.0
		for i := range want {
			worst = max(worst, math.Abs(got[i]-want[i]))
		}
		for i := range wantValues {
			apart += math.Pow(float64(values[i]-wantValues[i]), 2)
			length += math.Pow(float64(wantValues[i]), 2)
		}
		t.Logf("tied %v: losses from %.4f to %.4f, largest difference %.2g; weights %.2g of their length apart", tied, want[0], want[len(want)-1], worst, math.Sqrt(apart/length))
		if !(worst <= cardFullLoss) || !(math.Sqrt(apart/length) <= cardFullWeights) {
			t.Errorf("tied %v: losses differ by %.2g, limit %g; weights by %.2g of their length, limit %g", tied, worst, cardFullLoss, math.Sqrt(apart/length), cardFullWeights)
		}
	}
}

// Noise on the embeddings is drawn on the host: the card adds the CPU's. Without it
// the losses are several limits away.
func TestCardAddsTheCPUsNoise(t *testing.T) {
	const steps = 3
	c := sft.DefaultConfig()
	c.Batch, c.Dropout = 3, 0
	plain, _ := trainTiny(t, openHost(t), device.F32, steps, c)
	c.NEFTuneNoiseAlpha = 40
	want, _ := trainTiny(t, openHost(t), device.F32, steps, c)
	got, _ := trainTiny(t, openCard(t), device.BF16, steps, c)
	worst, moved := 0.0, 0.0
	for i := range want {
		worst, moved = max(worst, math.Abs(got[i]-want[i])), max(moved, math.Abs(want[i]-plain[i]))
	}
	t.Logf("losses %.4v, on the card within %.2g, moved by up to %.2g", want, worst, moved)
	if !(worst <= cardTrajectoryLoss) || !(moved > 4*cardTrajectoryLoss) {
		t.Errorf("losses differ by %.2g, limit %g; noise moves them by %.2g, want more than %g", worst, cardTrajectoryLoss, moved, 4*cardTrajectoryLoss)
	}
}
