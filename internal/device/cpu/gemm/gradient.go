package gemm

import (
	"errors"
	"unsafe"

	"align/internal/device/cpu/kern"
)

// An adapter's backward pass has two products that read one dy: du = dy B, which is
// thin and packs it, and dB = dy' u, which turns its panels or, in float32, takes its
// rows. In turns over blocks of rows the second finds them in the second cache.

// gradientBytes is the panels of a block for each worker, a quarter of a second cache
// of 2 MiB, beside which the sums and the rows that are packed have room.
const gradientBytes = 512 << 10

// Gradient is y[K,TurnRows] = x' u, or y += that, beside a product of x[M,K]; u is
// M x TurnRows, and both lie row behind row.
type Gradient struct {
	Y, U       Matrix
	Accumulate bool
}

// TakesGradient says whether RunWithGradient serves for p and a u of so many columns.
func (e *Engine) TakesGradient(p *Product, columns int) bool {
	var r run
	r.plan(e, p)
	if !r.thin || r.rows && e.tiles.Outer == nil {
		return false
	}
	return e.TakesOuter(p.K, columns) || e.tiles.Turn != nil && columns == kern.TurnRows && p.K%kern.TurnCols == 0
}

// GradientSizes is the workspace that RunWithGradient takes beside p's Shared, and of
// each worker at least.
func (e *Engine) GradientSizes(p *Product) Sizes {
	if e.tiles.Outer != nil {
		return Sizes{Shared: int64(blocks(p.K, outerColumns)*2*outerSums + line), Worker: outerKept + line}
	}
	return Sizes{Shared: int64(p.K*kern.TurnRows*4 + e.leftStride(kern.TurnRows, p.M) + line), Worker: kern.TurnWork + line}
}

// RunWithGradient is Run of p and then g, with the bits of a product of its own, in
// workspaces of p and of GradientSizes.
func (e *Engine) RunWithGradient(p *Product, space Space, g *Gradient, shared unsafe.Pointer) error {
	if err := errors.Join(p.check(e), g.check(p)); err != nil || p.M == 0 {
		return err
	}
	if space.Shared == nil || shared == nil || len(space.Worker) < len(e.own) {
		return errors.New("gemm: no workspace, or one for too few workers")
	}
	r, of := &e.run, &e.gradient
	r.plan(e, p)
	r.carve(space)
	e.beside = gradientOuter{outer: outer{Outer: Outer{M: p.M, K: p.K, X: p.X, U: g.U, Y: g.Y, Alpha: 1, Accumulate: g.Accumulate}, e: e, workers: space.Worker, columns: e.outerTask(p.K)}, shared: shared}
	*of = gradient{Gradient: *g, run: r, sums: shared, u: unsafe.Add(shared, p.K*kern.TurnRows*4), columns: evenColumns(p.K, gradientColumns, kern.TurnCols, len(e.own))}
	if err := e.pool.Run((*packDown)(r), r.downTasks()); err != nil {
		return err
	}
	for step := r.gradientPanels(); r.first < r.panels; r.first = r.last {
		r.last = min(r.first+step, r.panels)
		if err := e.pool.Run((*multiplyThin)(r), blocks(r.last-r.first, thinPanels)); err != nil {
			return err
		}
		if e.tiles.Outer != nil {
			if err := e.beside.run(r); err != nil {
				return err
			}
			continue
		}
		of.packBlock()
		if err := e.pool.Run(of, blocks(p.K, of.columns)); err != nil {
			return err
		}
	}
	return nil
}

// check finds every fault of g beside p.
func (g *Gradient) check(p *Product) error {
	var c checker
	c.matrix("the gradient", g.Y, p.K, kern.TurnRows, false)
	c.matrix("the gradient's u", g.U, p.M, kern.TurnRows, false)
	if g.Y.Stride != kern.TurnRows || g.U.Stride != kern.TurnRows {
		c.failf("the gradient has rows of %d, its u of %d: want %d", g.Y.Stride, g.U.Stride, kern.TurnRows)
	}
	return errors.Join(c.errs...)
}

