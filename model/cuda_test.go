//go:build linux && (amd64 || arm64) && !nogpu

package model_test

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/exec"
	"align/internal/fixture"
	"align/model"
)

// On a card the inputs of products are rounded to bfloat16, by 2^-9 of
// themselves at most. In the tiny model 13 products follow one another to the
// logits (six in each of two layers, and the head): as random errors of two
// inputs each they add up to at most sqrt(13) 2^-8. A log-probability is a
// difference of two such logits; a loss, whose sum of 30 log-probabilities has
// errors of either sign, is held to a fifth of that. The gradient's way is twice
// as long.
var (
	cardLogits   = math.Sqrt(13) / 256
	cardLogProbs = math.Sqrt2 * cardLogits
	cardLoss     = cardLogProbs / 5
	cardGrads    = math.Sqrt(2*13) / 256
)

// openCard opens a real card where ALIGN_TEST_GPU is 1, else the simulator. It
// looks for races in the conformance suite.
func openCard(t *testing.T, target cudatest.Target) *cuda.Backend {
	t.Helper()
	if testing.Short() {
		t.Skip("the simulator is slow, above all with the race detector")
	}
	b, err := cuda.OpenOn(cudatest.LibraryTarget(t, target, false), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func openCardGolden(t *testing.T, target cudatest.Target, name string) *golden {
	t.Helper()
	if testing.Short() {
		t.Skip("the simulator is slow, above all with the race detector")
	}
	dir := fixture.Path(t)
	g := openGoldenOn(t, dir, name, device.BF16, openCard(t, target))
	g.grads = cardGrads
	return g
}

// onCards runs a test of the tiny model with packs of more than 64 tokens on each
// generation of cards.
func onCards(t *testing.T, test func(t *testing.T, g *golden)) {
	for _, target := range cudatest.Targets() {
		t.Run(target.String(), func(t *testing.T) {
			test(t, openCardGolden(t, target, "tiny"))
			sum := int64(0)
			for _, kernel := range []string{"wgmma_nt_wide", "wgmma_nt_square"} {
				n, _ := cudatest.Launches(kernel)
				sum += n
			}
			if t.Logf("%d products x W' on wgmma", sum); target == cudatest.Hopper && sum == 0 {
				t.Error("no product ran on wgmma")
			}
		})
	}
}

func TestCardLogitsEqualTheReference(t *testing.T) {
	g := openCardGolden(t, cudatest.Ampere, "tiny")
	for _, c := range []struct {
		file    string
		pack    *datasets.Pack
		adapter *model.Adapter
	}{{"logits_base", g.whole(), nil}, {"logits_lora", g.whole(), g.adapter}, {"logits_docs", g.documents(), nil}} {
		want := npy(t, filepath.Join(g.dir, c.file+".npy"))
		within(t, c.file, difference(t, g.logits(t, c.pack, c.adapter), want)/largest(want), cardLogits)
	}
	scale := largest(npy(t, filepath.Join(g.dir, "logits_lora.npy")))
	var want []float64
	p := g.documents()
	for _, row := range p.Rows {
		want = append(want, g.LogProbsDocs[row+1])
	}
	within(t, "log-probabilities", difference(t, g.logProbs(t, p, g.adapter), want)/scale, cardLogProbs)
}

func TestCardSFTEqualsTheReference(t *testing.T) { onCards(t, cardSFTEqualsTheReference) }

func cardSFTEqualsTheReference(t *testing.T, g *golden) {
	p, weights := g.sftBatch(t), g.sftWeights(t)
	var grads []float64
	for _, save := range []exec.SavePolicy{exec.SaveNone, exec.SaveAll} {
		loss := g.train(t, p, save, 0, weighted, map[string][]float64{"weights": weights})
		within(t, "loss", math.Abs(loss/g.SFTToken-1), cardLoss)
		g.gradsEqual(t, "sft_grads_token.safetensors")
		got, err := model.ReadFloats(g.backend, nil, g.adapter.Grad)
		if err != nil {
			t.Fatal(err)
		}
		if grads != nil && !slices.Equal(got, grads) {
			t.Error("activations computed again lead to other bits than kept ones")
		}
		grads = got
	}
}

func TestCardDPOEqualsTheReference(t *testing.T) { onCards(t, cardDPOEqualsTheReference) }

func cardDPOEqualsTheReference(t *testing.T, g *golden) {
	pack, inputs := g.dpoBatch(t)
	loss := g.train(t, pack, exec.SaveAttention, len(g.DPO.Pairs), dpoLoss(0.1, 0, 0), inputs)
	within(t, "loss", math.Abs(loss/g.DPO.Loss-1), cardLoss)
	g.gradsEqual(t, "dpo_b0.1_grads.safetensors")
}

// A token decoded over a paged cache has the bits of the same token in a pack,
// also where its kernels are replayed as a graph.
func TestCardDecodingHasTheBitsOfThePack(t *testing.T) { onCards(t, cardDecodingHasTheBitsOfThePack) }

func cardDecodingHasTheBitsOfThePack(t *testing.T, g *golden) {
	if b, is := g.backend.(*cuda.Backend); is && b.Products() == "wgmma" && cudatest.Apart() {
		t.Skip("mma.sync and wgmma add in ways of their own, and a pack is made by wgmma")
	}
	ids := g.long()[:80]
	p := &datasets.Pack{}
	document(p, ids)
	want := g.logits(t, p, g.adapter)
	r := newSequenceRun(t, g, g.adapter, 50)
	var got []float32
	for from := 0; from < len(ids); {
		n := min(50, len(ids)-from)
		if from >= 50 && from < 70 {
			n = 1 // across a page's border by single tokens
		}
		got = append(got, r.feed(t, ids[from:from+n])...)
		from += n
	}
	equalLogits(t, "chunks", got, want)
	// Of 20 single tokens two run by themselves.
	if n, counted := cudatest.Calls("cuGraphLaunch"); counted && n != 18 {
		t.Errorf("%d runs were replayed as graphs, want 18", n)
	}
}

// apart is a card that does each step by a kernel of its own.
type apart struct{ *cuda.Backend }

func (apart) Joins(string) bool { return false }

// What one kernel does for several steps has their bits, in decoding and in training,
// and a decoded token takes five launches less in each layer: for the rotations of q and
// k and what is written of k and v, and for both sums and the norms behind them.
func TestCardJoinedStepsKeepTheBits(t *testing.T) {
	type result struct {
		logits, grads []float64
		launches      int
	}
	of := func(open func(*cuda.Backend) device.Backend) (r result, layers int) {
		g := openGoldenOn(t, fixture.Path(t), "tiny", device.BF16, open(openCard(t, cudatest.Ampere)))
		s, ids := newSequenceRun(t, g, nil, 8), g.long()
		for _, x := range s.feed(t, ids[:8]) {
			r.logits = append(r.logits, float64(x))
		}
		before, _ := cudatest.Calls("cuLaunchKernel")
		for _, x := range s.feed(t, ids[8:9]) {
			r.logits = append(r.logits, float64(x))
		}
		after, _ := cudatest.Calls("cuLaunchKernel")
		r.launches = after - before
		p := g.documents()
		weights := make([]float64, p.Sequences)
		for i := range weights {
			weights[i] = 0.5
		}
		g.train(t, p, exec.SaveTiled, 0, weighted, map[string][]float64{"weights": weights})
		var err error
		if r.grads, err = model.ReadFloats(g.backend, nil, g.adapter.Grad); err != nil {
			t.Fatal(err)
		}
		return r, g.model.Config.NumLayers
	}
	want, layers := of(func(b *cuda.Backend) device.Backend { return apart{b} })
	got, _ := of(func(b *cuda.Backend) device.Backend { return b })
	if !slices.Equal(got.logits, want.logits) || !slices.Equal(got.grads, want.grads) {
		t.Error("joined steps have other bits")
	}
	if _, counted := cudatest.Calls("cuLaunchKernel"); counted && got.launches != want.launches-5*layers {
		t.Errorf("a token takes %d launches where it took %d: want %d less", got.launches, want.launches, 5*layers)
	}
}

// Dropout draws the CPU's bits.
func TestCardDropoutIsTheCPUs(t *testing.T) {
	host, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	const rows, cols = 33, 77
	x, key := make([]float32, rows*cols), make([]int32, rows)
	for i := range x {
		x[i] = float32(i%13) - 5.5
	}
	for i := range key {
		key[i] = int32(i*i*977 - 5)
	}
	draw := func(b device.Backend) []float32 {
		k, err := b.Bind("dropout", device.Dropout{P: 0.3, Stream: 9})
		if err != nil {
			t.Fatal(err)
		}
		m, err := b.Alloc(3 * 4 * rows * cols)
		if err != nil {
			t.Fatal(err)
		}
		in, out := m.At(0, device.F32, rows, cols), m.At(4*rows*cols, device.F32, rows, cols)
		keys, seed := m.At(8*rows*cols, device.I32, rows, 1), m.At(8*rows*cols+4*rows, device.I32, 2, 1)
		for v, words := range map[device.View][]int32{keys: key, seed: {-7, 1 << 30}} {
			if err := b.Upload(v, littleEndian(t, words)); err != nil {
				t.Fatal(err)
			}
		}
		if err := model.WriteFloats(b, in, x); err != nil {
			t.Fatal(err)
		}
		if err := k(&device.Call{Out: []device.View{out}, In: []device.View{in, keys, seed}}); err != nil {
			t.Fatal(err)
		}
		got, err := model.ReadFloat32s(b, out)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if !slices.Equal(draw(host), draw(openCard(t, cudatest.Ampere))) {
		t.Error("the draws differ")
	}
}

func littleEndian(t *testing.T, words []int32) []byte {
	t.Helper()
	raw, err := binary.Append(nil, binary.LittleEndian, words)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The same errors, and the card is there after them.
func TestCardIndicesOutsideTheirTables(t *testing.T) {
	testIndices(t, openCard(t, cudatest.Ampere), device.BF16)
}
