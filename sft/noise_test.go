package sft_test

import (
	"encoding/binary"
	"math"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/model"
	"align/sft"
)

// noiseGradient is what central differences of step 1e-6 leave in float64.
const noiseGradient = 1e-7

// The gradient passes the noise: central differences in float64 of weights of the
// embedding and of a layer, in a training step with noise.
func TestGradientUnderNoise(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F64})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, full, err := model.NewRandom(model.Config{
		HiddenSize: 16, IntermediateSize: 24, NumLayers: 2, NumHeads: 2, NumKVHeads: 1, HeadDim: 8,
		VocabSize: 17, ContextLength: 32, RMSNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: true, BOS: -1,
	}, b, device.F64, 3, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	trainer := &sft.Trainer{Config: sft.DefaultConfig(), Model: m, Full: full, Save: exec.SaveAll, Examples: countingExamples()}
	trainer.Config.NEFTuneNoiseAlpha = 5
	indices := []int{0, 1, 2}
	weight, _ := trainer.Weigh(indices)
	loss := func() float64 {
		l, _, err := trainer.Micro(1, indices, weight)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	loss()
	grads, err := model.ReadFloats(b, nil, full.Grad)
	if err != nil {
		t.Fatal(err)
	}
	values, err := model.ReadFloats(b, nil, full.Value)
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int, x float64) float64 {
		raw := binary.LittleEndian.AppendUint64(nil, math.Float64bits(x))
		if err := b.Upload(full.Value.Row(i, 1), raw); err != nil {
			t.Fatal(err)
		}
		return loss()
	}
	moved := 0
	for i := 5; i < full.Len; i += full.Len / 40 {
		const h = 1e-6
		want := (at(i, values[i]+h) - at(i, values[i]-h)) / (2 * h)
		at(i, values[i])
		if math.Abs(grads[i]-want) > noiseGradient {
			t.Errorf("weight %d: gradient %v, by differences %v", i, grads[i], want)
		}
		if math.Abs(want) > 1e-4 {
			moved++
		}
	}
	if moved < 10 {
		t.Errorf("%d of 40 weights move the loss", moved)
	}
}
