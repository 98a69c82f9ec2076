package cpu

import (
	"fmt"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/gemm"
	"align/internal/device/cpu/kern"
)

// fast is the float32 kernels' way to machine code: the functions of one level
// and the engine for products. It implements products[float32].
type fast struct {
	b        *Backend
	set      *kern.Set
	engine   *gemm.Engine
	weights  device.Type // of the panels that Place makes; 0: the weight's own
	portable *portable[float32]
	product  gemm.Product
	source   viewSource // of the product
	space    gemm.Space
	kept     kept
	narrow   narrow
	rounding rounding
	behind   behind
}

// newFast is nil where the level is portable Go.
func newFast(b *Backend, level feature.Level, precision device.Type) (*fast, error) {
	if level == feature.Generic {
		return nil, nil
	}
	f := &fast{b: b, set: kern.New(level), portable: newPortable[float32](b)}
	f.rounding.rows.kernel, f.rounding.rows.job = phase(f.roundRows), &f.rounding.rows
	multiplied := device.F32
	if precision == device.BF16 {
		f.weights = device.BF16
		if f.set.BF16.Rows > 0 {
			multiplied = device.BF16
		}
	}
	if err := f.set.SelfTest(); err != nil { // some milliseconds, against hours on wrong numbers
		return nil, fmt.Errorf("cpu: %w", err)
	}
	var err error
	f.engine, err = gemm.New(f.set, multiplied, newEnginePool(b.pool))
	f.space.Worker = make([]unsafe.Pointer, b.pool.threads)
	return f, err
}

// enginePool is the backend's pool as the engine sees it.
type enginePool struct {
	work
	pool *pool
	task gemm.Job
}

func newEnginePool(p *pool) *enginePool {
	e := &enginePool{pool: p}
	e.job = e
	return e
}

// Run does all tasks of the job.
func (e *enginePool) Run(job gemm.Job, tasks int) error {
	e.task = job
	return e.pool.run(&e.work, tasks)
}

// Threads is the number of workers.
func (e *enginePool) Threads() int { return e.pool.threads }

func (e *enginePool) do(task, worker int) { e.task.Do(task, worker) }

func (f *fast) rounded() device.Type { return f.engine.Type() }

func (f *fast) sideCols() int { return max(1, f.engine.SideCols()) }

func (f *fast) nt(q *product[float32]) error { return f.multiply(q, false, false) }
func (f *fast) nn(q *product[float32]) error { return f.multiply(q, false, true) }

func (f *fast) tn(q *product[float32]) error {
	if f.isOuter(q) {
		return f.tnOuter(q)
	}
	if f.isNarrow(q) {
		return f.tnNarrow(q)
	}
	return f.multiply(q, true, true)
}

func (f *fast) multiply(q *product[float32], xAcross, wAcross bool) error {
	if q.y.Len() == 0 {
		return nil
	}
	if q.x.Len() == 0 { // sums of nothing
		return f.portable.run(q, xAcross, wAcross)
	}
	if err := f.describe(q, xAcross, wAcross); err != nil {
		return err
	}
	if xAcross && q.w.Layout == device.Plain {
		if err := f.turnsLeft(q); err != nil {
			return err
		}
	}
	return f.run(q.x)
}

// turnsLeft makes the product turn w's panels, where they are kept or where few
// rows of y would wait for a right side: a w in bfloat16 is turned as it lies.
func (f *fast) turnsLeft(q *product[float32]) error {
	w, p := q.rows(), f.product
	if !f.engine.TurnsLeft() {
		return nil
	}
	if p.W.Left = f.left(w); p.W.Left == nil && w.Type == device.F32 && q.y.Rows <= kern.TurnRows && q.y.Cols > kern.TurnCols {
		if err := f.pack(w); err != nil {
			return err
		}
		p.W.Left = f.left(w)
	}
	f.product = p
	return nil
}

// pack packs x as the left side of products.
func (f *fast) pack(x device.View) error {
	f.product = gemm.Product{M: x.Rows, N: 1, K: x.Cols, X: matrixOf(x)}
	panels, holds, err := f.panelsFor(x, false, f.engine.Sizes(&f.product).Shared)
	if err != nil || holds {
		return err
	}
	f.space.Shared = pointer(panels.Addr)
	return f.engine.PackLeft(&f.product, f.space)
}

// left is w as it is packed, nil where it is not or the level cannot turn it.
func (f *fast) left(w device.View) unsafe.Pointer {
	if !f.engine.TurnsLeft() {
		return nil
	}
	return pointer(f.kept.panels(w).Addr)
}

// describe fills f.product in.
func (f *fast) describe(q *product[float32], xAcross, wAcross bool) error {
	m, k := dims(q.x, xAcross)
	p := &f.product
	*p = gemm.Product{
		M: m, N: q.y.Cols, K: k, Y: matrixOf(q.y), X: matrixOf(q.x), XAcross: xAcross, WAcross: wAcross,
		Alpha: q.alpha, Bias: device.Slice[float32](q.bias), Accumulate: q.accumulate,
	}
	if q.u.Addr != 0 {
		p.LowRank = gemm.LowRank{R: q.u.Cols, U: matrixOf(q.u), V: matrixOf(q.v)}
	}
	var err error
	p.W, err = f.weightOf(q, xAcross)
	if q.mask.Addr != 0 {
		p.W.Kept = bitsOf(q.mask)
	}
	return err
}

