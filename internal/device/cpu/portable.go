package cpu

import (
	"errors"

	"align/internal/device"
)

// Block sizes of the portable products. An x block and a w block together stay
// within a core's second-level cache; blockK bounds the length of one running
// sum, which keeps its rounding error small.
const (
	blockRows = 128 // rows of x in a task
	blockCols = 64  // rows of w in a task
	blockK    = 256 // elements of a vector in a block
	// blockStride is the distance of copied vectors: not a power of two, so
	// that they do not share a cache set.
	blockStride = blockK + 16
)

// portable computes products in Go alone. A task is a block of y.
type portable[E float] struct {
	work
	b          *Backend
	x, w, u, v operand[E]
	y, bias    []E
	m, n       int
	alpha      E
	accumulate bool
	colBlocks  int
}

func newPortable[E float](b *Backend) *portable[E] {
	p := &portable[E]{b: b}
	p.job = p
	return p
}

func (p *portable[E]) rounded() device.Type { return typeOf[E]() }

func (p *portable[E]) sideCols() int { return 1 }

func (p *portable[E]) keeps(*product[E]) bool { return false }

func (p *portable[E]) nt(q *product[E]) error { return p.run(q, false, false) }
func (p *portable[E]) nn(q *product[E]) error { return p.run(q, false, true) }
func (p *portable[E]) tn(q *product[E]) error { return p.run(q, true, true) }

func (p *portable[E]) run(q *product[E], xAcross, wAcross bool) error {
	if q.w.Layout != device.Plain {
		return errors.New("cpu: a packed weight that another backend placed")
	}
	const space = blockRows*blockCols + (blockRows+blockCols)*blockStride
	if err := p.b.spaces.reserve(space, 0); err != nil {
		return err
	}
	p.x, p.w = newOperand[E](q.x, xAcross), newOperand[E](q.rows(), wAcross)
	p.u, p.v = newOperand[E](q.u, false), newOperand[E](q.v, wAcross)
	p.y, p.bias = device.Slice[E](q.y), device.Slice[E](q.bias)
	p.m, p.n = q.y.Rows, q.y.Cols
	p.alpha, p.accumulate = q.alpha, q.accumulate
	p.colBlocks = (p.n + blockCols - 1) / blockCols
	rowBlocks := (p.m + blockRows - 1) / blockRows
	return p.b.pool.run(&p.work, rowBlocks*p.colBlocks)
}

func (p *portable[E]) do(task, worker int) {
	row, col := task/p.colBlocks*blockRows, task%p.colBlocks*blockCols
	m, n := min(blockRows, p.m-row), min(blockCols, p.n-col)
	space := p.b.spaces.carve(worker)
	c := take[E](&space, blockRows*blockCols)
	bufX := take[E](&space, blockRows*blockStride)
	bufW := take[E](&space, blockCols*blockStride)
	clear(c)
	for k := 0; k < p.x.length(); k += blockK {
		nk := min(blockK, p.x.length()-k)
		x, ldx := p.x.block(bufX, row, m, k, nk)
		w, ldw := p.w.block(bufW, col, n, k, nk)
		tile(c, blockCols, x, ldx, m, w, ldw, n, nk, k > 0)
	}
	for k := 0; p.u.view.Addr != 0 && k < p.u.length(); k += blockK {
		nk := min(blockK, p.u.length()-k)
		u, ldu := p.u.block(bufX, row, m, k, nk)
		v, ldv := p.v.block(bufW, col, n, k, nk)
		tile(c, blockCols, u, ldu, m, v, ldv, n, nk, true)
	}
	p.store(c, row, m, col, n)
}

// store writes a finished block into y.
func (p *portable[E]) store(c []E, row, m, col, n int) {
	for i := range m {
		y := p.y[(row+i)*p.n+col:][:n]
		s := c[i*blockCols:][:n]
		if p.alpha != 1 {
			for j := range s {
				s[j] *= p.alpha
			}
		}
		if p.bias != nil {
			for j, x := range p.bias[col : col+n] {
				s[j] += x
			}
		}
		if p.accumulate {
			for j, x := range s {
				y[j] += x
			}
			continue
		}
		copy(y, s)
	}
}
