package cpu

import (
	"fmt"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// Attention's gradient has the same bits where the rows of a head are shared out, of
// all documents or of the long one alone, over several chunks and blocks of keys, and where
// some rows see nothing.
func TestGradWavesKeepTheBits(t *testing.T) {
	for _, c := range []struct {
		attr     device.Attention
		lengths  []int
		prefixed []bool
		blind    int // rows up to here see none of the first keys
		threads  []int
	}{
		{device.Attention{Heads: 3, KVHeads: 1, HeadDim: 64, Scale: 0.2}, []int{331, 5, 764, 1}, []bool{false, true, true, false}, 0, []int{2, 5, 16}},
		{device.Attention{Heads: 4, KVHeads: 2, HeadDim: 40, Scale: -0.1}, []int{700, 30, 40, 50}, []bool{false, false, false, false}, 0, []int{5}},
		{device.Attention{Heads: 2, KVHeads: 2, HeadDim: 32, Scale: 0.1}, []int{90, 17}, []bool{false, true}, 0, []int{16}},
		{device.Attention{Heads: 2, KVHeads: 1, HeadDim: 64, Scale: 0.1}, []int{470}, []bool{false}, 290, []int{5}},
	} {
		in := draw(c.attr, c.lengths, c.prefixed)
		for i := range c.blind {
			in.masks[2][i] = int32(c.blind - 10)
		}
		for level := feature.Generic; level <= feature.Highest; level++ {
			for _, precision := range []device.Type{device.F32, device.BF16} {
				if !feature.Has(level) || testing.Short() && level == feature.Generic && len(in.masks[0]) > 200 {
					continue // minutes under the race detector
				}
				on := func(t *testing.T, threads int) [][]float32 {
					b := start(t, Options{Threads: threads, Activations: device.F32, Level: &level, Precision: precision})
					return longAttention{t, b, c.attr}.all(in)
				}
				t.Run(fmt.Sprintf("%s/%s/%d", level, precision, c.threads), func(t *testing.T) {
					want := on(t, 1)
					for _, threads := range c.threads {
						got := on(t, threads)
						for i, name := range []string{"o", "lse", "dq", "dk", "dv"} {
							if !slices.Equal(got[i], want[i]) {
								t.Errorf("%s has other bits on %d threads", name, threads)
							}
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
		{24, 4, []int{256, 256, 256, 256, 256, 256, 256, 256}, 0}, // of 8 blocks each
	} {
		for _, level := range []feature.Level{feature.AVX2, feature.AMX} {
			if !feature.Has(level) {
				continue // portable Go shares out rows and keys by themselves
			}
			g := packed(t, level, c.threads, device.Attention{Heads: c.kvHeads, KVHeads: c.kvHeads, HeadDim: 32}, c.lengths)
			bytes := g.waves.divide()
			if len(g.waves.groups) != c.waves || len(g.groups) != len(c.lengths)-c.waves || (bytes > 0) != (c.waves > 0) {
				t.Errorf("%s, %d threads, %d heads, documents of %v: %d in waves, %d whole, %d bytes; want %d in waves",
					level, c.threads, c.kvHeads, c.lengths, len(g.waves.groups), len(g.groups), bytes, c.waves)
			}
		}
	}
}

// packed is attention's gradient before documents of such lengths are shared out.
func packed(t *testing.T, level feature.Level, threads int, attr device.Attention, lengths []int) *flashGrad {
	o := Options{Threads: threads, Activations: device.F32, Level: &level}
	if level == feature.AMX {
		o.Precision = device.BF16
	}
	b := start(t, o)
	shared, err := newAttend[float32](b, "attention_grad", attr)
	if err != nil {
		t.Fatal(err)
	}
	g := b.fast.newFlashGrad(shared)
	for _, n := range lengths {
		g.groups = append(g.groups, spanGroup{len(g.spans), len(g.spans) + 1})
		g.spans = append(g.spans, span{start: g.tokens, end: g.tokens + n, segmentStart: g.tokens})
		g.tokens += n
	}
	return g
}

// Workers that take the tasks of a wave on the tiles as they come end at nearly the same
// time, counted in panels of queries by parts of keys: of the five products of such a pair
// the weights' phase has three, and the sums' two.
func TestTileWavesHaveEvenShares(t *testing.T) {
	if !feature.Has(feature.AMX) {
		t.Skip("the tiles' kernel is there at amx alone")
	}
	for _, c := range []struct {
		attr    device.Attention
		lengths []int
	}{
		{device.Attention{Heads: 12, KVHeads: 4, HeadDim: 64}, []int{512, 512}},
		{device.Attention{Heads: 12, KVHeads: 4, HeadDim: 64}, []int{512}},
		{device.Attention{Heads: 32, KVHeads: 8, HeadDim: 64}, []int{512}},
		{device.Attention{Heads: 32, KVHeads: 8, HeadDim: 64}, []int{2048}},
		{device.Attention{Heads: 32, KVHeads: 8, HeadDim: 128}, []int{4000}},
	} {
		for _, threads := range []int{12, 16, 24, 32} {
			g := packed(t, feature.AMX, threads, c.attr, c.lengths)
			g.waves.divide()
			if len(g.waves.groups) != len(c.lengths) {
				t.Errorf("%d heads, %v on %d threads: %d documents in waves, want all", c.attr.KVHeads, c.lengths, threads, len(g.waves.groups))
			}
			d := dealt{w: &g.waves.tiled, loads: make([]int, threads)}
			for i := range g.spans {
				d.span(&g.spans[i])
			}
			if share := float64(d.all) / float64(threads*d.longest); share < 0.85 {
				t.Errorf("%d heads, %v on %d threads: the mean worker has %.2f of what the busiest does", c.attr.KVHeads, c.lengths, threads, share)
			}
		}
	}
}

// dealt is the work of waves: all of it, and what the busiest worker of each phase has.
type dealt struct {
	w            *tileWaves
	loads        []int
	all, longest int
}

func (d *dealt) span(s *span) {
	w := d.w
	for from := s.start; from < s.end; from += w.tiles[0].positions {
		for w.take(s, from); w.next(); w.first += len(w.wave) {
			d.phase(w.attend.group*w.groups, 3, func(thing, at int, b keyBlock) int {
				return d.panels(w.groups-1-thing/w.attend.group, at, b)
			})
			d.phase(w.keyParts(), 2, func(thing, at int, b keyBlock) (n int) {
				if b.key+at != w.wave[0].key+thing*tilePart {
					return 0
				}
				for group := range w.groups {
					n += w.attend.group * d.panels(group, at, b)
				}
				return n
			})
		}
	}
}

// panels is how many panels of a group see keys of a block from one on.
func (d *dealt) panels(group, at int, b keyBlock) int {
	t := d.w.tiles[0]
	t.panels, t.grouped = d.w.panels, waveGroup
	return max(0, t.tile(0, group*waveGroup, at, b).panels)
}

// phase deals out things of each key/value head, that have so many panels at a part of the
// keys, each panel of some cost.
func (d *dealt) phase(things, cost int, panels func(thing, at int, b keyBlock) int) {
	clear(d.loads)
	for task := range things * d.w.attr.KVHeads {
		n := 0
		for _, b := range d.w.wave {
			for at := 0; at < b.n; at += tilePart {
				n += cost * panels(task/d.w.attr.KVHeads, at, b)
			}
		}
		d.loads[slices.Index(d.loads, slices.Min(d.loads))] += n
		d.all += n
	}
	d.longest += slices.Max(d.loads)
}
