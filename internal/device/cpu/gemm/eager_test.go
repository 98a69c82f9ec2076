package gemm

import (
	"math"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Decoding and the pass over a whole text must agree to the bit: rows of which two
// or three tiles are made have the bits of many, with one worker and with two.
func TestEagerRowsHaveTheBitsOfMany(t *testing.T) {
	const many = 90
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		columns := []int{33, 300}
		if set.F32.Rows != 14 { // no eager tiles: rows take the ways that TestRowsArePlaceInvariant has
			columns = columns[:1]
		}
		for _, k := range []int{1, 70, 2600} {
			for _, n := range columns {
				form := kind{packed: typ, bias: k == 70, accumulate: k == 70}
				whole := newTrial(t, set, form, many, n, k)
				before := append([]float32(nil), whole.p.Y.Data...)
				run1(t, engine(t, set, typ, 2), &whole.p)
				for _, m := range []int{15, 16, 28, 29, 42} {
					for threads := 1; threads <= 2; threads++ {
						e := engine(t, set, typ, threads)
						part := whole.p
						part.M = m
						part.Y.Data = append([]float32(nil), before...)
						run1(t, e, &part)
						for i := range m * part.Y.Stride {
							if got, want := part.Y.Data[i], whole.p.Y.Data[i]; math.Float32bits(got) != math.Float32bits(want) {
								t.Fatalf("K=%d N=%d, %d rows: element %d is %g, of %d rows %g", k, n, m, i, got, many, want)
							}
						}
					}
				}
			}
		}
	})
}

// A task's tiles bring in its next panels and, last, the first of a later task.
func TestNextEager(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		e := engine(t, set, typ, 2)
		p := &newTrial(t, set, kind{packed: typ}, 16, 1024, 2600).p
		r := &e.run
		r.plan(e, p)
		if r.eager != (set.F32.Rows == 14 && e.tiles.Depth == 1) {
			t.Fatalf("eager is %v", r.eager)
		}
		if !r.eager {
			return
		}
		w, s := r.W.Packed, span{rowTo: r.panels, colTo: r.taskPanels}
		last := (r.words - 1) / blockWords * blockWords
		for _, c := range []struct {
			j, k int
			want unsafe.Pointer
		}{
			{0, 0, w.panel(1, 0)}, {s.colTo - 1, 0, w.panel(0, blockWords)}, {0, last, w.panel(1, last)},
			{s.colTo - 1, last, w.panel(2*r.taskPanels, 0)},
		} {
			if got, _ := r.nextEager(c.j, s, c.k, min(blockWords, r.words-c.k)); got != c.want {
				t.Errorf("panel %d, word %d: brings in what is %d bytes into the weight, want %d", c.j, c.k, uintptr(got)-uintptr(w.Data), uintptr(c.want)-uintptr(w.Data))
			}
		}
	})
}
