package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// A product of many rows with a weight in blocks, where the level's spans make
// panels on their way: while some words of a few panels of w are multiplied, the
// next are decoded to the other half of the worker's workspace. The tiles of y
// stay in the second cache from the first words to the last. The bits are those
// of panels that are packed first.

const (
	// makingLeft is the most panels of x in a task: their tiles fill a quarter of a
	// second cache.
	makingLeft = 16
	// makingWords is the words of K that are made at a time. Two spans take them, so
	// that finished tiles go to memory as slowly as their panels' spans allow.
	makingWords = 2 * spanWords
	// makingPanels is the most panels of w in a task, which decodes the first words by
	// themselves.
	makingPanels = 32
)

// isMaking says whether the product goes this way: where each worker finds some
// panels to make beside others.
func (r *run) isMaking() bool {
	b := r.blockSource()
	return b != nil && r.half() && b.Packs() && r.spans() && r.tall == kern.MakingRows && r.panels > 1 &&
		r.colPanels >= 2*kern.MakingPanels*len(r.e.own)
}

// making is the panels that a worker makes, words [k, k+nk) of them. Offsets are
// in its workspace.
type making struct {
	kern.Making
	first, panel, to int // the first of them, the one under way, and behind the last
	k, nk            int
	offset, present  int // of these panels, and of those that are multiplied
}

// multiplyMaking is a task, a few panels of w after the other. Only the first are
// packed by themselves.
func (r *run) multiplyMaking(worker int, s span) {
	m := &r.e.own[worker].making
	m.present, m.offset = 0, r.group*r.bStride
	r.packB(worker, s.colFrom, min(s.colFrom+r.group, s.colTo), 0, r.step(0))
	now := s
	for from := s.colFrom; from < s.colTo; from += r.group {
		now.colFrom, now.colTo = from, min(from+r.group, s.colTo)
		r.packLow(worker, now.colFrom, now.colTo)
		for k := 0; k < r.words; k += makingWords {
			nk := r.step(k)
			if k+nk < r.words {
				r.begin(worker, now.colFrom, now.colTo, k+nk)
			} else {
				r.begin(worker, now.colTo, min(now.colTo+r.group, s.colTo), 0)
			}
			r.spanRows(worker, now, k, nk)
			r.finish(worker)
		}
	}
	m.present = 0
}

// step is how many words of K come from word k on.
func (r *run) step(k int) int { return min(makingWords, r.words-k) }

// begin begins with panels [from, to), from word k on.
func (r *run) begin(worker, from, to, k int) {
	m := &r.e.own[worker].making
	m.first, m.panel, m.to, m.k, m.nk = from, from, to, k, r.step(k)
	r.beginHalf(worker, false)
}

// beginHalf begins with half of the rows of the panel under way.
func (r *run) beginHalf(worker int, second bool) {
	own, per := &r.e.own[worker], r.e.tiles.PerWord
	m := &own.making
	if m.panel == m.to {
		return
	}
	p := Piece{Row: m.panel * kern.Cols, Rows: kern.Cols, Col: m.k * per, Cols: m.nk * per}
	m.Making = r.W.Source.(BlockSource).Make(p, second, &own.work)
	m.Dst = unsafe.Add(r.workers[worker], m.offset+(m.panel-m.first)*r.bStride)
	if second {
		m.Dst = unsafe.Add(m.Dst, kern.Stride/2)
	}
}

// spanMaking is a span, which makes what is under way where it can.
// next is what the span after it multiplies.
func (r *run) spanMaking(worker int, p *kern.Span, next unsafe.Pointer) {
	const units = kern.MakingPanels * kern.MakingUnit
	m := &r.e.own[worker].making
	if m.panel == m.to || m.nk%units != 0 || p.Rows != kern.MakingRows || p.K != kern.MakingWords || p.Panels != kern.MakingPanels {
		r.e.tiles.Span(p)
		return
	}
	m.Next = next
	r.W.Source.(BlockSource).Span(p, &m.Making)
	if m.Units*kern.MakingUnit < m.nk {
		return
	}
	if m.Second {
		m.panel++
	}
	r.beginHalf(worker, !m.Second)
}

// finish packs what is not made and turns to it.
func (r *run) finish(worker int) {
	m := &r.e.own[worker].making
	m.present, m.offset = m.offset, m.present
	if m.panel < m.to {
		r.packSource(worker, m.first, m.panel, m.to, m.k, m.nk)
	}
}
