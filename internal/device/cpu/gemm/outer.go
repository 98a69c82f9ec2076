package gemm

import (
	"errors"
	"unsafe"

	"align/internal/device/cpu/kern"
)

// The gradients of an adapter's A and B sum over the rows of a wide x times a u of 16
// columns. In float32 they take no panels: x is read as it lies, once, where it
// would be packed for two or three tiles of few rows.

// Outer is y = alpha x' u, or y += that, of float32 x[M,K] and u[M,OuterCols], whose rows
// follow each other: y is K x OuterCols, with alpha 1, or OuterCols x K if Across. A
// sum has the bits of a Product's.
type Outer struct {
	M, K               int
	X, U, Y            Matrix
	Alpha              float32
	Across, Accumulate bool
}

const (
	// outerColumns is the columns of x in a task: their sums stay in the first cache
	// beside outerRows rows of them.
	outerColumns = 8 * kern.OuterCols
	outerRows    = 16
	// outerBytes is a task's sums.
	outerBytes = 4 * outerColumns * kern.OuterCols
)

// TakesOuter says whether RunOuter serves for a u of so many columns.
func (e *Engine) TakesOuter(k, columns int) bool {
	return e.tiles.Outer != nil && columns == kern.OuterCols && k%kern.OuterCols == 0
}

// OuterBytes is the workspace that RunOuter takes of each worker.
const OuterBytes = 2 * outerBytes

// RunOuter computes o, which the engine takes.
func (e *Engine) RunOuter(o *Outer, worker []unsafe.Pointer) error {
	if err := o.check(); err != nil {
		return err
	}
	if len(worker) < len(e.own) {
		return errors.New("gemm: workspace for too few workers")
	}
	e.outer = outer{Outer: *o, e: e, workers: worker}
	return e.pool.Run(&e.outer, blocks(o.K, outerColumns))
}

// check finds every fault of o.
func (o *Outer) check() error {
	var c checker
	c.matrix("x", o.X, o.M, o.K, false)
	c.matrix("u", o.U, o.M, kern.OuterCols, false)
	c.matrix("y", o.Y, o.K, kern.OuterCols, o.Across)
	if o.U.Stride != kern.OuterCols || !o.Across && (o.Y.Stride != kern.OuterCols || o.Alpha != 1) {
		c.failf("sums over rows with u of stride %d, y of %d, alpha %g: want rows of %d behind each other, and alpha 1 unless y is across", o.U.Stride, o.Y.Stride, o.Alpha, kern.OuterCols)
	}
	return errors.Join(c.errs...)
}

// outer is an Outer under way.
type outer struct {
	Outer
	e       *Engine
	workers []unsafe.Pointer
}

// Do computes some columns.
func (o *outer) Do(task, worker int) {
	col := task * outerColumns
	sums := o.workers[worker]
	o.add(worker, sums, unsafe.Add(sums, outerBytes), col, min(outerColumns, o.K-col), 0, o.M)
}

// add adds rows [from, to) to the sums of n columns; total is memory of their size, which
// stays with them.
func (o *outer) add(worker int, sums, total unsafe.Pointer, col, n, from, to int) {
	for row := from; row < to; {
		next := (row/blockWords + 1) * blockWords // where a product's sums are cut
		end := min(to, row+outerRows, next)
		o.e.tiles.Outer(end-row, o.X.address(row, col), 4*o.X.Stride, o.U.address(row, 0), sums, n/kern.OuterCols, row%blockWords)
		if end == next || end == o.M {
			o.fold(worker, floats(sums, n), floats(total, n), col, n, end)
		}
		row = end
	}
}

// floats is the sums of n columns.
func floats(at unsafe.Pointer, n int) []float32 {
	return unsafe.Slice((*float32)(at), n*kern.OuterCols)
}

// fold takes the sums of a block of rows, which ends at a row, to y.
func (o *outer) fold(worker int, sums, total []float32, col, n, end int) {
	if o.Across {
		o.foldAcross(worker, sums, total, col, n, end)
		return
	}
	if end > blockWords {
		o.e.set.Add(total, total, sums)
		sums = total
	} else if end < o.M {
		copy(total, sums)
	}
	if end < o.M {
		return
	}
	y := o.Y.Data[col*kern.OuterCols:][:len(sums)]
	if o.Accumulate {
		o.e.set.Add(y, y, sums)
	} else {
		copy(y, sums)
	}
}

// foldAcross is fold where y is across: turned is memory for the sums.
func (o *outer) foldAcross(worker int, sums, turned []float32, col, n, end int) {
	set, own := o.e.set, &o.e.own[worker]
	for from := 0; from < n; from += o.e.tiles.Lanes {
		for i := range o.e.tiles.Lanes {
			own.table[i] = unsafe.Pointer(&sums[(from+i)*kern.OuterCols])
		}
		set.Words(unsafe.Pointer(&turned[from]), unsafe.Pointer(&own.table), kern.OuterCols, 4*n)
	}
	for i := range kern.OuterCols {
		y, row := o.Y.Data[i*o.Y.Stride+col:][:n], turned[i*n:][:n]
		switch adds := o.Accumulate || end > blockWords; {
		case adds && o.Alpha == 1:
			set.Add(y, y, row)
		case adds:
			set.Axpy(y, row, o.Alpha)
		default:
			set.Scale(y, row, o.Alpha)
		}
	}
}

// gradientOuter is the gradient beside a thin product, of the rows that it has just
// packed.
type gradientOuter struct {
	outer
	shared   unsafe.Pointer
	from, to int
}

// Do adds the rows to some columns.
func (g *gradientOuter) Do(task, worker int) {
	sums := unsafe.Add(g.shared, task*2*outerBytes)
	col := task * outerColumns
	g.add(worker, sums, unsafe.Add(sums, outerBytes), col, min(outerColumns, g.K-col), g.from, g.to)
}

// run adds the rows of the block that r is at.
func (g *gradientOuter) run(r *run) error {
	g.from, _ = r.rowsOf(r.first)
	last, n := r.rowsOf(r.last - 1)
	g.to = last + n
	return r.e.pool.Run(g, blocks(g.K, outerColumns))
}
