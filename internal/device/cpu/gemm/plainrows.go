package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// An x in bfloat16 has the pairs of a panel already, along its rows. Where the level reads
// those, a product leaves them as they lie: a panel costs as much time as it saves
// products of few columns. A level of steps packs the last rows, which fill none.

const (
	// plainBytes is how much the rows of a panel take at most: they stay in a first cache of
	// 32 KiB then, beside a panel of w that passes by.
	plainBytes = 24 << 10
	// plainClash divides the bytes of a row where too many rows share a place in that cache:
	// thin products of rows of 512 elements run at half their speed.
	plainClash = 1024
)

// takesRows says whether x stays as it lies.
func (r *run) takesRows() bool {
	if !r.XPasses || r.X.Half == nil || r.XAcross || r.K%r.e.tiles.PerWord > 0 || r.words%r.e.tiles.Depth > 0 {
		return false
	}
	if r.thin {
		return r.takesThinRows(r.N)
	}
	return r.sweepsRows() && (!r.LowRank.computesU() || r.takesThinRows(r.LowRank.R) && !r.LowRank.dropsX())
}

// takesThinRows says whether ThinRows serves for so many columns.
func (r *run) takesThinRows(columns int) bool {
	return r.e.tiles.ThinRows != nil && columns <= kern.ThinCols && (r.e.TurnsLeft() || r.isNear())
}

// sweepsRows says whether sweeps read them.
func (r *run) sweepsRows() bool {
	t := r.e.tiles
	return r.bySweeps() && t.HasSweepRows(r.tall) && t.HasSweepRows(r.least) && r.words <= blockWords && r.isNear()
}

// isNear says whether the rows of a panel follow each other and have room in the first cache,
// and whether there are enough for a ThinRows.
func (r *run) isNear() bool {
	row := 2 * r.X.Stride
	return r.X.Stride == r.K && row*r.e.tiles.Rows <= plainBytes && row%plainClash > 0 && r.M >= thinPanels*r.e.tiles.Rows
}

// plainPanels is how many panels of x are read as they lie.
func (r *run) plainPanels() int {
	if r.e.TurnsLeft() {
		return max(0, r.panels-1) / thinPanels * thinPanels
	}
	return r.panels
}

// isPlain says whether the rows of panel i of x are read as they lie.
func (r *run) isPlain(i int) bool { return r.rows && i < r.packedFrom }

// left is where word k of panel i of x lies, or of its first row.
func (r *run) left(i, k int) unsafe.Pointer {
	row, n := r.rowsOf(i)
	if r.isPlain(i) {
		return r.X.address(row, k*r.e.tiles.PerWord)
	}
	return r.xPanel(i, n, k)
}

// TakesRows says whether p, which XPasses, does not pack x but for its last rows.
func (e *Engine) TakesRows(p *Product) bool {
	var r run
	r.plan(e, p)
	return r.rows
}
