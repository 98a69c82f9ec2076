package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// bPanel is the panel of w with columns 32j to 32j+31 of y from word k on: in
// the weight itself, or the worker's copy, of which from is the first.
func (r *run) bPanel(worker, j, from, k int) unsafe.Pointer {
	if r.direct() {
		return r.W.Packed.panel(j, k)
	}
	if r.thin {
		return r.downPanel(j, k)
	}
	return unsafe.Add(r.workers[worker], r.e.own[worker].making.present+(j-from)*r.bStride)
}

// packB brings words [k, k+nk) of panels [from, to) of w into the worker's
// workspace.
func (r *run) packB(worker, from, to, k, nk int) {
	if r.direct() {
		return
	}
	w := &r.W.Packed
	if w.Data != nil && r.WAcross {
		r.flip(worker, from, to, k, nk)
		return
	}
	if w.Data == nil && r.W.Source != nil {
		r.packSource(worker, from, from, to, k, nk)
		return
	}
	if r.W.Left != nil {
		r.turnLeft(worker, from, to, k, nk)
		return
	}
	if w.Data == nil && r.WAcross {
		r.packAcross(worker, from, to, k, nk)
		return
	}
	for j := from; j < to; j++ {
		dst := r.bPanel(worker, j, from, k)
		if w.Data != nil {
			r.e.set.Widen(dst, w.panel(j, k/2), blocks(nk, 2))
		} else {
			r.packPlain(&r.e.own[worker], dst, r.W.Plain, r.N, j*kern.Cols, k, nk, r.K)
		}
	}
}

// acrossWords is how many words of K are packed over all columns of a task
// before the next ones.
const acrossWords = 16

// packAcross packs rows of a plain w that are summed over: some of them over all
// columns of the task, since memory is read best along its rows.
func (r *run) packAcross(worker, from, to, k, nk int) {
	first := r.packWhole(worker, from, to, k, nk)
	for at := k; at < k+nk && first < to; at += acrossWords {
		for j := first; j < to; j++ {
			dst := unsafe.Add(r.bPanel(worker, j, from, k), (at-k)*kern.Stride)
			n := min(acrossWords, k+nk-at)
			if r.W.Plain.Half != nil {
				r.join(worker, dst, j, at, n)
				continue
			}
			r.packPlain(&r.e.own[worker], dst, r.W.Plain, r.N, j*kern.Cols, at, n, r.K)
		}
	}
}

// join is n words of panel j of a plain w in bfloat16, from word k on. The last panel may be
// narrower: a copy of its rows is not.
func (r *run) join(worker int, dst unsafe.Pointer, j, k, n int) {
	w, per, col := r.W.Plain, r.e.tiles.PerWord, j*kern.Cols
	rows, width := min(n*per, r.K-k*per), r.N-col
	src, stride := w.address(k*per, col), 2*w.Stride
	if width < kern.Cols {
		tile := halves(unsafe.Pointer(&r.e.own[worker].flip))
		for i := range rows {
			copy(tile[i*kern.Cols:], w.Half[(k*per+i)*w.Stride+col:][:width])
		}
		src, stride = unsafe.Pointer(&tile[0]), 2*kern.Cols
	}
	r.e.set.Join(dst, src, rows, stride, kern.Stride)
}

// packWhole packs the whole ones of panels [from, to) in one go, where the level can,
// and is the first that it leaves.
func (r *run) packWhole(worker, from, to, k, nk int) int {
	pack, whole := r.e.tiles.PackPanels, min(to, r.N/kern.Cols)
	if pack == nil || whole <= from {
		return from
	}
	pack(r.bPanel(worker, from, from, k), r.W.Plain.address(k, from*kern.Cols), nk, 4*r.W.Plain.Stride, whole-from, r.bStride)
	return whole
}

// flip turns forward panels around: what was their K becomes the columns of y.
// It reads each of them once, over all columns of the task.
func (r *run) flip(worker, from, to, k, nk int) {
	w, per := &r.W.Packed, r.e.tiles.PerWord
	blockBytes := kern.Cols / perWord(w.Type) * kern.Stride
	turn := r.e.tiles.Flip
	if w.Type != r.e.typ {
		turn = r.e.set.FlipWiden
	}
	whole := min(to, w.K/kern.Cols) - from
	first, last := k*per/kern.Cols, blocks(min((k+nk)*per, r.K), kern.Cols)
	for p := first; p < last; p++ {
		src := unsafe.Add(w.panel(p, 0), from*blockBytes)
		dst := unsafe.Add(r.workers[worker], (p-first)*kern.Cols/per*kern.Stride)
		if whole > 0 {
			turn(dst, src, whole, r.bStride, w.panelBytes())
		}
		if from+whole < to {
			r.flipRest(worker, turn, unsafe.Add(dst, whole*r.bStride), p, from+whole)
		}
	}
}

// flipRest turns the last block of a panel, which has fewer than 32 elements
// of K and is filled up with zeros.
func (r *run) flipRest(worker int, turn kern.Flip, dst unsafe.Pointer, p, block int) {
	w, own := &r.W.Packed, &r.e.own[worker]
	word := block * kern.Cols / perWord(w.Type)
	rest := unsafe.Slice((*uint32)(w.panel(p, word)), (w.words()-word)*kern.Cols)
	clear(own.flip[copy(own.flip[:], rest):])
	turn(dst, unsafe.Pointer(&own.flip), 1, 0, 0)
}

// packLow brings panels [from, to) of v into the worker's workspace.
func (r *run) packLow(worker, from, to int) {
	used := blocks(r.LowRank.R, r.e.tiles.PerWord)
	for j := from; j < to && r.LowRank.R > 0; j++ {
		rest := unsafe.Add(r.lowPanel(worker, j, from), used*kern.Stride)
		clear(unsafe.Slice((*uint32)(rest), (r.lowWords-used)*kern.Cols))
		r.packPlain(&r.e.own[worker], r.lowPanel(worker, j, from), r.LowRank.V, r.N, j*kern.Cols, 0, r.lowWords, r.LowRank.R)
	}
}

func (r *run) lowPanel(worker, j, from int) unsafe.Pointer {
	return unsafe.Add(r.workers[worker], r.lowAt+(j-from)*r.lowWords*kern.Stride)
}
