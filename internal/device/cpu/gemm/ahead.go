package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// Tiles bring in what comes after them, a piece each: on Sapphire Rapids a panel
// of x that comes from the third cache, or a weight from memory, otherwise costs
// each of them 2 to 3% of the time.

// tiles adds words [k, k+nk) of a task: one panel of x after the other passes
// over the panels of w, which stay in the second cache. Those that are read where
// the weight lies come there while the first panels of x pass over each of them.
func (r *run) tiles(worker int, s span, k, nk int) {
	from := s.rowFrom
	if r.direct() && !(r.sweeping && nk <= sweptWords) {
		from = min(from+max(1, blockRows/r.tall), s.rowTo)
		for j := s.colFrom; j < s.colTo; j++ {
			for i := s.rowFrom; i < from; i++ {
				r.firstTile(worker, i, j, s, k, nk)
			}
		}
	}
	next := r.ahead(s, k, nk)
	for i := from; i < s.rowTo; i++ {
		if r.sweeping {
			r.sweepPanel(worker, i, s, k, nk, &next)
			continue
		}
		for j := s.colFrom; j < s.colTo; j++ {
			r.tile(worker, i, j, s.colFrom, k, nk, next.piece(i, j-s.colFrom))
		}
	}
}

// firstTile is tile while a panel of w comes from memory.
func (r *run) firstTile(worker, i, j int, s span, k, nk int) {
	next := r.nextPanel(i-s.rowFrom, j, s, k, nk)
	if r.sweeping && (j+1)*kern.Cols <= r.N {
		p := &r.e.own[worker].sweep
		p.Next, p.NextPanels = next, 0
		r.sweep(worker, i, s, j, j+1, k, nk)
		return
	}
	if r.sweeping {
		p := &r.e.own[worker].sweep
		p.Next, p.NextPanels = next, 0
		r.sweepLast(worker, i, s, j, k, nk)
		return
	}
	r.tile(worker, i, j, s.colFrom, k, nk, next)
}

// nextPanel is what the i-th tile of a panel of a weight that is read in place
// brings in: a part of the next panel.
func (r *run) nextPanel(i, j int, s span, k, nk int) unsafe.Pointer {
	const parts = kern.Stride / kern.NextBytes
	if i >= parts || j+1 == s.colTo {
		return r.x
	}
	return unsafe.Add(r.W.Packed.panel(j+1, k), i*nk*kern.NextBytes)
}

// ahead is what the tiles of a block of K bring in: the next panel of x, and at
// the end what the panels of w of the next block are made of.
type ahead struct {
	r     *run
	s     span
	k     int
	bytes int            // of a piece
	ofX   int            // pieces of a panel of x
	w     unsafe.Pointer // parts of a weight, step bytes apart
	step  int
	parts int
	each  int // pieces of a part
}

func (r *run) ahead(s span, k, nk int) ahead {
	a := ahead{r: r, s: s, k: k, bytes: nk * kern.NextBytes, ofX: blocks(4*r.tall, kern.NextBytes)}
	col := s.colFrom
	if k += nk; k == r.words {
		// Workers take the tasks in turns.
		col, k = col+len(r.e.own)*r.taskPanels, 0
	}
	if panels := min(r.taskPanels, r.colPanels-col); panels > 0 && r.rowTasks == 1 && r.W.Packed.Data != nil {
		a.weight(col, panels, k, min(blockWords, r.words-k))
	}
	return a
}

// weight is words [k, k+nk) of so many panels of w from col on.
func (a *ahead) weight(col, panels, k, nk int) {
	w, per := &a.r.W.Packed, a.r.e.tiles.PerWord
	a.step = w.panelBytes()
	if a.r.WAcross {
		blockBytes := kern.Cols / perWord(w.Type) * kern.Stride
		a.w = unsafe.Add(w.panel(k*per/kern.Cols, 0), col*blockBytes)
		a.parts, a.each = nk*per/kern.Cols, blocks(panels*blockBytes, a.bytes)
		return
	}
	narrow := perWord(w.Type) / per
	a.w = w.panel(col, k/narrow)
	a.parts, a.each = panels, blocks(nk/narrow*kern.Stride, a.bytes)
	if a.r.direct() {
		a.parts = 1 // the tiles bring in the others
	}
}

// piece is what the tile at panel i of x and the j-th panel of w brings in.
func (a *ahead) piece(i, j int) unsafe.Pointer {
	if j < a.ofX {
		if i+1 == a.s.rowTo {
			return a.r.x
		}
		return unsafe.Add(a.r.left(i+1, a.k), j*a.bytes)
	}
	free := a.s.colTo - a.s.colFrom - a.ofX
	p := (a.s.rowTo-1-i)*free + j - a.ofX
	if p >= a.parts*a.each {
		return a.r.x
	}
	return unsafe.Add(a.w, p/a.each*a.step+p%a.each*a.bytes)
}
