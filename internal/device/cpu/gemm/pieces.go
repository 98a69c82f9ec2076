package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// A product of few rows with a weight in blocks, where the level packs them in
// registers but does not multiply them there: a piece of a panel meets all rows of x
// while it is in the first cache, and the sums go on with the next piece. A block of K
// is summed beside y and then joins it, which gives the bits of a whole tile.

const (
	// pieceWords is the words of K in a piece, unless a block of the weight is longer.
	pieceWords = 128
	// piecesRows is the most rows of x, whose sums lie beside y.
	piecesRows = kern.MaxRows
)

// inPieces says whether the product goes this way.
func (r *run) inPieces() bool {
	b := r.blockSource()
	return b != nil && !r.half() && b.Packs(false) && !b.Multiplies(false, r.M) && r.M <= piecesRows && r.Alpha == 1
}

// multiplyPieces computes a task.
func (r *run) multiplyPieces(worker int, s span) {
	for j := s.colFrom; j < s.colTo; j++ {
		for k := 0; k < r.words; k += blockWords {
			r.sumPieces(worker, s, j, k, min(blockWords, r.words-k))
			r.addSums(worker, s, j, k > 0)
		}
		for i := s.rowFrom; i < s.rowTo && r.LowRank.R > 0; i++ {
			row, n := r.rowsOf(i)
			r.e.tiles.Tile[n](r.lowWords, r.uPanel(i), r.lowPanel(worker, j, s.colFrom), r.Y.address(row, j*kern.Cols), 4*r.Y.Stride, 1, 1, r.x)
		}
	}
}

// sumPieces is the sums of words [k, k+nk) of panel j of w and a task's rows of x.
func (r *run) sumPieces(worker int, s span, j, k, nk int) {
	b, own, panel := r.blockSource(), &r.e.own[worker], r.workers[worker]
	size := max(pieceWords, b.Block())
	for at := k; at < k+nk; at += size {
		n, add := min(size, k+nk-at), kern.Onward
		if at == k {
			add = 0
		}
		b.Pack(false, panel, Piece{Row: j * kern.Cols, Rows: kern.Cols, Col: at, Cols: n}, &own.work)
		for i := s.rowFrom; i < s.rowTo; i++ {
			row, rows := r.rowsOf(i)
			c := unsafe.Pointer(&own.tile[row*kern.Cols])
			r.e.tiles.Tile[rows](n, r.xPanel(i, rows, at), panel, c, kern.Stride, 1, add, r.x)
		}
	}
}

// addSums writes the sums to y, or adds them where something is there.
func (r *run) addSums(worker int, s span, j int, more bool) {
	own := &r.e.own[worker]
	from, _ := r.rowsOf(s.rowFrom)
	last, n := r.rowsOf(s.rowTo - 1)
	for m := from; m < last+n; m++ {
		y, x := r.Y.Data[m*r.Y.Stride+j*kern.Cols:][:kern.Cols], own.tile[m*kern.Cols:][:kern.Cols]
		if more || r.Accumulate || len(r.Bias) > 0 {
			r.e.set.Add(y, y, x)
		} else {
			copy(y, x)
		}
	}
}
