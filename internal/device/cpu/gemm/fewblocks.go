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

// FewRows is groups of 16 rows of a weight: the first group's from First on, Apart
// rows from each to the next, and each group's Next rows behind those of the one before.
type FewRows struct{ First, Apart, Next, Groups int }

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

// groups is the block's rows as they are multiplied.
func (b fewBlock) groups() FewRows {
	if b.shift == 0 {
		return FewRows{b.row, 1, kern.FewGroup, b.rows / kern.FewGroup}
	}
	return FewRows{b.row, 1 << b.shift, 1, 1 << b.shift}
}

// place is where row i of the block comes among those that are multiplied.
func (b fewBlock) place(i int) int {
	group, lane := i&(1<<b.shift-1), i>>b.shift
	return group*kern.FewGroup + lane
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
		b.MultiplyFew(unsafe.Pointer(&own.sums), x, r.M, add, block.groups(), &own.work, r.sourceSpace(worker))
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
			own.sums[b.place(i)*r.M+m] = r.Y.Data[m*r.Y.Stride+b.row+i]
		}
	}
	return 1
}

// storeFewBlock writes the block's columns of y.
func (r *run) storeFewBlock(own *scratch, b fewBlock) {
	if r.M == 1 {
		r.storeOneRow(own, b)
		return
	}
	for first := 0; first < b.rows; first += r.e.tiles.Lanes {
		for i := range r.e.tiles.Lanes {
			own.table[i] = unsafe.Pointer(&own.sums[b.place(first+i)*r.M])
		}
		r.e.set.Words(r.Y.address(0, b.row+first), unsafe.Pointer(&own.table), r.M, 4*r.Y.Stride)
	}
}

// storeOneRow is storeFewBlock of one row of y, which is the sums, groups by rows,
// transposed.
func (r *run) storeOneRow(own *scratch, b fewBlock) {
	y := r.Y.Data[b.row:][:b.rows]
	groups := 1 << b.shift
	if groups != r.e.tiles.Lanes {
		for i := range y {
			y[i] = own.sums[b.place(i)]
		}
		return
	}
	for i := range groups {
		own.table[i] = unsafe.Pointer(&own.sums[i*kern.FewGroup])
	}
	r.e.set.Words(unsafe.Pointer(&y[0]), unsafe.Pointer(&own.table), kern.FewGroup, 4*groups)
}
