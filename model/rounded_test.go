package model_test

import (
	"fmt"
	"math"
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
// loss or gradients. The width of the feed-forward part is not one of sides here, so that SwiGLU, which
// reads numbers, has them in float32 both times.
func TestRoundedSidesMoveNoBit(t *testing.T) {
	notUnderRaces(t)
	for name, l := range map[string]model.LoRAConfig{
		"plain": {}, "dropout": {Dropout: 0.3}, "dora": {DoRA: true}, "dora, dropout": {DoRA: true, Dropout: 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			g := roundedGolden(t, l, 72)
			for what, pack := range roundedPacks() {
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

func roundedPacks() map[string]*datasets.Pack {
	packs := map[string]*datasets.Pack{"masked": maskedPack(), "shared": sharedPack(), "tiles": {}}
	packs["tiles"].AddExample(datasets.Example{IDs: words(1, 2100), LossMask: make([]bool, 2100)}, 1)
	for i := range 2 { // few predict something
		packs["tiles"].AddExample(datasets.Example{IDs: words(i, 9), LossMask: []bool{8: true}}, uint32(i))
	}
	return packs
}

// What SwiGLU reads and makes, held in bfloat16, moves numbers by its rounding: a part in 512 of
// each. All policies give the same bits.
func TestRoundedGatesMoveLittle(t *testing.T) {
	notUnderRaces(t)
	for name, l := range map[string]model.LoRAConfig{"plain": {}, "dropout": {Dropout: 0.3}, "dora": {DoRA: true}} {
		for _, width := range []int{96, 80} {
			g := roundedGolden(t, l, width)
			if width%g.backend.(device.Rounder).RoundedCols() != 0 {
				continue // gates of the level are not held rounded: the test above
			}
			name := fmt.Sprintf("%s, %d wide", name, width)
			for what, pack := range roundedPacks() {
				o := model.DecoderOptions{Save: exec.SaveTiled, AllRows: what == "tiles", Device: sides{g.backend, 0}}
				_, plain, plainGrads := g.stepWith(t, pack, o)
				o.Device = g.backend
				_, want, wantGrads := g.stepWith(t, pack, o)
				for i := range want {
					if math.Abs(want[i]-plain[i]) > math.Abs(plain[i])/512 {
						t.Errorf("%s, %s: log-probability %d is %v, in float32 %v", name, what, i, want[i], plain[i])
					}
				}
				if d := distance(wantGrads, plainGrads); d == 0 || d > 1./64 {
					t.Errorf("%s, %s: gradients are %v of their length away", name, what, d)
				}
				for _, save := range exec.SavePolicies {
					if what == "tiles" && save != exec.SaveTiled {
						continue
					}
					o.Save = save
					_, got, grads := g.stepWith(t, pack, o)
					sameBits(t, fmt.Sprintf("%s, %s, %s: log-probabilities", name, what, save), got, want)
					sameBits(t, fmt.Sprintf("%s, %s, %s: gradients", name, what, save), grads, wantGrads)
				}
			}
		}
	}
}

// distance is |x-y| over |y|.
func distance(x, y []float64) float64 {
	var far, long float64
	for i := range x {
		far, long = far+(x[i]-y[i])*(x[i]-y[i]), long+y[i]*y[i]
	}
	return math.Sqrt(far / long)
}

// sides is a device that rounds the sides of products to a type, whatever it really does.
type sides struct {
	device.Backend
	Rounds device.Type
}

func (s sides) Rounded() device.Type { return s.Rounds }

// RoundedCols is that of the device, of whole panels where there is none.
func (s sides) RoundedCols() int {
	if r, is := s.Backend.(device.Rounder); is {
		return r.RoundedCols()
	}
	return 32
}

// Slopes says whether the device gives them.
func (s sides) Slopes() bool {
	d, is := s.Backend.(device.Sloper)
	return is && d.Slopes()
}

// roundedGolden is a model on products of bf16, whose widths are whole panels but for that of its
// feed-forward part.
func roundedGolden(t *testing.T, l model.LoRAConfig, intermediate int) *golden {
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
	c.NumLayers, c.VocabSize, c.IntermediateSize = 4, 64, intermediate // one of four keeps up
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
