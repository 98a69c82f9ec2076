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
	"align/model"
)

// longPack is some documents of more tokens together than two tiles have, with
// a tile's end inside a document.
func longPack() *datasets.Pack {
	p := &datasets.Pack{}
	for i := range 11 {
		document(p, words(i, 400+7*i))
	}
	return p
}

// tiledWeights weigh the documents.
var tiledWeights = map[string][]float64{"weights": {0.01, 0.02, -0.01, 0.03, 0.01, 0.02, 0.01, -0.02, 0.01, 0.02, 0.03}}

// A feed-forward part that runs tile by tile gives the loss and the gradients of
// one that does not, to the last bit in machine code.
func TestTilesMoveNoBit(t *testing.T) {
	notUnderRaces(t)
	for _, dropout := range []float64{0, 0.3} {
		for name, o := range map[string]cpu.Options{
			"f32": {Activations: device.F32}, "bf16": {Activations: device.F32, Precision: device.BF16}, "f64": {Activations: device.F64},
		} {
			t.Run(fmt.Sprintf("%s, dropout %v", name, dropout), func(t *testing.T) {
				o.Threads = 2
				g := shapes["biases"].openOn(t, o, dropout)
				step := func(save exec.SavePolicy) []float64 {
					if err := model.WriteFloats(g.backend, g.adapter.Grad, make([]float32, g.adapter.Len)); err != nil {
						t.Fatal(err)
					}
					loss := g.train(t, longPack(), save, 0, weighted, tiledWeights)
					grads, err := model.ReadFloats(g.backend, nil, g.adapter.Grad)
					if err != nil {
						t.Fatal(err)
					}
					return append(grads, loss)
				}
				got, want := step(exec.SaveTiled), step(exec.SaveNone)
				if level, err := feature.Select(); err == nil && level > feature.Generic && o.Activations == device.F32 {
					sameBits(t, "tiled", got, want)
					return
				}
				// Portable Go sums over all tokens before it adds to what is there.
				if d := difference(t, got, want); d > portableTolerance || math.IsNaN(d) {
					t.Errorf("tiled differs by %.3g", d)
				}
			})
		}
	}
}

// portableTolerance bounds what the order of a sum over tokens moves.
const portableTolerance = 1e-5

// The tiled policy takes less memory than any other on a long pack, and what
// grows with the tokens is not as wide as the feed-forward part.
func TestTiledSessionBytes(t *testing.T) {
	c, err := model.Shape("small")
	if err != nil {
		t.Fatal(err)
	}
	a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	bytes := func(tokens int, save exec.SavePolicy) int64 {
		d, err := model.NewDecoder(c, device.F32, model.DecoderOptions{
			Capacity: model.Capacity{Tokens: tokens, Targets: 1, Sequences: 1}, Adapter: a, Train: true, Save: save,
		})
		if err != nil {
			t.Fatal(err)
		}
		n, err := d.SessionSize(d.Dot(d.SequenceLogProbs, d.SequenceLogProbs))
		if err != nil {
			t.Fatal(err)
		}
		return n.Bytes
	}
	const tokens = 32768
	tiled := bytes(tokens, exec.SaveTiled)
	for _, save := range exec.SavePolicies[1:] {
		if other := bytes(tokens, save); tiled >= other*4/5 {
			t.Errorf("tiled takes %d bytes, %v %d", tiled, save, other)
		}
	}
	// Of every token the input of each layer is kept; while one layer is at work
	// some more rows as wide as the hidden size are.
	const atWork = 10
	perToken := (bytes(2*tokens, exec.SaveTiled) - tiled) / tokens
	if limit := int64(4 * c.HiddenSize * (c.NumLayers + atWork)); perToken > limit {
		t.Errorf("%d bytes per token, want %d at most", perToken, limit)
	}
}
