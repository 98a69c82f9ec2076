package model_test

import (
	"fmt"
	"math"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/device/cpu/feature"
	"align/internal/exec"
	"align/internal/graph"
	"align/model"
)

// maskedPack is documents of which the ends alone are predicted.
func maskedPack() *datasets.Pack {
	p := &datasets.Pack{}
	for i, n := range []int{90, 33, 71} {
		mask := make([]bool, n)
		for k := range mask {
			mask[k] = 4*k > 3*n
		}
		p.AddExample(datasets.Example{IDs: words(i, n), LossMask: mask}, uint32(1000*i))
	}
	return p
}

// sharedPack is pairs with one prompt each: its last row predicts twice.
func sharedPack() *datasets.Pack {
	p := &datasets.Pack{}
	p.AddPair(datasets.Pair{Prompt: words(1, 70), Chosen: words(2, 9), Rejected: words(3, 30)}, 5)
	p.AddGroup(words(4, 40), 9, datasets.Answer{IDs: words(5, 8)})
	return p
}

// trimmed is a step with the last layer at the targets' rows, or at all: the
// loss, the log-probabilities and the gradients.
func (g *golden) trimmed(t *testing.T, p *datasets.Pack, save exec.SavePolicy, allRows bool) (loss, logProbs, grads []float64) {
	t.Helper()
	return g.stepWith(t, p, model.DecoderOptions{Save: save, AllRows: allRows})
}

// stepWith is a step under the options.
func (g *golden) stepWith(t *testing.T, p *datasets.Pack, o model.DecoderOptions) (loss, logProbs, grads []float64) {
	t.Helper()
	o.Capacity, o.Adapter, o.Train = model.SizeOf(p, 0), g.adapter, true
	if o.Device == nil {
		o.Device = g.backend
	}
	d, err := model.NewDecoder(g.model.Config, g.act, o)
	if err != nil {
		t.Fatal(err)
	}
	weights := d.Vector("weights", device.F64, graph.Sequences)
	out := d.Dot(d.SequenceLogProbs, weights)
	s, err := d.Compile(g.model, out, d.Prediction.LogProb)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(p, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.SetFloat64s(weights, []float64{0.01, -0.02, 0.03}[:p.Sequences]); err != nil {
		t.Fatal(err)
	}
	if err := s.SetDropoutSeed(3, 1); err != nil {
		t.Fatal(err)
	}
	if err := model.WriteFloats(g.backend, g.adapter.Grad, make([]float32, g.adapter.Len)); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	for _, read := range []struct {
		into *[]float64
		node *graph.Node
	}{{&loss, out}, {&logProbs, d.Prediction.LogProb}} {
		if *read.into, err = s.Float64s(nil, read.node); err != nil {
			t.Fatal(err)
		}
	}
	if grads, err = model.ReadFloats(g.backend, nil, g.adapter.Grad); err != nil {
		t.Fatal(err)
	}
	return loss, logProbs, grads
}

// What the order of a sum over rows moves of a gradient, of its largest value:
// rounding to float32, to bfloat16 before products, and to float64.
var trimTolerances = map[string]float64{"f32": 1e-6, "bf16": 1e-2, "f64": 1e-13}

// The last layer at the targets' rows gives the log-probabilities of one that is
// computed at all, to the last bit, with the same elements dropped; and in
// float32 by machine code the same gradients where no row predicts twice. Else
// only the order of their sums differs.
func TestTheLastLayerAtItsTargetsMovesNoBit(t *testing.T) {
	notUnderRaces(t)
	level, err := feature.Select()
	machine := err == nil && level > feature.Generic
	for name, o := range map[string]cpu.Options{
		"f32": {Activations: device.F32}, "bf16": {Activations: device.F32, Precision: device.BF16}, "f64": {Activations: device.F64},
	} {
		for shape, s := range shapes {
			for _, dropout := range []float64{0, 0.3} {
				t.Run(fmt.Sprintf("%s, %s, dropout %v", name, shape, dropout), func(t *testing.T) {
					o.Threads = 2
					g := s.openOn(t, o, dropout)
					for pack, p := range map[string]*datasets.Pack{"masked": maskedPack(), "shared": sharedPack()} {
						loss, want, wantGrads := g.trimmed(t, p, exec.SaveAll, true)
						for _, save := range exec.SavePolicies {
							gotLoss, got, grads := g.trimmed(t, p, save, false)
							sameBits(t, pack+": log-probabilities", got, want)
							sameBits(t, pack+": loss", gotLoss, loss)
							if machine && name == "f32" && pack == "masked" {
								sameBits(t, pack+": gradients", grads, wantGrads)
							}
							off := difference(t, grads, wantGrads) / largest(wantGrads)
							if !(off <= trimTolerances[name]) || math.IsNaN(off) {
								t.Errorf("%s, %s: gradients differ by %.3g", pack, save, off)
							}
						}
					}
				})
			}
		}
	}
}

// The last layer's feed-forward part and o_proj run over the targets' rows in
// training and in decoding, all other products of the layers over all tokens;
// and a plan knows that this takes less memory.
func TestTheLastLayerRunsOverItsTargets(t *testing.T) {
	c, err := model.Shape("small")
	if err != nil {
		t.Fatal(err)
	}
	a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	const tokens, targets = 1000, 100
	size := func(save exec.SavePolicy, allRows bool) model.SessionSize {
		d, err := model.NewDecoder(c, device.F32, model.DecoderOptions{
			Capacity: model.Capacity{Tokens: tokens, Targets: targets, Sequences: 1}, Adapter: a, Train: true, Save: save, AllRows: allRows,
		})
		if err != nil {
			t.Fatal(err)
		}
		n, err := d.SessionSize(d.Dot(d.SequenceLogProbs, d.SequenceLogProbs))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	forward := func(steps []device.Step) (n int) {
		for _, s := range steps {
			if s.Kernel == "lora_linear" && s.Call.Out[0].Rows == targets {
				n++
			}
		}
		return n
	}
	trimmed, whole := size(exec.SaveAll, false), size(exec.SaveAll, true)
	if n := forward(trimmed.Kernels); n != 4 {
		t.Errorf("%d products over the targets' rows, want o_proj, gate_proj, up_proj and down_proj", n)
	}
	if n := forward(whole.Kernels); n != 0 {
		t.Errorf("%d products over the targets' rows where all rows are wanted", n)
	}
	// What is as wide as F is kept three times, in float32.
	if spared, want := whole.Bytes-trimmed.Bytes, int64((tokens-targets)*3*4*c.IntermediateSize); spared < want {
		t.Errorf("%d bytes are spared, want %d at least", spared, want)
	}
	decoding, err := model.DecodingSize(c, device.F32, model.CacheOptions{Rows: tokens, Sequences: 1, PagesPerSequence: 16, Pages: 16})
	if err != nil {
		t.Fatal(err)
	}
	gathers := 0
	for _, s := range decoding.Kernels {
		if s.Kernel == "gather" {
			gathers++
		}
	}
	if gathers != 2 {
		t.Errorf("decoding gathers %d values, want attention's and the layer's input", gathers)
	}
}
