package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// A product of few rows with blocks follows 16 rows of the weight at a time. They lie
// some rows apart, and the next 16 are those behind them, so that memory is read as
// 16 long streams. Of 16 neighbours each stream would end with its row, and several would lie in
// a page, which is too short for a processor to find out what to bring in.

const (
	mostShift = 4    // 16 rows, which a stream is long
	sameSets  = 4096 // addresses a multiple of this apart share a place in the first cache
)

// FewRows is twice 16 rows of a weight: from First on, Apart rows from each to the
// next, and the same Next rows behind.
type FewRows struct{ First, Apart, Next int }

// fewBlock is neighbouring rows of a weight that 16 streams of 1<<shift rows cover, or,
// with a shift of 0, twice 16 rows.
type fewBlock struct {
	row, rows int
	shift     uint
}

// fewBlockAt is the block at a panel, of at most so many.
func (r *run) fewBlockAt(panel, panels int) fewBlock {
	shift, bytes := uint(mostShift), r.W.Source.(BlockSource).RowBytes()
	for shift > 0 && (kern.FewGroup<<shift > panels*kern.Cols || bytes<<shift%sameSets == 0) {
		shift--
	}
	return fewBlock{panel * kern.Cols, max(kern.Cols, kern.FewGroup<<shift), shift}
}

// pair is groups 2i and 2i+1 of 16 rows.
func (b fewBlock) pair(i int) FewRows {
	if b.shift == 0 {
		return FewRows{b.row, 1, kern.FewGroup}
	}
	return FewRows{b.row + 2*i, 1 << b.shift, 1}
}

// sum is where the sums of row i of the block begin.
func (b fewBlock) sum(i int) int {
	group, lane := i&(1<<b.shift-1), i>>b.shift
	return (group*kern.FewGroup + lane) * kern.FewRows
}

// multiplyFewBlocks is multiplyFew without a piece in between. One row of x is the
// same in both kinds of panels.
func (r *run) multiplyFewBlocks(worker int, s span) {
	own, b := &r.e.own[worker], r.W.Source.(BlockSource)
	x := r.fewX
	if r.M == 1 {
		x = r.x
	}
	for j := s.colFrom; j < s.colTo; {
		block := r.fewBlockAt(j, s.colTo-j)
		add := r.loadFewBlock(own, block)
		for i := range block.rows / kern.Cols {
			b.MultiplyFew(unsafe.Pointer(&own.sums[i*kern.Cols*kern.FewRows]), x, r.M, add, block.pair(i), &own.work, r.sourceSpace(worker))
		}
		r.storeFewBlock(own, block)
		for end := j + block.rows/kern.Cols; j < end; j++ {
			r.addLow(worker, j, s.colFrom)
		}
	}
}

// addLow adds the low-rank product to a panel's columns.
func (r *run) addLow(worker, j, base int) {
	if r.LowRank.R > 0 {
		r.e.tiles.Tile[r.M](r.lowWords, r.uPanel(0), r.lowPanel(worker, j, base), r.Y.address(0, j*kern.Cols), 4*r.Y.Stride, 1, 1, r.x)
	}
}

// loadFewBlock brings y in where the product adds to it, and says so.
func (r *run) loadFewBlock(own *scratch, b fewBlock) (add int) {
	if !r.Accumulate && len(r.Bias) == 0 {
		return 0
	}
	for i := range b.rows {
		for m := range r.M {
			own.sums[b.sum(i)+m] = r.Y.Data[m*r.Y.Stride+b.row+i]
		}
	}
	return 1
}

// storeFewBlock writes the block's columns of y, which from two rows of x on is a
// transposition.
func (r *run) storeFewBlock(own *scratch, b fewBlock) {
	if r.M == 1 {
		y := r.Y.Data[b.row:][:b.rows]
		for i := range y {
			y[i] = own.sums[b.sum(i)]
		}
		return
	}
	for first := 0; first < b.rows; first += r.e.tiles.Lanes {
		for i := range r.e.tiles.Lanes {
			own.table[i] = unsafe.Pointer(&own.sums[b.sum(first+i)])
		}
		r.e.set.Words(r.Y.address(0, b.row+first), unsafe.Pointer(&own.table), r.M, 4*r.Y.Stride)
	}
}
