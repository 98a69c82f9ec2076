package cpu

import (
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/gemm"
	"align/internal/device/cpu/kern"
)

// narrow is what a product with few columns needs to be computed the other way
// round.
type narrow struct {
	across, upright device.Memory
	rows            [kern.MaxLanes]unsafe.Pointer
}

// narrowCols is the most columns of y that are computed as rows: what fits one
// panel.
const narrowCols = kern.Cols

// isNarrow says whether y = x' w, the gradient of a LoRA's B, has so few columns
// that y' = w' x is the better product: x then is the side that is packed
// without a transposition, and no columns are filled up.
func (f *fast) isNarrow(q *product[float32]) bool {
	lanes := f.set.F32.Lanes
	return q.y.Cols <= narrowCols && q.y.Cols%lanes == 0 && q.y.Rows > narrowCols && q.x.Len() > 0 &&
		q.w.Layout == device.Plain && q.w.Type == device.F32 && q.windowRows == 0 && q.u.Addr == 0 && q.bias.Addr == 0
}

// tnNarrow is tn by way of y'. An element's sum is the same.
func (f *fast) tnNarrow(q *product[float32]) error {
	if err := f.describeNarrow(q); err != nil {
		return err
	}
	if err := f.run(q.w); err != nil {
		return err
	}
	f.standUp(q)
	return nil
}

// describeNarrow fills f.product in with y'.
func (f *fast) describeNarrow(q *product[float32]) error {
	m, n := q.y.Rows, q.y.Cols
	for _, space := range []*device.Memory{&f.narrow.across, &f.narrow.upright} {
		if err := f.b.spaces.grow(space, words8(int64(4*m*n))); err != nil {
			return err
		}
	}
	f.product = gemm.Product{
		M: n, N: m, K: q.x.Rows, Y: matrixOf(f.across(q)), X: matrixOf(q.w), XAcross: true, WAcross: true,
		W: gemm.Weight{Plain: matrixOf(q.x), Left: f.left(q.x)}, Alpha: q.alpha,
	}
	return nil
}

// across is y'.
func (f *fast) across(q *product[float32]) device.View {
	return device.View{Addr: f.narrow.across.Addr, Rows: q.y.Cols, Cols: q.y.Rows, Type: device.F32}
}

// standUp brings y' to y.
func (f *fast) standUp(q *product[float32]) {
	across := f.across(q)
	if !q.accumulate {
		f.turn(pointer(q.y.Addr), across)
		return
	}
	f.turn(pointer(f.narrow.upright.Addr), across)
	y := device.Slice[float32](q.y)
	f.set.Add(y, y, device.Slice[float32](device.View{Addr: f.narrow.upright.Addr, Rows: q.y.Rows, Cols: q.y.Cols, Type: device.F32}))
}

// turn writes the transpose of x, whose rows are a multiple of the lanes, to dst.
func (f *fast) turn(dst unsafe.Pointer, x device.View) {
	lanes, stride := f.set.F32.Lanes, 4*x.Rows
	rows := &f.narrow.rows
	for from := 0; from < x.Rows; from += lanes {
		for i := range lanes {
			rows[i] = pointer(x.Row(from+i, 1).Addr)
		}
		f.set.Words(unsafe.Add(dst, 4*from), unsafe.Pointer(rows), x.Cols, stride)
	}
}
