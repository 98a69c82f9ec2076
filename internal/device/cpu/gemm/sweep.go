package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// sweptWords is the words of K up to which a panel of w that is read in place need not
// come to the second cache by itself: sweeps bring it in as fast as they multiply.
const sweptWords = 256

// sweeps says whether the level takes the panels of x over all of a task's panels of w
// in one call.
func (r *run) sweeps() bool {
	t := r.e.tiles
	return r.panels > 0 && t.HasSweep(r.tall) && t.HasSweep(r.least)
}

// sweepPanel adds words [k, k+nk) of a task for panel i of x, as tile does for each panel of
// w. The last of w may be narrower than a tile.
func (r *run) sweepPanel(worker, i int, s span, k, nk int, next *ahead) {
	whole := min(s.colTo, r.N/kern.Cols)
	if whole > s.colFrom {
		r.sweepWhole(worker, i, span{colFrom: s.colFrom, colTo: whole}, k, nk, next)
	}
	for j := whole; j < s.colTo; j++ {
		r.tile(worker, i, j, s.colFrom, k, nk, next.piece(i, j-s.colFrom))
	}
}

// sweepWhole is sweepPanel for whole panels of w.
func (r *run) sweepWhole(worker, i int, s span, k, nk int, next *ahead) {
	row, n := r.rowsOf(i)
	own := &r.e.own[worker]
	p := &own.sweep
	*p = kern.Sweep{
		K: nk, A: r.xPanel(i, n, k), B: r.bPanel(worker, s.colFrom, s.colFrom, k), BStep: r.panelStep(),
		C: r.Y.address(row, s.colFrom*kern.Cols), LDC: 4 * r.Y.Stride, Panels: s.colTo - s.colFrom,
		Work: unsafe.Pointer(&own.tile), Alpha: r.Alpha, Add: k,
		Next: next.piece(i, 0), NextPanels: next.ofX,
	}
	if p.Panels > next.ofX {
		p.Behind = next.piece(i, next.ofX)
	}
	if r.Accumulate || len(r.Bias) > 0 {
		p.Add = 1
	}
	last := k+nk == r.words && r.LowRank.R > 0
	if last && !r.LowRank.drops() {
		p.LowK, p.LowA, p.LowB, p.LowStep = r.lowWords, r.uPanel(i), r.lowPanel(worker, s.colFrom, s.colFrom), r.lowWords*kern.Stride
	}
	r.e.tiles.Sweep(n, p)
	for j := s.colFrom; j < s.colTo && last && r.LowRank.drops(); j++ {
		r.keptTile(worker, i, j, s.colFrom, r.Y.address(row, j*kern.Cols), p.LDC, kern.Cols)
	}
}
