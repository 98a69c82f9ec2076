package cpu

import (
	"align/internal/device"
	"align/internal/device/cpu/gemm"
)

// rounding is what a product with a y in bfloat16 needs where the engine does not
// round it: some rows at a time in float32.
type rounding struct {
	memory device.Memory
	rows   rowJob
	y      []uint16
	wide   []float32
	cols   int
}

// roundingRows is how many: beside a weight that is read once for all of them, its
// memory counts little.
const roundingRows = 256

// runRounding does the product that f.product holds, whose left side is x, and rounds y.
func (f *fast) runRounding(x device.View) error {
	all, r := f.product, &f.rounding
	rows := min(roundingRows, all.M)
	if err := f.b.spaces.grow(&r.memory, words8(4*int64(rows)*int64(all.N))); err != nil {
		return err
	}
	r.wide = device.Slice[float32](device.View{Addr: r.memory.Addr, Rows: rows, Cols: all.N, Type: device.F32})
	r.cols = all.N
	for from := 0; from < all.M; from += rows {
		n := min(rows, all.M-from)
		f.product = all.Rows(from, n)
		f.product.Y = gemm.Matrix{Data: r.wide, Stride: r.cols}
		if err := f.runWhole(x.Row(from, n)); err != nil {
			return err
		}
		r.y = all.Y.Half[from*r.cols:]
		if err := f.b.runRows(&r.rows, n, rowGrain(r.cols)); err != nil {
			return err
		}
	}
	return nil
}

// roundRows rounds rows lo to hi-1 of those at hand.
func (f *fast) roundRows(lo, hi int) {
	r := &f.rounding
	f.set.ToBF16(r.y[lo*r.cols:hi*r.cols], r.wide[lo*r.cols:])
}
