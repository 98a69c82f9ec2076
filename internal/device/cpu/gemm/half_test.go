package gemm

import (
	"slices"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// halved is m as bfloat16.
func halved(set *kern.Set, m Matrix) Matrix {
	half := make([]uint16, len(m.Data))
	set.ToBF16(half, m.Data)
	return Matrix{Half: half, Stride: m.Stride}
}

// A product has the same bits where a side is of bfloat16 already.
func TestHalfSides(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, form := range []kind{
			{name: "nt", packed: device.BF16}, {name: "plain"}, {name: "source", source: true}, {name: "down", packed: device.BF16, rank: 16, down: true},
			{name: "nn", packed: device.BF16, across: true}, {name: "tn", xAcross: true, across: true, accumulate: true},
		} {
			for _, s := range [][3]int{{1, 64, 32}, {16, 64, 96}, {45, 96, 160}, {100, 32, 2144}, {5, 64, 33}, {33, 96, 2081}, {183, 80, 48}, {33, 176, 2096}, {200, 688, 176}} {
				all := newTrial(t, set, form, s[0], s[1], s[2])
				p := &all.p
				side, cols := &p.X, s[2]
				if form.xAcross {
					side, cols = &p.W.Plain, s[1]
				}
				if cols%max(16, set.BF16.SideCols) != 0 {
					continue
				}
				*side = tightTo(*side, cols)
				e := engine(t, set, typ, 2)
				run1(t, e, p)
				want := slices.Clone(p.Y.Data)
				copy(p.Y.Data, all.initial)
				*side = halved(set, *side)
				if typ != device.BF16 {
					if err := e.Run(p, space(e, p)); err == nil || !strings.Contains(err.Error(), "bfloat16") {
						t.Fatalf("%s: error %v does not name bfloat16", form.name, err)
					}
					continue
				}
				run1(t, e, p)
				for i := range p.M {
					row := i * p.Y.Stride
					if !slices.Equal(p.Y.Data[row:row+p.N], want[row:row+p.N]) {
						t.Fatalf("%s %v: row %d differs", form.name, s, i)
					}
				}
			}
		}
	})
}

// A thin product of rows that are not packed has the bits of one of panels.
func TestThinTakesRows(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if typ != device.BF16 {
			t.Skip("sides are not rounded")
		}
		for _, form := range []kind{{name: "nt", bias: true}, {name: "nn", across: true, accumulate: true}} {
			for _, m := range []int{1, 33, 64, 100, 150} {
				for _, k := range []int{32, 96, 2144} {
					all := newTrial(t, set, form, m, 16, k)
					p, e := &all.p, engine(t, set, typ, 2)
					p.X = tight(p.X)
					run1(t, e, p)
					want := slices.Clone(p.Y.Data)
					copy(p.Y.Data, all.initial)
					p.X, p.XPasses = halved(set, p.X), true
					packed := *p
					packed.XPasses = false
					takes := set.BF16.ThinRows != nil && (e.TurnsLeft() || m >= 28 && k < 512)
					if rows := e.TakesRows(p); rows != takes || rows && m > 64 && e.Sizes(p).Shared >= e.Sizes(&packed).Shared {
						t.Fatalf("%s, %d rows: takes rows: %v, %d bytes of %d", form.name, m, rows, e.Sizes(p).Shared, e.Sizes(&packed).Shared)
					}
					run1(t, e, p)
					for i := range m {
						row := i * p.Y.Stride
						if !slices.Equal(p.Y.Data[row:row+16], want[row:row+16]) {
							t.Fatalf("%s, K=%d: row %d of %d differs", form.name, k, i, m)
						}
					}
				}
			}
		}
	})
}

// tight is m, whose rows newTrial sets apart, without what lies between them.
func tight(m Matrix) Matrix { return tightTo(m, m.Stride/32*32) }

// tightTo is tight for so many columns.
func tightTo(m Matrix, cols int) Matrix {
	out := Matrix{Stride: cols}
	for at := 0; cols > 0 && at < len(m.Data); at += m.Stride {
		out.Data = append(out.Data, m.Data[at:at+cols]...)
	}
	return out
}
