package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// A product of so few rows that two or three tiles share a panel of a weight that
// lies in place: memory and the tiles take about as long, and would take turns if
// the first tile fetched the panel and the others found it in the cache. Eager
// tiles bring in the next panel, an even part of it each.

// eagerPanels is the most panels of x for which memory is not much faster.
const eagerPanels = 3

// isEager says whether the product goes this way.
func (r *run) isEager() bool {
	eager := &r.e.tiles.Eager
	_, lowest := r.rowsOf(r.panels - 1)
	return r.direct() && r.panels > 1 && r.panels <= eagerPanels && eager[r.tall] != nil && eager[lowest] != nil
}

// eagerTiles computes a task.
func (r *run) eagerTiles(worker int, s span) {
	for k := 0; k < r.words; k += blockWords {
		nk := min(blockWords, r.words-k)
		for j := s.colFrom; j < s.colTo; j++ {
			next, bytes := r.nextEager(j, s, k, nk)
			for i := s.rowFrom; i < s.rowTo; i++ {
				r.tile(worker, i, j, s.colFrom, k, nk, next)
				if part := nk * kern.EagerBytes; part < bytes {
					next, bytes = unsafe.Add(next, part), bytes-part
				} else {
					next, bytes = r.x, 0
				}
			}
		}
	}
}

// nextEager is the words of the panel of w that the worker takes after the j-th, and
// their bytes: workers take the tasks in turns, and the next block of K begins a task anew.
func (r *run) nextEager(j int, s span, k, nk int) (next unsafe.Pointer, bytes int) {
	switch {
	case j+1 < s.colTo:
		j++
	case k+nk < r.words:
		j, k = s.colFrom, k+nk
	default:
		j, k = s.colTo+(len(r.e.own)-1)*r.taskPanels, 0
	}
	if j >= r.colPanels {
		return r.x, 0
	}
	return r.W.Packed.panel(j, k), min(blockWords, r.words-k) * kern.Stride
}
