package gemm

import (
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// A product of few rows in float32 with a weight that lies in bfloat16 is bound by
// memory, and would write and read twice the weight's bytes again if its panels were
// widened first. Where the level has wide tiles they take the panels as they lie, one
// behind the other, and bring in the next while the rows of x are multiplied.

// widePanels is the most panels of x for which that is faster.
const widePanels = 3

// isWide says whether the product goes this way.
func (r *run) isWide() bool {
	w := &r.W.Packed
	return w.Data != nil && w.Type == device.BF16 && r.e.typ == device.F32 && !r.WAcross && r.panels <= widePanels &&
		r.e.tiles.Wide[r.tall] != nil && r.K%2 == 0 && r.N%kern.Cols == 0 && r.Y.Half == nil
}

// wideTiles computes a task.
func (r *run) wideTiles(worker int, s span) {
	for j := s.colFrom; j < s.colTo; j++ {
		for k := 0; k < r.words; k += blockWords {
			nk := min(blockWords, r.words-k)
			next := r.nextWide(j, k+nk)
			for i := s.rowFrom; i < s.rowTo; i++ {
				r.wideTile(worker, i, j, s.colFrom, k, nk, next)
				next = r.x
			}
		}
	}
}

// nextWide is word k of panel j of w, or what follows the panel's last.
func (r *run) nextWide(j, k int) unsafe.Pointer {
	if k == r.words {
		j, k = j+1, 0
	}
	if j == r.colPanels {
		return r.x
	}
	return r.W.Packed.panel(j, k/2)
}

// wideTile is tile for such a weight.
func (r *run) wideTile(worker, i, j, from, k, nk int, next unsafe.Pointer) {
	row, n := r.rowsOf(i)
	y, ldc, add := r.Y.address(row, j*kern.Cols), 4*r.Y.Stride, k
	if r.Accumulate || len(r.Bias) > 0 {
		add = 1
	}
	r.e.tiles.Wide[n](nk, r.xPanel(i, n, k), r.W.Packed.panel(j, k/2), y, ldc, r.Alpha, add, next)
	if k+nk == r.words && r.LowRank.R > 0 {
		r.e.tiles.Tile[n](r.lowWords, r.uPanel(i), r.lowPanel(worker, j, from), y, ldc, r.Alpha, 1, next)
	}
}
