//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/devicetest"
)

// Rows over a cache of several parts have the bits of the pack's rows: those that go
// through the parts and those whose blocks have one part each, with heads that share
// keys in one block and, with more rows, in blocks of their own.
func TestLongCache(t *testing.T) {
	attr := device.Attention{Heads: 2, KVHeads: 1, HeadDim: 12, Scale: 0.4}
	for _, act := range []device.Type{device.BF16, device.F32} {
		t.Run(act.String(), func(t *testing.T) { devicetest.CheckLongCache(t, openRacing(t, act == device.BF16), act, attr) })
	}
	if n, simulated := cudatest.Launches("attention_join_f32"); simulated && n == 0 {
		t.Error("no parts were added up")
	}
}

// So they have on Hopper, whose packs are attended by wgmma, where that adds as mma.sync
// does.
func TestLongCacheOfHopper(t *testing.T) {
	if !addAlike(t) {
		t.Skip("so a decoded row behind such a pack has not its bits")
	}
	devicetest.CheckLongCache(t, openHopper(t), device.BF16, device.Attention{Heads: 1, KVHeads: 1, HeadDim: 64, Scale: 0.3})
}

// longCache is a row of a sequence over a cache of 40 pages: three parts.
func longCache(t *testing.T, b *cuda.Backend, attr device.Attention) (c *device.Call, own device.View) {
	t.Helper()
	const pages = 40
	r := &trial{t, b, random(3)}
	ints := func(rows, cols int, x ...int32) device.View {
		m, err := b.Alloc(int64(4 * len(x)))
		if err != nil {
			t.Fatal(err)
		}
		v := m.At(0, device.I32, rows, cols)
		setInts(t, b, v, x...)
		return v
	}
	var list []int32
	for _, i := range r.r.Perm(pages) {
		list = append(list, int32(i))
	}
	width := attr.KVHeads * attr.HeadDim
	q, keys, values := r.array(1, attr.Heads*attr.HeadDim, 1), r.array(pages*device.PageRows, width, 1), r.array(pages*device.PageRows, width, 1)
	own = ints(1, 1, 1000)
	return &device.Call{Out: []device.View{r.room(device.BF16, 1, attr.Heads*attr.HeadDim)},
		In: []device.View{q.view, keys.view, values.view, ints(1, 1, 0), own, ints(1, pages, list...), ints(1, 1, 0)}}, own
}

func setInts(t *testing.T, b *cuda.Backend, v device.View, x ...int32) {
	t.Helper()
	var raw []byte
	for _, i := range x {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(i))
	}
	if err := b.Upload(v, raw); err != nil {
		t.Fatal(err)
	}
}

// What was captured with a short cache is right with a long one: lengths are read on
// the card.
func TestCaptureOfAGrowingCache(t *testing.T) {
	b := openCard(t)
	attr := device.Attention{Heads: 4, KVHeads: 2, HeadDim: 8, Scale: 0.3}
	c, own := longCache(t, b, attr)
	attend, err := b.Bind("attention_cached", attr)
	if err != nil {
		t.Fatal(err)
	}
	run := func() error { return attend(c) }
	if err := run(); err != nil {
		t.Fatal(err)
	}
	replay, err := b.Capture(run)
	if err != nil {
		t.Fatal(err)
	}
	r, before := &trial{t, b, nil}, []float32(nil)
	for _, n := range []int32{1, 1000, 1024, 1025, 2049, 2560} {
		setInts(t, b, own, n)
		if err := run(); err != nil {
			t.Fatal(err)
		}
		want := r.read(c.Out[0])
		if err := b.Upload(c.Out[0], make([]byte, c.Out[0].Bytes())); err != nil {
			t.Fatal(err)
		}
		if err := replay(); err != nil {
			t.Fatal(err)
		}
		got := r.read(c.Out[0])
		if !slices.Equal(got, want) {
			t.Errorf("%d keys: what was captured makes other numbers", n)
		}
		if slices.Equal(got, before) {
			t.Errorf("%d keys: as with fewer", n)
		}
		before = got
	}
}

// A decoded row reads its keys and values once for all heads that share them, the parts
// are little beside them, and warps without lines do nothing but copy.
func TestCachedAttentionCounters(t *testing.T) {
	const keys = 2560
	b := openRacing(t, false)
	attr := device.Attention{Heads: 8, KVHeads: 2, HeadDim: 64, Scale: 0.1}
	c, own := longCache(t, b, attr)
	setInts(t, b, own, keys)
	k, err := b.Bind("attention_cached", attr)
	if err == nil {
		err = errors.Join(k(c), b.Sync())
	}
	if err != nil {
		t.Fatal(err)
	}
	s, simulated := cudatest.Counted("attention_cached_bf16_64")
	if !simulated {
		t.Skip("a real card does not count")
	}
	join, _ := cudatest.Counted("attention_join_bf16")
	once := float64(2 * 2 * keys * attr.KVHeads * attr.HeadDim)
	read, beside := float64(32*s.GlobalSectors)/once, float64(32*join.GlobalSectors)/once
	t.Logf("%.3f of the keys and values moved, and %.4f by adding up the parts; %.2f instructions per product", read, beside, s.PerProduct())
	if read > 1.03 || beside > 0.02 {
		t.Errorf("%.3f of the keys and values moved, and %.4f by adding up the parts: want at most 1.03 and 0.02", read, beside)
	}
	// One warp of four has lines to multiply: 64 products for a tile.
	if most := int64(keys / device.PageRows * attr.KVHeads * 64); s.Products != most || s.PerProduct() > 16.5 || s.Conflicts() > 1 || s.Local+join.Local > 0 {
		t.Errorf("%d products, %.2f instructions for one, %.2f wavefronts per needed one, %d uses of local memory: want %d, at most 16.5, 1 and 0",
			s.Products, s.PerProduct(), s.Conflicts(), s.Local+join.Local, most)
	}
}
