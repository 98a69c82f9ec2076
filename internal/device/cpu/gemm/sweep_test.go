package gemm

import (
	"fmt"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// A product that goes by sweeps gives the bits that its rows have a few at a time.
func TestSweepsHaveTheBitsOfTiles(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if !engine(t, set, typ, 1).tiles.HasSweep(14) {
			return // its rows go by tiles alone
		}
		for _, k := range kinds {
			if k.xAcross || k.drops || k.packed == device.F32 && typ != device.F32 {
				continue
			}
			for _, depth := range []int{41, 2100} {
				t.Run(fmt.Sprintf("%s/k=%d", k.name, depth), func(t *testing.T) { checkSweeps(t, set, typ, k, depth) })
			}
		}
	})
}

func checkSweeps(t *testing.T, set *kern.Set, typ device.Type, k kind, depth int) {
	const m, n, few = 170, 70, 5
	e, tr := engine(t, set, typ, 2), newTrial(t, set, k, m, n, depth)
	initial := tr.p.Y
	tr.p.Y.Data = slices.Clone(initial.Data)
	run1(t, e, &tr.p)
	if !e.run.sweeping {
		t.Error("the product does not sweep")
	}
	for row := 0; row < m; row += few * 3 {
		q := tr.p.Rows(row, few)
		q.Y = initial.from(row)
		run1(t, e, &q)
		for i := range few {
			at := (row + i) * initial.Stride
			if !slices.Equal(tr.p.Y.Data[at:at+n], initial.Data[at:at+n]) {
				t.Fatalf("row %d differs", row+i)
			}
		}
	}
}

// A y that sweeps write in bfloat16 is y rounded.
func TestSweepsRound(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if typ != device.BF16 || !set.BF16.SweepsHalf() {
			return
		}
		for _, form := range []kind{
			{name: "nt", packed: device.BF16}, {name: "nn", packed: device.BF16, across: true}, {name: "plain", across: true},
			{name: "lora", packed: device.BF16, rank: 16, down: true}, {name: "lora_dx", packed: device.BF16, across: true, rank: 5},
		} {
			for _, s := range [][3]int{{13, 96, 64}, {170, 320, 70}, {183, 64, 1100}, {183, 80, 70}, {170, 48, 1100}, {5, 48, 64}} {
				p := &newTrial(t, set, form, s[0], s[1], s[2]).p
				e := engine(t, set, typ, 2)
				run1(t, e, p)
				want := halved(set, tightTo(p.Y, s[1]))
				p.Y = Matrix{Half: make([]uint16, len(want.Half)), Stride: want.Stride}
				if !e.RoundsY(p) {
					t.Fatalf("%s %v: y is not rounded", form.name, s)
				}
				if run1(t, e, p); !slices.Equal(p.Y.Half, want.Half) {
					t.Errorf("%s %v: y is not that of float32, rounded", form.name, s)
				}
			}
		}
	})
}

// What lies behind a product is added to its sums.
func TestSweepsAddBehind(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		e, took := engine(t, set, typ, 2), 0
		for _, form := range []kind{
			{name: "nt", packed: typ}, {name: "bias", packed: typ, bias: true}, {name: "nn", packed: typ, across: true, accumulate: true},
			{name: "lora", packed: typ, rank: 16, down: true}, {name: "source", source: true},
		} {
			for _, s := range [][3]int{{1, 64, 40}, {13, 96, 64}, {14, 32, 96}, {170, 64, 96}, {183, 96, 2300}, {170, 70, 96}} {
				tr := newTrial(t, set, form, s[0], s[1], s[2])
				p := &tr.p
				if p.Behind = randomMatrix(newRand(1), s[0], s[1], p.Y.Stride-s[1]); !e.AddsBehind(p) {
					continue
				}
				took++
				alone := *p
				alone.Behind, alone.Y.Data = Matrix{}, slices.Clone(p.Y.Data)
				run1(t, e, &alone)
				run1(t, e, p)
				for i, y := range p.Y.Data {
					if i%p.Y.Stride < s[1] && y != alone.Y.Data[i]+p.Behind.Data[i] {
						t.Fatalf("%s %v: element %d is %g, want %g more than %g", form.name, s, i, y, p.Behind.Data[i], alone.Y.Data[i])
					}
				}
			}
		}
		if sweeps := e.tiles.HasSweep(14); sweeps != (took > 0) {
			t.Errorf("%d products add what lies behind, of a level that sweeps: %v", took, sweeps)
		}
	})
}
