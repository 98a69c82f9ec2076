package cpu

import (
	"fmt"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// Attention's gradient has the same bits where the rows of a head are shared out, of
// all documents or of the long one alone.
func TestGradWavesKeepTheBits(t *testing.T) {
	for _, c := range []struct {
		attr     device.Attention
		lengths  []int
		prefixed []bool
		threads  int
	}{
		{device.Attention{Heads: 3, KVHeads: 1, HeadDim: 64, Scale: 0.2}, []int{331, 5, 564, 1}, []bool{false, true, true, false}, 2},
		{device.Attention{Heads: 4, KVHeads: 2, HeadDim: 40, Scale: -0.1}, []int{700, 30, 40, 50}, []bool{false, false, false, false}, 5},
		{device.Attention{Heads: 2, KVHeads: 2, HeadDim: 32, Scale: 0.1}, []int{90, 17}, []bool{false, true}, 16},
	} {
		for level := feature.Generic; level <= feature.Highest; level++ {
			for _, precision := range []device.Type{device.F32, device.BF16} {
				if !feature.Has(level) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%d", level, precision, c.threads), func(t *testing.T) {
					in := draw(c.attr, c.lengths, c.prefixed)
					var of [2][][]float32
					for i, threads := range []int{1, c.threads} {
						b := start(t, Options{Threads: threads, Activations: device.F32, Level: &level, Precision: precision})
						of[i] = longAttention{t, b, c.attr}.all(in)
					}
					for i, name := range []string{"o", "lse", "dq", "dk", "dv"} {
						if !slices.Equal(of[0][i], of[1][i]) {
							t.Errorf("%s has other bits on %d threads", name, c.threads)
						}
					}
				})
			}
		}
	}
}

// Waves are for what whole heads leave uneven: for all of it, for the longest
// documents, or for nothing.
func TestGradWavesTakeWhatIsUneven(t *testing.T) {
	for _, c := range []struct {
		threads, kvHeads int
		lengths          []int
		waves            int
	}{
		{1, 3, []int{512}, 0},
		{4, 8, []int{512}, 0},
		{16, 8, []int{512}, 1},
		{16, 4, []int{512, 512}, 2},
		{16, 4, []int{100, 100, 100, 100, 2000, 100}, 1},
		{16, 4, []int{100, 100, 100, 100, 100, 100, 100, 100}, 0},
	} {
		level := feature.AVX2
		if !feature.Has(level) {
			t.Skip("portable Go shares out rows and keys by themselves")
		}
		b := start(t, Options{Threads: c.threads, Activations: device.F32, Level: &level})
		attr := device.Attention{Heads: c.kvHeads, KVHeads: c.kvHeads, HeadDim: 32}
		shared, err := newAttend[float32](b, "attention_grad", attr)
		if err != nil {
			t.Fatal(err)
		}
		g := b.fast.newFlashGrad(shared)
		at := 0
		for _, n := range c.lengths {
			g.groups = append(g.groups, spanGroup{len(g.spans), len(g.spans) + 1})
			g.spans = append(g.spans, span{start: at, end: at + n, segmentStart: at})
			at += n
		}
		bytes := g.waves.divide()
		if len(g.waves.groups) != c.waves || len(g.groups) != len(c.lengths)-c.waves || (bytes > 0) != (c.waves > 0) {
			t.Errorf("%d threads, %d heads, documents of %v: %d in waves, %d whole, %d bytes; want %d in waves",
				c.threads, c.kvHeads, c.lengths, len(g.waves.groups), len(g.groups), bytes, c.waves)
		}
	}
}
