package cpu

import (
	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Sums over rows by functions of package kern. They are split over columns and
// have the bits of the portable ones, but for the scales of rmsnorm_dw, which
// are those of the level's rmsnorm.

// fastColumns is the columns of a task: a multiple of what a function takes at
// a time.
const fastColumns = 64

// bindFastNormDW is rmsnorm_dw.
func (f *fast) bindFastNormDW(kernel string, attr device.Norm) (device.Kernel, error) {
	n, err := newNormDW[float32](f.b, kernel, attr)
	if err != nil {
		return nil, err
	}
	fast := &fastNormDW{n, f.set}
	n.scaling.kernel, n.summing.kernel, n.grain = phase(fast.scaleGroups), phase(fast.sumColumns), fastColumns
	return n.run, nil
}

type fastNormDW struct {
	*normDW[float32]
	set *kern.Set
}

func (n *fastNormDW) scaleGroups(lo, hi int) {
	for i := lo; i < hi; i++ {
		n.scales[i] = n.set.NormScale(n.group(n.x, i), n.eps)
	}
}

func (n *fastNormDW) sumColumns(lo, hi int) {
	sums := n.sums[lo:hi]
	clear(sums)
	if len(n.scales) > 0 {
		n.set.NormColumns(sums, n.x[lo:], n.dy[lo:], n.scales, n.width)
	}
	storeSums(n.dw[lo:hi], sums, n.accumulate)
}

// fastBiasGrad is bias_grad.
type fastBiasGrad struct {
	biasGrad[float32]
	b    *Backend
	sums []float64
}

func (g *fastBiasGrad) prepare(c *device.Call) (rows, grain int, err error) {
	rows, _, err = g.biasGrad.prepare(c)
	if err != nil || rows == 0 {
		return 0, 0, err
	}
	if err := g.b.spaces.reserve(0, rows); err != nil {
		return 0, 0, err
	}
	space := g.b.spaces.carveShared()
	g.sums = take[float64](&space, rows)
	return rows, fastColumns, nil
}

func (g *fastBiasGrad) compute(lo, hi int) {
	sums := g.sums[lo:hi]
	clear(sums)
	if len(g.dy) > 0 {
		g.b.fast.set.ColumnSums(sums, g.dy[lo:], len(g.dy)/g.cols, g.cols)
	}
	storeSums(g.db[lo:hi], sums, g.accumulate)
}

// fastAddColumns is the columns of a task that adds rows to rows.
const fastAddColumns = 256

// fastEmbedDW is embed_dw.
type fastEmbedDW struct {
	embedDW[float32]
	set *kern.Set
}

func (e *fastEmbedDW) prepare(c *device.Call) (rows, grain int, err error) {
	rows, _, err = e.embedDW.prepare(c)
	return rows, fastAddColumns, err
}

func (e *fastEmbedDW) compute(lo, hi int) {
	if !e.accumulate {
		clearColumns(e.dw, e.cols, lo, hi)
	}
	addRows(e.set, e.dw, e.dy, e.ids, e.cols, lo, hi)
}

// fastScatter is scatter.
type fastScatter struct {
	scatter[float32]
	set *kern.Set
}

func (s *fastScatter) prepare(c *device.Call) (rows, grain int, err error) {
	rows, _, err = s.scatter.prepare(c)
	return rows, fastAddColumns, err
}

func (s *fastScatter) compute(lo, hi int) {
	clearColumns(s.y, s.cols, lo, hi)
	addRows(s.set, s.y, s.dy, s.rows, s.cols, lo, hi)
}

func clearColumns(y []float32, cols, lo, hi int) {
	for at := 0; at < len(y); at += cols {
		clear(y[at+lo : at+hi])
	}
}

// addRows adds row n of x to row index[n] of y, n ascending.
func addRows(set *kern.Set, y, x []float32, index []int32, cols, lo, hi int) {
	for n, row := range index {
		to := y[int(row)*cols:][lo:hi]
		set.Add(to, to, x[n*cols:][lo:hi])
	}
}
