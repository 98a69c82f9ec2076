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
	makingWords = keepingWords
	// makingPanels is the most panels of w in a task, which decodes the first words by
	// themselves.
	makingPanels = 32
	// makingLeast is the words of K from which it pays: with fewer, the first words
	// are too great a part, and finished tiles come too fast.
	makingLeast = 1024
)

// isMaking says whether the product goes this way: where each worker finds some
// panels to make beside others.
func (r *run) isMaking() bool {
	return r.half() && r.packsBlocks() && r.spans() && r.tall == kern.MakingRows && r.panels > 1 && r.words >= makingLeast &&
		r.colPanels >= 2*kern.MakingPanels*len(r.e.own)
}

// packsBlocks says whether the weight is a source that packs panels of whole
// blocks, along its rows or across.
func (r *run) packsBlocks() bool {
	b, ok := r.W.Source.(BlockSource)
	if !ok || !b.Packs(true) {
		return false
	}
	if r.WAcross {
		return r.W.Packed.Data == nil && r.N%b.Block() == 0 && r.K%(2*kern.MakingUnit) == 0
	}
	return r.blockSource() != nil
}

// making is the panels that a worker makes, words [k, k+nk) of them, part by
// part: half a panel, or across some words of all. Offsets are in its workspace.
type making struct {
	kern.Making
	first, to       int // the first of the panels, and behind the last
	k, nk           int
	part, parts     int // the one under way; none where they cannot be made so
	units           int // of a part
	offset, present int // of these panels, and of those that are multiplied
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

// acrossUnit is the words of a unit where the sums run over the rows.
const acrossUnit = kern.DirectRows / 4

// begin begins with panels [from, to), from word k on.
func (r *run) begin(worker, from, to, k int) {
	m := &r.e.own[worker].making
	m.first, m.to, m.k, m.nk, m.part, m.parts = from, to, k, r.step(k), 0, 0
	switch {
	case r.WAcross && to-from == kern.MakingPanels:
		m.parts, m.units = m.nk/acrossUnit, kern.MakingPanels
	case !r.WAcross && m.nk%(kern.MakingPanels*kern.MakingUnit) == 0:
		m.parts, m.units = 2*(to-from), m.nk/kern.MakingUnit
	}
	r.beginPart(worker)
}

// beginPart begins with the part under way.
func (r *run) beginPart(worker int) {
	own, per := &r.e.own[worker], r.e.tiles.PerWord
	m, b := &own.making, r.W.Source.(BlockSource)
	if m.part == m.parts {
		return
	}
	at := unsafe.Add(r.workers[worker], m.offset)
	if r.WAcross {
		p := Piece{Row: (m.k + m.part*acrossUnit) * per, Rows: kern.DirectRows / 2, Col: m.first * kern.Cols, Cols: kern.MakingPanels * kern.Cols}
		m.Making = b.Make(p, false, &own.work)
		m.Dst, m.DstStep = unsafe.Add(at, m.part*acrossUnit*kern.Stride), r.bStride
		return
	}
	panel, half := m.part/2, m.part%2
	p := Piece{Row: (m.first + panel) * kern.Cols, Rows: kern.DirectRows, Col: m.k * per, Cols: m.nk * per}
	m.Making = b.Make(p, half > 0, &own.work)
	m.Dst, m.DstStep = unsafe.Add(at, panel*r.bStride+half*kern.Stride/2), kern.MakingUnit*kern.Stride
}

// spanMaking is a span, which makes what is under way where it can. next is what
// the span after it multiplies.
func (r *run) spanMaking(worker int, p *kern.Span, next unsafe.Pointer) {
	m := &r.e.own[worker].making
	if m.part == m.parts || p.Rows != kern.MakingRows || p.K != kern.MakingWords || p.Panels != kern.MakingPanels {
		r.e.tiles.Span(p)
		return
	}
	m.Next = next
	r.W.Source.(BlockSource).Span(p, &m.Making, r.WAcross)
	if m.Units == m.units {
		m.part++
		r.beginPart(worker)
	}
}

// finish packs what is not made and turns to it.
func (r *run) finish(worker int) {
	m := &r.e.own[worker].making
	m.present, m.offset = m.offset, m.present
	switch {
	case m.first == m.to || m.parts > 0 && m.part == m.parts:
	case r.WAcross:
		made := m.part * acrossUnit
		m.present += made * kern.Stride
		r.packSource(worker, m.first, m.first, m.to, m.k+made, m.nk-made)
		m.present -= made * kern.Stride
	default:
		r.packSource(worker, m.first, m.first+m.part/2, m.to, m.k, m.nk)
	}
}
