package cpu

import (
	"align/internal/device"
	"align/internal/device/cpu/gemm"
)

// rounding is what a product with a y in bfloat16 needs where the engine does not
// round it: some rows at a time in float32.
type rounding struct {
	wide  device.Memory
	round round
	rows  rowJob
}

// roundingRows is how many: beside a weight that is read once for all of them, its
// memory counts little.
const roundingRows = 256

// runRounding does the product that f.product holds, whose left side is x, and rounds y.
func (f *fast) runRounding(x device.View) error {
	all, r := f.product, &f.rounding
	rows := min(roundingRows, all.M)
	if err := f.b.spaces.grow(&r.wide, words8(4*int64(rows)*int64(all.N))); err != nil {
		return err
	}
	wide := device.Slice[float32](device.View{Addr: r.wide.Addr, Rows: rows, Cols: all.N, Type: device.F32})
	r.rows.kernel, r.rows.job = &r.round, &r.rows
	for from := 0; from < all.M; from += rows {
		n := min(rows, all.M-from)
		f.product = all.Rows(from, n)
		f.product.Y = gemm.Matrix{Data: wide, Stride: all.N}
		if err := f.runWhole(x.Row(from, n)); err != nil {
			return err
		}
		r.round = round{f: f, y: all.Y.Half[from*all.N:], x: wide, cols: all.N}
		if err := f.b.runRows(&r.rows, n, rowGrain(all.N)); err != nil {
			return err
		}
	}
	return nil
}
