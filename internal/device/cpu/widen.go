package cpu

import (
	"align/internal/device"
	"align/internal/device/cpu/gemm"
)

// widenedElements bounds how much of a weight is widened at a time: 8 MiB of
// float32, far less than a weight and enough for x to be packed few times.
const widenedElements = 2 << 20

// widened multiplies by weights of types that have no panels, binary16 and the
// types of blocks: some rows at a time become float32 and are packed like a
// plain matrix. How many depends on their length alone.
type widened struct {
	f      *fast
	rows   rowJob
	memory device.Memory
	values []float32 // of the rows at hand
	w      device.View
	first  int // row of w that values begins with
}

func newWidened(f *fast) *widened {
	w := &widened{f: f}
	w.rows.kernel, w.rows.job = phase(w.widenRows), &w.rows
	return w
}

func (d *widened) widenRows(lo, hi int) {
	cols := d.w.Cols
	for i := lo; i < hi; i++ {
		widen(d.values[i*cols:(i+1)*cols], d.w, (d.first+i)*cols)
	}
}

// multiply is nt or, if across, nn.
func (d *widened) multiply(q *product[float32], across bool) error {
	w := q.rows()
	step := max(64, widenedElements/w.Cols/64*64)
	if err := d.f.b.spaces.grow(&d.memory, words8(4*int64(min(step, w.Rows))*int64(w.Cols))); err != nil {
		return err
	}
	for first := 0; first < w.Rows; first += step {
		n := min(step, w.Rows-first)
		v := device.View{Addr: d.memory.Addr, Rows: n, Cols: w.Cols, Type: device.F32}
		d.w, d.first, d.values = w, first, device.Slice[float32](v)
		if err := d.f.b.runRows(&d.rows, n, rowGrain(expensive*w.Cols)); err != nil {
			return err
		}
		d.f.part(q, v, first, across)
		if err := d.f.run(); err != nil {
			return err
		}
	}
	return nil
}

// part describes the product with n rows of q's weight, from first on, which
// are columns of y or, if across, elements of the sum.
func (f *fast) part(q *product[float32], w device.View, first int, across bool) {
	p := &f.product
	*p = gemm.Product{
		M: q.x.Rows, N: w.Rows, K: w.Cols, Y: matrixOf(q.y), X: matrixOf(q.x), W: gemm.Weight{Plain: matrixOf(w)},
		WAcross: across, Alpha: q.alpha, Accumulate: q.accumulate,
	}
	if across {
		p.N, p.K = w.Cols, w.Rows
		p.X.Data = p.X.Data[first:]
		if first > 0 {
			p.Accumulate = true
			return // bias and adapter belong to the sum once
		}
	} else {
		p.Y.Data = p.Y.Data[first:]
	}
	p.Bias = device.Slice[float32](q.bias)
	if q.u.Addr != 0 {
		p.LowRank = gemm.LowRank{R: q.u.Cols, U: matrixOf(q.u), V: matrixOf(q.v)}
	}
	if !across {
		if p.Bias != nil {
			p.Bias = p.Bias[first:]
		}
		p.LowRank.V.Data = p.LowRank.V.Data[min(first*p.LowRank.V.Stride, len(p.LowRank.V.Data)):]
	}
}
