package gemm

import (
	"errors"
	"fmt"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// The gradients of an adapter's A and B sum over the rows of a wide x times a u of 16
// columns. Where a level has an Outer they take no panels: x is read as it lies, once,
// where it would be packed for two or three tiles of few rows. AVX-512 zeroes what a mask
// drops as it loads. A level with KeepRows takes copies of some rows at a time, side by
// side, where a mask has a 1: rows that lie a power of two apart would share a place in
// the first cache.

// Outer is y = alpha x' u, or y += that, of x[M,K] and float32 u[M,OuterCols], whose rows
// follow each other: y is K x OuterCols, with alpha 1, or OuterCols x K if Across. A
// sum has the bits of a Product's.
type Outer struct {
	M, K               int
	X, U, Y            Matrix
	Alpha              float32
	Across, Accumulate bool
	// Kept, if it has bits, is M x K: x counts as 0 where it has a 0. The engine says
	// whether it KeepsOuter.
	Kept Mask
}

const (
	// outerColumns is the most columns of x in a task: their sums stay in the first cache
	// beside keptRows rows of them.
	outerColumns = 8 * kern.OuterCols
	keptRows     = 16
	// outerRows is the rows at a time where x is read as it lies: the longer sums stay in
	// registers the better.
	outerRows = 64
	// outerSums is the bytes of a task's sums.
	outerSums = 4 * outerColumns * kern.OuterCols
	// outerKept is the bytes of a task's rows side by side.
	outerKept = 4 * outerColumns * keptRows
)

// TakesOuter says whether RunOuter serves for a u of so many columns.
func (e *Engine) TakesOuter(k, columns int) bool {
	return e.tiles.Outer != nil && columns == kern.OuterCols && k%kern.OuterCols == 0
}

// KeepsOuter says whether RunOuter takes a Kept of an x of type t and so many columns.
func (e *Engine) KeepsOuter(t device.Type, k int) bool {
	return (e.tiles.OuterKept != nil || e.tiles.KeepRows != nil) && k%kern.Cols == 0 && t == e.typ
}

// OuterBytes is the workspace that RunOuter takes of each worker.
const OuterBytes = outerKept + 2*outerSums

// RunOuter computes o, which the engine takes.
func (e *Engine) RunOuter(o *Outer, worker []unsafe.Pointer) error {
	if err := o.check(); err != nil {
		return err
	}
	if len(worker) < len(e.own) {
		return errors.New("gemm: workspace for too few workers")
	}
	if len(o.Kept.Bits) > 0 && !e.KeepsOuter(o.X.typ(), o.K) {
		return fmt.Errorf("gemm: sums over %d columns under a mask: want whole words of it, and a level that takes one", o.K)
	}
	e.outer = outer{Outer: *o, e: e, workers: worker, columns: e.outerTask(o.K)}
	return e.pool.Run(&e.outer, blocks(o.K, e.outer.columns))
}

// check finds every fault of o.
func (o *Outer) check() error {
	var c checker
	c.matrix("x", o.X, o.M, o.K, false)
	c.matrix("u", o.U, o.M, kern.OuterCols, false)
	c.matrix("y", o.Y, o.K, kern.OuterCols, o.Across)
	if len(o.Kept.Bits) > 0 {
		c.mask("the mask of x", o.Kept, o.M, o.K)
	}
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
	columns int // in a task
}

// outerTask is the columns in a task of k: whole words of a mask where there are such.
func (e *Engine) outerTask(k int) int {
	return evenColumns(k, outerColumns, kern.Cols, len(e.own))
}

// Do computes some columns.
func (o *outer) Do(task, worker int) {
	col := task * o.columns
	sums := unsafe.Add(o.workers[worker], outerKept)
	o.add(worker, sums, unsafe.Add(sums, outerSums), col, min(o.columns, o.K-col), 0, o.M)
}

// add adds rows [from, to) to the sums of n columns; total is memory of their size, which
// stays with them. from is the first of a word. Rows side by side lie at the front of the
// worker's workspace.
func (o *outer) add(worker int, sums, total unsafe.Pointer, col, n, from, to int) {
	block := blockWords * o.e.tiles.PerWord
	rows := outerRows
	if o.copies(n) {
		rows = keptRows
	}
	for row := from; row < to; {
		next := (row/block + 1) * block // where a product's sums are cut
		end := min(to, row+rows, next)
		o.rows(worker, sums, col, n, row, end, row%block)
		if end == next || end == o.M {
			o.fold(worker, floats(sums, n), floats(total, n), col, n, end <= block, end == o.M)
		}
		row = end
	}
}

// rows adds rows [from, to) to the sums of n columns, which begin with them if add is 0.
func (o *outer) rows(worker int, sums unsafe.Pointer, col, n, from, to, add int) {
	t, x, u, groups := o.e.tiles, o.X.address(from, col), o.words(worker, from, to), n/kern.OuterCols
	switch {
	case o.copies(n):
		o.keep(worker, x, col, n, from, to)
		next := x // what is brought in meanwhile
		if to < o.M {
			next = o.X.address(to, col)
		}
		t.OuterNext(to-from, o.workers[worker], 4*n, u, sums, groups, add, next, 4*o.X.Stride)
	case len(o.Kept.Bits) > 0:
		t.OuterKept(to-from, x, o.X.size()*o.X.Stride, o.Kept.address(from, col), 4*o.Kept.Stride, u, sums, groups, add)
	case o.X.Half != nil:
		t.OuterHalf(to-from, x, 2*o.X.Stride, u, sums, groups, add)
	default:
		t.Outer(to-from, x, 4*o.X.Stride, u, sums, groups, add)
	}
}

// copies says whether rows of n columns are brought side by side.
func (o *outer) copies(n int) bool { return o.e.tiles.KeepRows != nil && n%kern.Cols == 0 }

// keep brings n columns of rows [from, to) of x side by side.
func (o *outer) keep(worker int, x unsafe.Pointer, col, n, from, to int) {
	var mask unsafe.Pointer
	if len(o.Kept.Bits) > 0 {
		mask = o.Kept.address(from, col)
	}
	o.e.tiles.KeepRows(o.workers[worker], x, 4*o.X.Stride, mask, 4*o.Kept.Stride, to-from, n/kern.Cols)
}

// words is rows [from, to) of u as words along them, which float32 are as they lie.
func (o *outer) words(worker, from, to int) unsafe.Pointer {
	u := o.U.address(from, 0)
	if o.e.tiles.PerWord == 1 {
		return u
	}
	packed := unsafe.Pointer(&o.e.own[worker].flip)
	o.e.tiles.PackColumns(packed, u, to-from, 4*kern.OuterCols, kern.OuterCols, 4*kern.OuterCols)
	return packed
}

// floats is the sums of n columns.
func floats(at unsafe.Pointer, n int) []float32 {
	return unsafe.Slice((*float32)(at), n*kern.OuterCols)
}

// fold takes the sums of a block of rows, the first of them or the last, to y.
func (o *outer) fold(worker int, sums, total []float32, col, n int, first, last bool) {
	switch {
	case o.Across:
		o.foldAcross(sums, total, col, n, o.Accumulate || !first)
		return
	case first:
		copy(total, sums)
	default:
		o.e.set.Add(total, total, sums)
	}
	if last {
		o.standUp(worker, sums, total, o.Y.Data[col*kern.OuterCols:][:len(sums)])
	}
}

// standUp brings the total to columns of x as rows of y; turned is memory of its size.
func (o *outer) standUp(worker int, turned, total, y []float32) {
	set, own, lanes := o.e.set, &o.e.own[worker], o.e.tiles.Lanes
	for at := 0; at < len(total); at += kern.OuterCols * kern.OuterCols {
		for lane := 0; lane < kern.OuterCols; lane += lanes {
			for i := range lanes {
				own.table[i] = unsafe.Pointer(&total[at+(lane+i)*kern.OuterCols])
			}
			set.Words(unsafe.Pointer(&turned[at+lane]), unsafe.Pointer(&own.table), kern.OuterCols, 4*kern.OuterCols)
		}
	}
	if o.Accumulate {
		set.Add(y, y, turned)
	} else {
		copy(y, turned)
	}
}

// foldAcross is fold where y is across: row is memory for one of its rows.
func (o *outer) foldAcross(sums, row []float32, col, n int, adds bool) {
	set := o.e.set
	row = row[:n]
	for i := range kern.OuterCols {
		for at := 0; at < n; at += kern.OuterCols {
			copy(row[at:], sums[(at+i)*kern.OuterCols:][:kern.OuterCols])
		}
		y := o.Y.Data[i*o.Y.Stride+col:][:n]
		switch {
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
	col := task * g.columns
	sums := unsafe.Add(g.shared, 2*4*col*kern.OuterCols)
	g.add(worker, sums, unsafe.Add(sums, 4*g.columns*kern.OuterCols), col, min(g.columns, g.K-col), g.from, g.to)
}

// run adds the rows of the block that r is at, but for one that is half of a word whose
// other half comes with the next.
func (g *gradientOuter) run(r *run) error {
	last, n := r.rowsOf(r.last - 1)
	g.from, g.to = g.to, last+n
	if g.to < g.M {
		g.to -= g.to % r.e.tiles.PerWord
	}
	return r.e.pool.Run(g, blocks(g.K, g.columns))
}
