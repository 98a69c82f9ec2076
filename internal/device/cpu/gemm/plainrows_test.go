package gemm

import (
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// A product that reads the rows of an x in bfloat16 has the bits of one that packs them, and
// takes less workspace.
func TestSweepsTakeRows(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if typ != device.BF16 || !set.BF16.HasSweepRows(set.BF16.Rows) {
			t.Skip("no sweeps of plain rows")
		}
		for _, form := range []kind{
			{name: "nt", packed: device.BF16, bias: true}, {name: "nn", packed: device.BF16, across: true, accumulate: true}, {name: "source", source: true},
			{name: "lora", packed: device.BF16, rank: 16, down: true}, {name: "lora of rank 3", packed: device.BF16, rank: 3, down: true},
			{name: "lora_dx", packed: device.BF16, across: true, rank: 5},
		} {
			for _, s := range [][3]int{{52, 96, 64}, {170, 320, 48}, {183, 70, 688}, {601, 688, 256}} {
				all := newTrial(t, set, form, s[0], s[1], s[2])
				p, e := &all.p, engine(t, set, typ, 2)
				p.X = halved(set, tightTo(p.X, s[2]))
				run1(t, e, p)
				y, u := slices.Clone(p.Y.Data), slices.Clone(p.LowRank.U.Data)
				packed := e.Sizes(p)
				copy(p.Y.Data, all.initial)
				p.XPasses = true
				if !e.TakesRows(p) || e.Sizes(p).Shared >= packed.Shared {
					t.Fatalf("%s %v: takes rows: %v, %d bytes of %d", form.name, s, e.TakesRows(p), e.Sizes(p).Shared, packed.Shared)
				}
				run1(t, e, p)
				for i := range p.M {
					from, low := i*p.Y.Stride, i*p.LowRank.U.Stride
					if !slices.Equal(p.Y.Data[from:][:p.N], y[from:][:p.N]) || !slices.Equal(p.LowRank.U.Data[low:][:p.LowRank.R], u[low:][:p.LowRank.R]) {
						t.Fatalf("%s %v: row %d differs", form.name, s, i)
					}
				}
			}
		}
	})
}

// Where the rows of x are too long, few or set apart, under a mask, or not all that a product
// reads, it packs them.
func TestPacksOtherRows(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if typ != device.BF16 || !set.BF16.HasSweepRows(set.BF16.Rows) {
			t.Skip("no sweeps of plain rows")
		}
		lora := kind{name: "lora", packed: device.BF16, rank: 16, down: true}
		for _, c := range []struct {
			name    string
			m, n, k int
			form    kind
			change  func(p *Product)
		}{
			{"long rows", 183, 64, 1024, lora, func(*Product) {}},
			{"few rows", 14, 64, 64, lora, func(*Product) {}},
			{"a high rank", 183, 64, 64, kind{packed: device.BF16, rank: 17, down: true}, func(*Product) {}},
			{"rows set apart", 183, 64, 64, lora, func(p *Product) { p.X = Matrix{Half: make([]uint16, 183*96), Stride: 96} }},
			{"a mask", 183, 64, 64, lora, func(p *Product) { p.LowRank.XKept = Mask{Bits: make([]uint32, 183*2), Stride: 2} }},
			{"x kept", 183, 64, 64, lora, func(p *Product) { p.XPasses = false }},
		} {
			p, e := &newTrial(t, set, c.form, c.m, c.n, c.k).p, engine(t, set, typ, 2)
			p.X, p.XPasses = halved(set, tightTo(p.X, c.k)), true
			if c.change(p); e.TakesRows(p) {
				t.Errorf("%s: rows are read", c.name)
			}
		}
	})
}
