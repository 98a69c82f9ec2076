package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// A product of few rows with a weight that is read from a source, where the
// level has Few: the rows that are read are the left side as they lie. The bits
// are those of the product of many rows. Blocks that a level has FewBlocks for are
// not read, and meet x there.

const (
	fewBytes = 4 * kern.FewRows // of a word of all rows
	fewWords = 256              // of K that are read at a time
)

// isFew says whether the product goes this way.
func (r *run) isFew() bool {
	return r.reads() && r.e.tiles.Few != nil && r.M <= kern.FewRows && !r.XAcross &&
		r.words%r.e.tiles.Depth == 0 && r.K == r.words*r.e.tiles.PerWord && r.Alpha == 1 &&
		(r.fewBlocks() || r.LowRank.R == 0 && r.X.Half == nil)
}

// fewBlocks says whether the weight's blocks are decoded in the product.
func (r *run) fewBlocks() bool {
	b := r.blockSource()
	return b != nil && b.MultipliesFew()
}

// packFew packs x as the right side, a block of words in a task.
type packFew run

func (r *run) fewTasks() int {
	if r.fewStep() < fewBytes {
		return 1 // a block's last words are written over by the next block's first
	}
	return blocks(r.words, fewWords)
}

// fewStep is the bytes of a word of all rows.
func (r *run) fewStep() int {
	if r.fewBlocks() {
		return 4 * r.M
	}
	return fewBytes
}

// Do packs one block, or all of them.
func (j *packFew) Do(task, worker int) {
	r, own := (*run)(j), &j.e.own[worker]
	per, k, step := r.e.tiles.PerWord, task*fewWords, r.fewStep()
	n := min(fewWords, r.words-k)
	if step < fewBytes {
		n = r.words
	}
	for i := range r.e.tiles.Lanes {
		own.table[i] = r.X.address(min(i, r.M-1), k*per)
	}
	dst := unsafe.Add(r.fewX, k*step)
	if r.X.Half != nil {
		r.e.set.Words(dst, unsafe.Pointer(&own.table), n, step)
		return
	}
	r.e.tiles.PackRows(dst, unsafe.Pointer(&own.table), n*per, step)
}

// multiplyFew computes the columns of a task.
func (r *run) multiplyFew(worker int, s span) {
	per, own := r.e.tiles.PerWord, &r.e.own[worker]
	c, src := unsafe.Pointer(&own.flip), r.sourceSpace(worker)
	p := Piece{Stride: r.sourceStride()}
	for j := s.colFrom; j < s.colTo; j++ {
		p.Row, p.Rows = j*kern.Cols, min(kern.Cols, r.N-j*kern.Cols)
		add := r.loadFew(own, p.Row, p.Rows)
		for k := 0; k < r.words; k += fewWords {
			nk := min(fewWords, r.words-k)
			p.Col, p.Cols = k*per, nk*per
			r.readSource(worker, p)
			r.e.tiles.Few(nk, src, p.Stride*4/per, unsafe.Add(r.fewX, k*fewBytes), c, add)
			add = 1
		}
		r.storeFew(own, p.Row, p.Rows)
	}
}

// storeFew writes rows of the weight to y.
func (r *run) storeFew(own *scratch, row, rows int) {
	for m := range r.M {
		y := r.Y.Data[m*r.Y.Stride+row:][:rows]
		for i := range y {
			y[i] = own.few()[i*kern.FewRows+m]
		}
	}
}

// loadFew brings y in where the product adds to it, and says so.
func (r *run) loadFew(own *scratch, row, rows int) (add int) {
	if !r.Accumulate && len(r.Bias) == 0 {
		return 0
	}
	for i := range rows {
		for m := range r.M {
			own.few()[i*kern.FewRows+m] = r.Y.Data[m*r.Y.Stride+row+i]
		}
	}
	return 1
}

// few is the result of Few: rows of the weight by rows of x.
func (s *scratch) few() []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&s.flip)), kern.Cols*kern.FewRows)
}