// keeps says whether the gradient of a LoRA's A takes x under a mask, as it lies or
// packed.
func (f *fast) keeps(q *product[float32]) bool {
	if f.engine.KeepsOuter(q.w.Type, q.w.Cols) && f.isOuter(q) {
		return true
	}
	return f.engine.KeepsLeft() && q.x.Len() > 0 && q.y.Rows <= kern.TurnRows && q.y.Cols > kern.TurnCols && q.y.Cols%kern.TurnCols == 0
}

// bitsOf is a mask.
func bitsOf(v device.View) gemm.Mask {
	return gemm.Mask{Bits: device.Slice[uint32](v), Stride: v.Cols}
}

// run does the product that f.product holds, whose left side is x.
func (f *fast) run(x device.View) error {
	if f.product.Y.Half != nil && !f.engine.RoundsY(&f.product) {
		return f.runRounding(x)
	}
	return f.runWhole(x)
}

func (f *fast) runWhole(x device.View) error {
	p := &f.product
	f.takeBehind()
	f.passes(x)
	sizes := f.engine.Sizes(&f.product)
	if err := f.reserveWorkers(sizes.Worker); err != nil {
		return err
	}
	panels, holds, err := f.panelsFor(x, p.XAcross || p.XPasses, sizes.Shared)
	if err != nil {
		return err
	}
	f.space.Shared, f.product.XPacked = pointer(panels.Addr), holds
	if err := f.engine.Run(&f.product, f.space); err != nil {
		f.kept.forget()
		return fmt.Errorf("cpu: %w", err)
	}
	return nil
}

// passes says that the product does not pack x, where the engine reads its rows and no panels
// are kept.
func (f *fast) passes(x device.View) {
	p := &f.product
	p.XPasses = !p.XAcross && f.kept.panels(x).Addr == 0
	p.XPasses = p.XPasses && f.engine.TakesRows(p)
}

// reserveWorkers gives each worker so many bytes.
func (f *fast) reserveWorkers(bytes int64) error {
	if err := f.b.spaces.reserve(words8(bytes), 0); err != nil {
		return err
	}
	for i, m := range f.b.spaces.of {
		f.space.Worker[i] = pointer(m.Addr)
	}
	return nil
}

// tiles is the functions that the engine multiplies with.
func (f *fast) tiles() *kern.Products {
	if f.engine.Type() == device.BF16 {
		return &f.set.BF16
	}
	return &f.set.F32
}

// words8 is how many elements of 8 bytes hold n bytes.
func words8(n int64) int { return int((n + 7) / 8) }

// weightOf is the part of q's weight that takes part: an activation where x is
// summed over its rows.
func (f *fast) weightOf(q *product[float32], xAcross bool) (gemm.Weight, error) {
	if q.w.Layout == device.Plain && (q.w.Type == device.F32 || xAcross) {
		return gemm.Weight{Plain: matrixOf(q.rows())}, nil
	}
	if q.w.Layout == device.Plain {
		f.source = viewSource{w: q.rows(), set: f.set}
		return gemm.Weight{Source: &f.source}, nil
	}
	w := packedOf(q.w)
	if q.windowRows == 0 {
		return gemm.Weight{Packed: w}, nil
	}
	w, err := w.Rows(q.windowStart, q.windowRows)
	return gemm.Weight{Packed: w}, err
}

// matrixOf is a plain view of float32, or of a side in bfloat16.
func matrixOf(v device.View) gemm.Matrix {
	if v.Type == device.BF16 {
		return gemm.Matrix{Half: device.Slice[uint16](v), Stride: v.Cols}
	}
	return gemm.Matrix{Data: device.Slice[float32](v), Stride: v.Cols}
}

// packedOf is a weight that Place packed.
func packedOf(v device.View) gemm.Packed {
	return gemm.Packed{Data: pointer(v.Addr), Type: v.Type, N: v.Rows, K: v.Cols}
}

// pointer is an address of the arena, which the garbage collector does not
// know; reading it through a pointer to it keeps vet's uintptr rule honest.
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

// packs says whether Place packs the weight: F32 and BF16 and, where all is
// rounded to BF16, F16, which otherwise would take twice the memory.
func (f *fast) packs(w device.Weight) bool {
	if w.Rows == 0 || w.Cols == 0 {
		return false
	}
	return w.Type == device.F32 || w.Type == device.BF16 || w.Type == device.F16 && f.weights == device.BF16
}

// place packs a weight into panels of its own type, or of the precision's.
func (f *fast) place(w device.Weight) (device.View, error) {
	t := w.Type
	if f.weights != 0 {
		t = f.weights
	}
	m, err := f.b.arena.alloc(gemm.PackedBytes(t, w.Rows, w.Cols))
	if err != nil {
		return device.View{}, fmt.Errorf("cpu: place weight %q: %w", w.Name, err)
	}
	v := device.View{Addr: m.Addr, Rows: w.Rows, Cols: w.Cols, Type: t, Layout: device.Packed}
	if err := gemm.Pack(f.set, packedOf(v), w.Type, w.Read); err != nil {
		f.b.arena.free(m.Addr)
		return device.View{}, fmt.Errorf("cpu: place weight %q: %w", w.Name, err)
	}
	return v, nil
}
