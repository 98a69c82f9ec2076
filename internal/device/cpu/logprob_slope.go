package cpu

import (
	"math"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

var _ device.Sloper = (*Backend)(nil)

// Slopes is true: logprob has a fifth output.
func (b *Backend) Slopes() bool { return true }

// slope is what logprob keeps for d lp/d h of each row, which it computes from the
// logits that it has at hand. With p the softmax and y the target it is
//
//	((1-p[y]) W[y] - sum over v other than y of p[v] W[v]) / temperature
//
// and 0 without a target. The sum goes over chunks of the vocabulary, relative
// to the largest logit so far, as the softmax's own does. The target stands
// apart, so that nothing cancels where p[y] is near 1.
type slope[E float] struct {
	out     []E // nil: not wanted
	sums    []E // of a block of rows
	view    device.View
	product product[E]
	finish  rowJob
	half    []uint16 // a chunk's weights as products round them; nil: they take the place of logits
}

// begin takes the place of the slopes, where they are wanted, and makes room.
func (l *logProb[E]) begin(c *device.Call) error {
	s := &l.slope
	s.out = nil
	if len(c.Out) == 5 {
		s.out = device.Slice[E](c.Out[4])
	}
	if s.out == nil {
		return l.reserve(0)
	}
	if err := l.reserve(l.blockRows() * l.h.Cols); err != nil {
		return err
	}
	s.sums = l.behind
	s.view = device.View{Addr: l.b.spaces.common.Addr + 8*uintptr(l.blockRows()*headCols), Cols: l.h.Cols, Type: typeOf[E]()}
	s.product.alpha = 1
	return nil
}

// placeWeights begins a chunk of n rows: its weights come behind the logits of float32,
// which fill half of their place, where one pass gives them as products round them.
func (l *logProb[E]) placeWeights(n, col int) {
	s, width := &l.slope, min(headCols, l.w.Rows-col)
	s.half = nil
	if s.out == nil || l.keeps == nil || width%kern.Cols != 0 || !l.keeps(width) {
		return
	}
	s.half = device.Slice[uint16](l.weights(n, width))
}

func (l *logProb[E]) weights(n, width int) device.View {
	at := l.b.spaces.common.Addr + 4*uintptr(l.blockRows()*headCols)
	return device.View{Addr: at, Rows: n, Cols: width, Type: device.BF16}
}

func (l *logProb[E]) sumsOf(i int) []E { return l.slope.sums[i*l.h.Cols:][:l.h.Cols] }

// weigh turns logits of row i into e^(z-m), 0 at the target, with m the largest so
// far, unless the pass before has kept them. Where the chunk has raised m from before,
// the sums shrink.
func (l *logProb[E]) weigh(z []E, i int, before float64) {
	m, target := l.state[i].largest, int(l.targets[l.row+i])
	var half []uint16
	if l.slope.half != nil {
		half = l.slope.half[i*l.width:][:l.width]
	}
	if target < 0 {
		clear(z)
		clear(half)
		return
	}
	if l.col > 0 && m > before {
		shrink, sums := E(math.Exp(before-m)), l.sumsOf(i)
		for j := range sums {
			sums[j] *= shrink
		}
	}
	t := target - l.col
	within := t >= 0 && t < len(z)
	switch {
	case half == nil:
		if l.exp(z, E(m)); within {
			z[t] = 0
		}
	case within:
		half[t] = 0
	}
}

// addSums adds the chunk's weights times its part of W.
func (l *logProb[E]) addSums(n int) error {
	q := &l.slope.product
	q.y, q.x, q.w = l.slope.view, l.view(n), l.w
	q.y.Rows = n
	if l.slope.half != nil {
		q.x = l.weights(n, l.width)
	}
	q.windowStart, q.windowRows, q.accumulate = l.col, l.width, l.col > 0
	return l.products.nn(q)
}

// finishSlopes turns the sums of rows of the block into slopes.
func (l *logProb[E]) finishSlopes(lo, hi int) {
	for i := lo; i < hi; i++ {
		s, target := &l.state[i], int(l.targets[l.row+i])
		y := l.slope.out[(l.row+i)*l.h.Cols:][:l.h.Cols]
		if target < 0 {
			clear(y)
			continue
		}
		l.read(y, l.w, target)
		own := E(float64(l.inverse) * -math.Expm1(s.target-s.logSumExp()))
		others := E(float64(l.inverse) / s.sum)
		for j, x := range l.sumsOf(i) {
			y[j] = own*y[j] - others*x
		}
	}
}

// expFrom is z = e^(z-top).
func expFrom[E float](z []E, top E) {
	for j, x := range z {
		z[j] = exp(x - top)
	}
}

// readRow is a row of a weight that lies in rows.
func readRow[E float](dst []E, w device.View, row int) { widen(dst, w, row*w.Cols) }

// expFrom is expFrom in the functions of the level.
func (f *fast) expFrom(z []float32, top float32) { f.set.ExpSum(z, z, 1, top) }

// readRow is a row of a weight, of panels as well.
func (f *fast) readRow(dst []float32, w device.View, row int) {
	if w.Layout == device.Plain {
		readRow(dst, w, row)
		return
	}
	packedOf(w).Row(dst, row)
}
