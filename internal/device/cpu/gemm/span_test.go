package gemm

import (
	"slices"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// A product by spans has the bits of one by tiles, whether y is written past the
// caches or not, on any number of threads.
func TestSpans(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if engine(t, set, typ, 1).tiles.Span == nil {
			t.Skip("the level has no spans")
		}
		tiled := *set
		tiled.BF16.Span = nil
		forms := []kind{
			{name: "nt", packed: device.BF16}, {name: "nn", packed: device.BF16, across: true}, {name: "plain", xAcross: true, across: true, accumulate: true},
			{name: "lora", packed: device.BF16, rank: 16, down: true, bias: true}, {name: "lora_dx", packed: device.BF16, across: true, rank: 40, accumulate: true},
			{name: "dropped", packed: device.BF16, across: true, rank: 16, drops: true, accumulate: true}, {name: "dropped_first", across: true, rank: 40, drops: true},
			{name: "short", across: true, rank: 5}, {name: "short_nt", bias: true},
		}
		for _, form := range forms {
			for _, s := range [][3]int{{17, 96, 64}, {75, 32, 2592}, {513, 544, 288}, {70, 64, 16}, {33, 96, 2085}, {140, 96, 2592}, {1060, 64, 2085}} {
				if s[2]%32 != 0 && form.packed != 0 && !form.across {
					continue // w is read where it lies
				}
				want := spanTrial(t, &tiled, typ, form, s, 1)
				for _, threads := range []int{1, 2, 16} {
					if got := spanTrial(t, set, typ, form, s, threads); !slices.Equal(got, want) {
						t.Errorf("%s %v, %d threads: a span differs from its tiles", form.name, s, threads)
					}
				}
			}
		}
	})
}

// What lies behind a product is added to its sums, whether y is written past the caches
// or not.
func TestSpansAddBehind(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if engine(t, set, typ, 1).tiles.Span == nil {
			t.Skip("the level has no spans")
		}
		for _, form := range []kind{
			{name: "nt", packed: device.BF16}, {name: "bias", packed: device.BF16, bias: true}, {name: "nn", packed: device.BF16, across: true, accumulate: true},
			{name: "lora", packed: device.BF16, rank: 16, down: true}, {name: "dropped", packed: device.BF16, across: true, rank: 16, drops: true},
		} {
			for _, s := range [][3]int{{145, 96, 64}, {1050, 288, 64}, {1056, 256, 2592}} {
				p := &newTrial(t, set, form, s[0], s[1], s[2]).p
				p.Alpha = 1
				p.Y = inLines(p.Y, s[0], s[1])
				e, alone := engine(t, set, typ, 2), *p
				alone.Y.Data = inLines(p.Y, s[0], s[1]).Data
				if p.Behind = inLines(randomMatrix(newRand(1), s[0], s[1], 0), s[0], s[1]); !e.AddsBehind(p) {
					t.Fatalf("%s %v: what lies behind is not added", form.name, s)
				}
				run1(t, e, &alone)
				run1(t, e, p)
				for i, y := range p.Y.Data {
					if want := alone.Y.Data[i] + p.Behind.Data[i]; y != want {
						t.Fatalf("%s %v: element %d is %g, want %g", form.name, s, i, y, want)
					}
				}
			}
		}
	})
}

// inLines is a copy of m whose rows are whole lines.
func inLines(m Matrix, rows, cols int) Matrix {
	y := Matrix{Data: unsafe.Slice((*float32)(memory(int64(4*rows*cols))), rows*cols), Stride: cols}
	for i := range rows {
		copy(y.Data[i*cols:][:cols], m.Data[i*m.Stride:])
	}
	return y
}

// spanTrial is y of a product with alpha 1 whose rows are whole lines.
func spanTrial(t *testing.T, set *kern.Set, typ device.Type, form kind, s [3]int, threads int) []float32 {
	p := &newTrial(t, set, form, s[0], s[1], s[2]).p
	p.Alpha = 1
	p.Y = inLines(p.Y, s[0], s[1])
	e := engine(t, set, typ, threads)
	var r run
	if r.plan(e, p); r.spans() != (e.tiles.Span != nil) {
		t.Fatalf("%s %v: spans is %v", form.name, s, r.spans())
	}
	run1(t, e, p)
	return p.Y.Data
}
