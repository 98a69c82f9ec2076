package model_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/graph"
	"align/model"
)

// What products and attention alone read, held as they round it, moves no bit of log-probabilities,
// loss or gradients.
func TestRoundedSidesMoveNoBit(t *testing.T) {
	for name, l := range map[string]model.LoRAConfig{
		"plain": {}, "dropout": {Dropout: 0.3}, "dora": {DoRA: true}, "dora, dropout": {DoRA: true, Dropout: 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			g := roundedGolden(t, l)
			packs := map[string]*datasets.Pack{"masked": maskedPack(), "shared": sharedPack(), "tiles": {}}
			packs["tiles"].AddExample(datasets.Example{IDs: words(1, 2100), LossMask: make([]bool, 2100)}, 1)
			for i := range 2 { // few predict something
				packs["tiles"].AddExample(datasets.Example{IDs: words(i, 9), LossMask: []bool{8: true}}, uint32(i))
			}
			for what, pack := range packs {
				for _, save := range exec.SavePolicies {
					if what == "tiles" && save != exec.SaveTiled {
						continue
					}
					o := model.DecoderOptions{Save: save, AllRows: what == "tiles", Device: sides{g.backend, 0}}
					loss, want, wantGrads := g.stepWith(t, pack, o)
					o.Device = g.backend
					gotLoss, got, grads := g.stepWith(t, pack, o)
					sameBits(t, fmt.Sprintf("%s, %s: log-probabilities", what, save), got, want)
					sameBits(t, fmt.Sprintf("%s, %s: loss", what, save), gotLoss, loss)
					sameBits(t, fmt.Sprintf("%s, %s: gradients", what, save), grads, wantGrads)
				}
			}
		})
	}
}

// sides is a device that rounds the sides of products to a type, whatever it really does.
type sides struct {
	device.Backend
	Rounds device.Type
}

func (s sides) Rounded() device.Type { return s.Rounds }

// Slopes says whether the device gives them.
func (s sides) Slopes() bool {
	d, is := s.Backend.(device.Sloper)
	return is && d.Slopes()
}

// roundedGolden is a model whose widths are whole panels, on products of bf16.
func roundedGolden(t *testing.T, l model.LoRAConfig) *golden {
	t.Helper()
	b, err := cpu.New(cpu.Options{Activations: device.F32, Precision: device.BF16, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.NumLayers, c.VocabSize, c.IntermediateSize = 2, 64, 96
	g := &golden{act: device.F32, backend: b}
	if g.model, err = model.Random(c, b, device.F32, device.BF16, 1); err != nil {
		t.Fatal(err)
	}
	if g.model.Rounded() != device.BF16 {
		t.Skip("products of this machine do not round their sides to bf16")
	}
	l.Rank, l.Alpha, l.Targets = 3, 6, model.Modules
	if g.adapter, err = model.NewAdapter(c, l); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	g.values = g.adapter.Initial(1)
	for i := range g.values {
		g.values[i] += float32(rng.NormFloat64() * 0.02)
	}
	if err := g.model.AllocAdapter(g.adapter, g.values); err != nil {
		t.Fatal(err)
	}
	return g
}

// What sessions of the 110M shape take, rounded sides over plain ones: at 2 x 512
// tokens an adapter's inputs, q, k and v are a good part of what the policy all keeps.
func TestRoundedSidesTakeLessMemory(t *testing.T) {
	c, err := model.Shape("small")
	if err != nil {
		t.Fatal(err)
	}
	for _, dropout := range []float64{0, 0.05} {
		a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 16, Alpha: 32, Dropout: dropout, Targets: model.Modules})
		if err != nil {
			t.Fatal(err)
		}
		for _, save := range exec.SavePolicies {
			bytes := func(rounded device.Type) int64 {
				d, err := model.NewDecoder(c, device.F32, model.DecoderOptions{
					Capacity: model.Capacity{Tokens: 1024, Targets: 1022, Sequences: 2}, Adapter: a, Train: true, Save: save, Device: sides{Rounds: rounded},
				})
				if err != nil {
					t.Fatal(err)
				}
				n, err := d.SessionSize(d.Dot(d.SequenceLogProbs, d.Vector("weights", device.F64, graph.Sequences)))
				if err != nil {
					t.Fatal(err)
				}
				return n.Bytes
			}
			half, plain := bytes(device.BF16), bytes(0)
			t.Logf("dropout %v, %s: %.1f of %.1f MiB", dropout, save, float64(half)/(1<<20), float64(plain)/(1<<20))
			if half > plain || save == exec.SaveAll && float64(half) > 0.8*float64(plain) {
				t.Errorf("dropout %v, %s: %d bytes, plain %d", dropout, save, half, plain)
			}
		}
	}
}
