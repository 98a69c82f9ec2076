package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// A y in bfloat16 is rounded when its sums are whole. Where the level has spans, tiles of
// y stay with a worker until then; sweeps round in registers. Else a tile that takes all
// of K, and what joins it, is in the first cache when it is rounded.

// RoundsY says whether the engine takes a y of p in bfloat16, whose rows are multiples of
// SideCols.
func (e *Engine) RoundsY(p *Product) bool {
	var r run
	r.plan(e, p)
	if r.few || r.thin || r.inBlocks || r.turns() || r.Accumulate || len(r.Bias) > 0 || r.W.Left != nil {
		return false
	}
	return !r.eager && (r.spans() && e.tiles.TilesOutHalf != nil || r.sweepsHalf()) || r.roundsTiles()
}

// roundsTiles says whether tiles are rounded one at a time.
func (r *run) roundsTiles() bool {
	return r.Y.Half != nil && r.e.tiles.RoundTile != nil && !r.sweeping && r.words <= blockWords
}

// roundTile is tile for such a y.
func (r *run) roundTile(worker, i, j, from, k, nk int, next unsafe.Pointer) {
	row, n := r.rowsOf(i)
	sums := unsafe.Add(r.workers[worker], r.tilesAt)
	r.tileAt(worker, i, j, from, k, nk, next, sums, kern.Stride, 0)
	if width := r.N - j*kern.Cols; width < kern.Cols {
		tile := unsafe.Pointer(&r.e.own[worker].flip)
		r.e.tiles.RoundTile(tile, 2*kern.Cols, sums, n)
		copyTile(r.Y.Half[row*r.Y.Stride+j*kern.Cols:], r.Y.Stride, halves(tile), n, width)
		return
	}
	r.e.tiles.RoundTile(r.Y.address(row, j*kern.Cols), 2*r.Y.Stride, sums, n)
}
