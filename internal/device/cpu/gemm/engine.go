package gemm

import (
	"errors"
	"fmt"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Engine runs products with the tiles of one level, one product at a time.
type Engine struct {
	set      *kern.Set
	tiles    *kern.Products
	typ      device.Type
	pool     Pool
	own      []scratch // one for each worker
	run      run       // the product under way
	gradient gradient  // and that of RunWithGradient
	outer    outer     // that of RunOuter
	beside   gradientOuter
}

// scratch is what a worker keeps on the Go heap: addresses, and small tiles.
type scratch struct {
	table [kern.MaxRows]unsafe.Pointer
	tile  [kern.MaxRows * kern.Cols]float32
	flip  [kern.Cols * kern.Cols]uint32
	sums  [kern.FewGroup << mostShift * kern.FewRows]float32 // of rows of blocks, M of each
	turn  kern.Turn
	span  kern.Span
	sweep kern.Sweep
	work  kern.DirectWork // of a BlockSource
	kept  kern.Kept
	// making is the panels that spans make.
	making making
}

// Space is the workspace of one run, aligned to 64 bytes: Shared of
// Sizes.Shared bytes, and Sizes.Worker for each of the pool's threads.
type Space struct {
	Shared unsafe.Pointer
	Worker []unsafe.Pointer
}

// Sizes is how much workspace a product needs, in bytes.
type Sizes struct{ Shared, Worker int64 }

// New makes an engine that rounds the sides of a product to t: F32 keeps them,
// BF16 needs a level that multiplies bfloat16.
func New(set *kern.Set, t device.Type, pool Pool) (*Engine, error) {
	e := &Engine{set: set, typ: t, pool: pool}
	switch t {
	case device.F32:
		e.tiles = &set.F32
	case device.BF16:
		e.tiles = &set.BF16
	default:
		return nil, fmt.Errorf("gemm: products of %s: want f32 or bf16", t)
	}
	if e.tiles.Rows == 0 {
		return nil, fmt.Errorf("gemm: level %s has no products of %s", set.Level, t)
	}
	e.own = make([]scratch, pool.Threads())
	return e, nil
}

// Type is the type that the sides of a product are rounded to.
func (e *Engine) Type() device.Type { return e.typ }

// SideCols is what the width of a side or a y in bfloat16 is a multiple of.
func (e *Engine) SideCols() int { return e.tiles.SideCols }

// Sizes is the workspace that p needs.
func (e *Engine) Sizes(p *Product) Sizes {
	var r run
	r.plan(e, p)
	return r.sizes()
}

// PackLeft packs the left side of p, which is all that it reads of it: for a
// later Weight.Left, or a product that is XPacked.
func (e *Engine) PackLeft(p *Product, space Space) error {
	r := &e.run
	r.plan(e, p)
	r.carve(space)
	return e.pool.Run((*packX)(r), blocks(r.panels, r.packedPanels))
}

// Run computes p and returns when y is written. y must not overlap the inputs.
func (e *Engine) Run(p *Product, space Space) error {
	if err := p.check(e); err != nil {
		return err
	}
	if p.M == 0 {
		return nil
	}
	if space.Shared == nil || len(space.Worker) < len(e.own) {
		return errors.New("gemm: no workspace, or one for too few workers")
	}
	r := &e.run
	r.plan(e, p)
	r.carve(space)
	if len(r.W.Kept.Bits) > 0 && !(r.turns() && r.N%kern.TurnCols == 0) {
		return errors.New("gemm: w has a mask: want a product of few rows that turns it, and whole turns of columns")
	}
	if r.packsDown() {
		if err := e.pool.Run((*packDown)(r), r.downTasks()); err != nil {
			return err
		}
	}
	if r.thin {
		return e.pool.Run((*multiplyThin)(r), blocks(r.panels, thinPanels))
	}
	if !r.XPacked || r.LowRank.R > 0 {
		if err := e.pool.Run((*packX)(r), blocks(r.panels, r.packedPanels)); err != nil {
			return err
		}
	}
	if r.few && !(r.M == 1 && r.fewBlocks()) {
		if err := e.pool.Run((*packFew)(r), r.fewTasks()); err != nil {
			return err
		}
	}
	return e.pool.Run((*multiply)(r), r.colTasks*r.rowTasks)
}
