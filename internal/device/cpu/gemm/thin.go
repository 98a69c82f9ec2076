package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// A product with at most a panel of columns, as a LoRA's products down to its
// rank are, waits for its x: each panel is multiplied while it is hot from
// packing.

// isThin says whether the product goes this way.
func (r *run) isThin() bool {
	return r.colPanels == 1 && !r.XAcross && r.W.Packed.Data == nil && r.W.Source == nil && r.LowRank.R == 0
}

// packsDown says whether a right side is packed before x is: that of u, or that
// of a thin product.
func (r *run) packsDown() bool { return r.thin || r.LowRank.computesU() }

// downMatrix is that side, and downRows its number of vectors.
func (r *run) downMatrix() Matrix {
	if r.thin {
		return r.W.Plain
	}
	return r.LowRank.Down
}

func (r *run) downRows() int {
	if r.thin {
		return r.N
	}
	return r.LowRank.R
}

// thinPanels is how many panels of x a task of a thin product takes.
const thinPanels = 2

// multiplyThin packs some panels of x and computes their rows of y.
type multiplyThin run

// Do does the panels of a task.
func (j *multiplyThin) Do(task, worker int) {
	r := (*run)(j)
	from := r.first + task*thinPanels
	to := min(from+thinPanels, r.last)
	r.packPanels(worker, from, to)
	r.bias(span{rowFrom: from, rowTo: to, colFrom: 0, colTo: 1})
	if r.isThin16(from, to, r.N) {
		r.multiplyThin16(worker, from, to, r.Y, r.N, r.Alpha, r.Accumulate || len(r.Bias) > 0)
		return
	}
	for i := from; i < to; i++ {
		for k := 0; k < r.words; k += blockWords {
			r.tile(worker, i, 0, 0, k, min(blockWords, r.words-k), r.x)
		}
	}
}

// packPanels packs panels [from, to) of x, where that is not done.
func (r *run) packPanels(worker, from, to int) {
	if r.XPacked || r.isPlain(to-1) {
		return
	}
	if r.strides() {
		r.packStrided(from, to)
		return
	}
	for i := from; i < to; i++ {
		row, n := r.rowsOf(i)
		r.packLeft(&r.e.own[worker], r.xPanel(i, n, 0), r.X, r.XAcross, row, n, r.K)
	}
}

// isThin16 says whether the level's Thin serves for panels [from, to) and so many
// columns of down, or its ThinRows.
func (r *run) isThin16(from, to, columns int) bool {
	if r.isPlain(to - 1) {
		return true
	}
	t := r.e.tiles
	_, n := r.rowsOf(to - 1)
	return t.Thin != nil && columns <= kern.ThinCols && to-from == thinPanels && n == t.Rows && r.words%t.Depth == 0
}

// multiplyThin16 is y = alpha x down, or y += that, for panels [from, to) of x.
func (r *run) multiplyThin16(worker, from, to int, y Matrix, columns int, alpha float32, adds bool) {
	own, t := &r.e.own[worker], r.e.tiles
	row, _ := r.rowsOf(from)
	last, n := r.rowsOf(to - 1)
	rows := last + n - row
	first := min(row, r.M-thinPanels*t.Rows) // of as many as are multiplied
	tile := own.tile[(row-first)*kern.ThinCols:]
	add := 0
	if adds {
		add = 1
		for j := range rows {
			copy(tile[j*kern.ThinCols:], y.Data[(row+j)*y.Stride:][:columns])
		}
	}
	for k := 0; k < r.words; k += blockWords {
		nk := min(blockWords, r.words-k)
		if r.isPlain(from) {
			t.ThinRows(nk, r.X.address(first, k*t.PerWord), 2*r.X.Stride, r.downPanel(0, k), unsafe.Pointer(&own.tile), alpha, add)
			add = 1
			continue
		}
		x, stride := r.xPanel(from, n, k), r.xStride
		if r.LowRank.dropsX() {
			x, stride = r.keptX(worker, from, thinPanels, n, k, nk), r.keptStride()
		}
		t.Thin(nk, x, stride, r.downPanel(0, k), unsafe.Pointer(&own.tile), alpha, add)
		add = 1
	}
	for j := range rows {
		copy(y.Data[(row+j)*y.Stride:][:columns], tile[j*kern.ThinCols:])
	}
}
