package cpu

import (
	"align/internal/device"
	"align/internal/device/cpu/gemm"
	"align/internal/device/cpu/kern"
)

// isOuter says whether y = x' w is sums over the rows of a wide side times a side of
// 16 columns that the engine takes as they lie: the gradients of a LoRA's A and B.
func (f *fast) isOuter(q *product[float32]) bool {
	side, low, upright := q.w, q.x, q.y.Cols == kern.OuterCols && q.alpha == 1
	if upright {
		side, low = low, side
	}
	wide := side.Cols
	plain := q.w.Layout == device.Plain && low.Type == device.F32 && q.x.Len() > 0 && q.y.Len() > 0
	alone := q.windowRows == 0 && q.u.Addr == 0 && q.bias.Addr == 0
	keeps := q.mask.Addr == 0 || !upright && f.engine.KeepsOuter(side.Type, wide)
	return plain && alone && keeps && (upright || q.y.Rows == kern.OuterCols) && f.engine.TakesOuter(wide, kern.OuterCols)
}

// tnOuter is tn where isOuter.
func (f *fast) tnOuter(q *product[float32]) error {
	if err := f.reserveWorkers(gemm.OuterBytes); err != nil {
		return err
	}
	wide, low := q.w, q.x
	across := q.y.Cols != kern.OuterCols || q.alpha != 1
	if !across {
		wide, low = low, wide
	}
	o := gemm.Outer{
		M: wide.Rows, K: wide.Cols, X: matrixOf(wide), U: matrixOf(low), Y: matrixOf(q.y), Alpha: q.alpha, Across: across, Accumulate: q.accumulate,
	}
	if q.mask.Addr != 0 {
		o.Kept = bitsOf(q.mask)
	}
	return f.engine.RunOuter(&o, f.space.Worker)
}
