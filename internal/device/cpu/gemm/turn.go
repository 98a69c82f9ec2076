package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// A matrix that is packed as a left side already, with its rows as vectors,
// serves as a right side that is summed over these rows: that is the product of
// a weight's gradient, whose sides are the x and the dy of products before it.

// TurnsLeft says whether the engine takes a Weight's Left: where a panel of a
// left side is full, so that pairs of its rows begin at even places of K.
func (e *Engine) TurnsLeft() bool { return e.tiles.Depth > 1 }

// turnWords is how many words of K are turned before they are multiplied: they
// stay in the first cache.
const turnWords = 256

// turnLeft is packAcross from panels of a left side: each has some steps of 32
// columns, whose rows follow each other.
func (r *run) turnLeft(worker, from, to, k, nk int) {
	rows, stride := r.e.tiles.Rows, r.e.leftStride(r.K, r.N)
	words := rows / r.e.tiles.PerWord
	for at := k; at < k+nk; at += words {
		panel := at / words
		n := min(rows, r.K-panel*rows)
		src := unsafe.Add(r.W.Left, panel*stride+from*n*kern.Stride/2)
		for j := from; j < to; j++ {
			dst := unsafe.Add(r.bPanel(worker, j, from, k), (at-k)*kern.Stride)
			r.e.set.Join(dst, src, n, kern.Stride/2, kern.Stride)
			src = unsafe.Add(src, n*kern.Stride/2)
		}
	}
}

// turn is the order where x is one panel: each panel of w is multiplied while
// it is hot.
func (r *run) turn(worker int, s span) {
	step := turnWords
	if r.Alpha != 1 { // a sum is scaled at the end of each step
		step = blockWords
	}
	for j := s.colFrom; j < s.colTo; j++ {
		for k := 0; k < r.words; k += step {
			nk := min(step, r.words-k)
			r.turnLeft(worker, j, j+1, k, nk)
			r.tile(worker, 0, j, j, k, nk, r.x)
		}
	}
}
