package gemm

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Sums over rows that lie plainly have the bits of a product, for any number of rows and
// threads.
func TestOuter(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if !engine(t, set, typ, 1).TakesOuter(kern.OuterCols, kern.OuterCols) {
			t.Skip("the level has no sums over rows")
		}
		for _, s := range [][2]int{{1, 16}, {31, 48}, {33, 144}, {1024, 256}, {1025, 128}, {2100, 320}} {
			for threads := 1; threads <= 3; threads++ {
				for _, accumulate := range []bool{false, true} {
					checkOuter(t, engine(t, set, typ, threads), Outer{M: s[0], K: s[1], Alpha: 1, Accumulate: accumulate})
					checkOuter(t, engine(t, set, typ, threads), Outer{M: s[0], K: s[1], Alpha: 1, Accumulate: accumulate, Across: true})
					checkOuter(t, engine(t, set, typ, threads), Outer{M: s[0], K: s[1], Alpha: 0.75, Accumulate: accumulate, Across: true})
					if engine(t, set, typ, threads).KeepsOuter(typ, s[1]) {
						kept := randomMask(newRand(s[0]), s[0], s[1])
						checkOuter(t, engine(t, set, typ, threads), Outer{M: s[0], K: s[1], Alpha: 0.75, Accumulate: accumulate, Across: true, Kept: kept})
					}
				}
			}
		}
	})
}

func checkOuter(t *testing.T, e *Engine, o Outer) {
	t.Helper()
	name, r := fmt.Sprintf("%dx%d across=%v alpha=%v accumulate=%v", o.M, o.K, o.Across, o.Alpha, o.Accumulate), newRand(o.M)
	o.X, o.U = randomMatrix(r, o.M, o.K, 3), randomMatrix(r, o.M, kern.OuterCols, 0)
	rows, cols := o.K, kern.OuterCols
	if o.Across {
		rows, cols = cols, rows
	}
	o.Y = randomMatrix(r, rows, cols, 0)
	x := o.X
	if len(o.Kept.Bits) > 0 {
		x.Data = slices.Clone(x.Data)
		for i := range o.M {
			kern.KeepRow(x.Data[i*x.Stride:][:o.K], o.X.Data[i*x.Stride:][:o.K], o.Kept.Bits[i*o.Kept.Stride:])
		}
	}
	want := slices.Clone(o.Y.Data)
	y := Matrix{Data: want, Stride: cols}
	p := Product{M: rows, N: cols, K: o.M, Y: y, X: x, W: Weight{Plain: o.U}, XAcross: true, WAcross: true, Alpha: o.Alpha, Accumulate: o.Accumulate}
	if o.Across {
		p.X, p.W.Plain = o.U, x
	} else { // the sum of all rows is added to y at once
		p.Y.Data, p.Accumulate = make([]float32, len(want)), false
	}
	run1(t, e, &p)
	for i := range want {
		if !o.Across {
			want[i] = p.Y.Data[i] + map[bool]float32{true: want[i]}[o.Accumulate]
		}
	}
	before := slices.Clone(o.Y.Data)
	if len(o.Kept.Bits) == 0 || e.typ == device.F32 {
		o.runWant(t, e, name, want)
	}
	if e.tiles.OuterHalf != nil {
		o.X.Half = make([]uint16, len(o.X.Data))
		e.set.ToBF16(o.X.Half, o.X.Data)
		o.X.Data = nil
		copy(o.Y.Data, before)
		o.runWant(t, e, name+" in bfloat16", want)
	}
}

func (o *Outer) runWant(t *testing.T, e *Engine, name string, want []float32) {
	t.Helper()
	var worker []unsafe.Pointer
	for range e.own {
		worker = append(worker, memory(OuterBytes))
	}
	if err := e.RunOuter(o, worker); err != nil {
		t.Fatal(err)
	}
	for _, w := range worker {
		checkBehind(t, w, OuterBytes)
	}
	if !slices.Equal(o.Y.Data, want) {
		t.Fatalf("%s: differs from a product", name)
	}
}