// gradientPanels is the panels of a block.
func (r *run) gradientPanels() int {
	return max(1, gradientBytes/(thinPanels*r.xStride)) * thinPanels * len(r.e.own)
}

// gradient is a Gradient under way.
type gradient struct {
	Gradient
	run     *run
	sums, u unsafe.Pointer // as Turns leave them; a block of u as a panel of A
	k       int            // rows of the block
	columns int            // of x in a task
}

// gradientColumns is the most columns of x in a task.
const gradientColumns = 4 * kern.TurnCols

// packBlock packs a block's u.
func (g *gradient) packBlock() {
	r := g.run
	from, _ := r.rowsOf(r.first)
	last, n := r.rowsOf(r.last - 1)
	g.k = last + n - from
	u := g.U
	u.Data = u.Data[from*u.Stride:]
	r.packLeft(&r.e.own[0], g.u, u, true, 0, kern.TurnRows, g.k)
}

// Do adds a block to some columns.
func (g *gradient) Do(task, worker int) {
	for col := task * g.columns; col < min((task+1)*g.columns, g.run.K); col += kern.TurnCols {
		g.turn(worker, col)
		if g.run.last == g.run.panels {
			g.finish(worker, col)
		}
	}
}

// turn adds a block to the sums of TurnCols columns.
func (g *gradient) turn(worker, col int) {
	r := g.run
	t, rows := r.e.tiles, r.e.tiles.Rows
	p := &r.e.own[worker].turn
	*p = kern.Turn{
		Rows: kern.TurnRows, Panels: g.k / rows, BNext: r.xStride, Add: r.first,
		A: g.u, B: g.step(r.first, rows, col), C: unsafe.Add(g.sums, 4*kern.TurnRows*col), Work: r.workers[worker],
	}
	if p.Panels > 0 {
		t.Turn(p)
		p.Add = 1
	}
	if rest := g.k % rows; rest > 0 {
		g.turnRest(worker, p, r.first+p.Panels, rest, col)
	}
}

// turnRest takes the last rows, which zeros fill up to a panel.
func (g *gradient) turnRest(worker int, p *kern.Turn, panel, rest, col int) {
	own, rows := &g.run.e.own[worker], g.run.e.tiles.Rows
	clear(own.flip[:])
	for i := range turnPanels {
		from := unsafe.Slice((*uint32)(g.step(panel, rest, col+i*kern.Cols)), rest*leftStepWords)
		copy(own.flip[i*rows*leftStepWords:], from)
	}
	p.A = unsafe.Add(p.A, p.Panels*rows/g.run.e.tiles.PerWord*4*kern.TurnRows)
	p.Panels, p.B = 1, unsafe.Pointer(&own.flip)
	g.run.e.tiles.Turn(p)
}

// step is the columns from col on in a panel of n rows.
func (g *gradient) step(panel, n, col int) unsafe.Pointer {
	return unsafe.Add(g.run.xPanel(panel, n, 0), col/kern.Cols*n*4*leftStepWords)
}

// finish brings sums upright to y.
func (g *gradient) finish(worker, col int) {
	e := g.run.e
	own, y := &e.own[worker], g.Y.Data[col*kern.TurnRows:][:kern.TurnCols*kern.TurnRows]
	const stride = 4 * kern.TurnCols
	e.tiles.TurnedOut(unsafe.Pointer(&own.tile), stride, unsafe.Add(g.sums, 4*kern.TurnRows*col), kern.TurnRows, 1, 0)
	for i := range kern.TurnRows {
		own.table[i] = unsafe.Pointer(&own.tile[i*kern.TurnCols])
	}
	if !g.Accumulate {
		e.set.Words(unsafe.Pointer(&y[0]), unsafe.Pointer(&own.table), kern.TurnCols, 4*kern.TurnRows)
		return
	}
	e.set.Words(unsafe.Pointer(&own.flip), unsafe.Pointer(&own.table), kern.TurnCols, 4*kern.TurnRows)
	e.set.Add(y, y, unsafe.Slice((*float32)(unsafe.Pointer(&own.flip)), len(y)))
}
