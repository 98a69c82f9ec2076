package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// BlockSource is a Source of blocks that are decoded in registers, 32 rows at a
// time, and are not written down row by row. The bits are those of the rows that
// it reads. Pieces are of whole blocks; work is memory that it may use.
type BlockSource interface {
	Source
	// Packs and Multiplies say what it can in bfloat16 or float32.
	Packs(half bool) bool
	Multiplies(half bool, rows int) bool
	// Pack writes a panel of bfloat16 or float32.
	Pack(half bool, dst unsafe.Pointer, p Piece, work *kern.DirectWork)
	// Make begins with rows of a piece, half of a panel's or the second half, and Span
	// does a span that goes on with them.
	Make(p Piece, second bool, work *kern.DirectWork) kern.Making
	Span(s *kern.Span, m *kern.Making, across bool)
	// Multiply adds to c, m rows of 32 float32, the products with a panel of A of m
	// rows at x.
	Multiply(half bool, c, x unsafe.Pointer, m int, p Piece, work *kern.DirectWork)
	// MultipliesFew says whether there is a MultiplyFew, which is the product of
	// kern.FewBlocks with those rows. RowBytes is the bytes from row to row.
	MultipliesFew() bool
	MultiplyFew(c, x unsafe.Pointer, m, add int, rows FewRows, work *kern.DirectWork, space unsafe.Pointer)
	RowBytes() int
}

// blockSource is the weight as that, where all its panels are whole.
func (r *run) blockSource() BlockSource {
	b, ok := r.W.Source.(BlockSource)
	if !ok || !r.reads() || r.N%kern.DirectRows != 0 || r.K%b.Block() != 0 {
		return nil
	}
	return b
}

// isInBlocks says whether the product goes this way: with two panels of x each row
// would be decoded twice.
func (r *run) isInBlocks() bool {
	b := r.blockSource()
	return b != nil && b.Multiplies(r.half(), r.M) && r.e.tiles.Depth == 1 && r.panels == 1 && r.Alpha == 1
}

func (r *run) multiplyBlocks(worker int, s span) {
	for j := s.colFrom; j < s.colTo; j++ {
		for i := s.rowFrom; i < s.rowTo; i++ {
			for k := 0; k < r.words; k += blockWords {
				r.blockTile(worker, i, j, k, min(blockWords, r.words-k))
			}
			if r.LowRank.R > 0 {
				row, n := r.rowsOf(i)
				r.e.tiles.Tile[n](r.lowWords, r.uPanel(i), r.lowPanel(worker, j, s.colFrom), r.Y.address(row, j*kern.Cols), 4*r.Y.Stride, 1, 1, r.x)
			}
		}
	}
}

// blockTile adds words [k, k+nk) to the tile of y at panel i of x and j of w.
func (r *run) blockTile(worker, i, j, k, nk int) {
	own, per := &r.e.own[worker], r.e.tiles.PerWord
	row, n := r.rowsOf(i)
	c := own.tile[:n*kern.Cols]
	clear(c)
	p := Piece{Row: j * kern.Cols, Rows: kern.Cols, Col: k * per, Cols: nk * per}
	r.W.Source.(BlockSource).Multiply(r.half(), unsafe.Pointer(&own.tile), r.xPanel(i, n, k), n, p, &own.work)
	for m := range n {
		y, x := r.Y.Data[(row+m)*r.Y.Stride+p.Row:][:kern.Cols], c[m*kern.Cols:][:kern.Cols]
		if k > 0 || r.Accumulate || len(r.Bias) > 0 {
			r.e.set.Add(y, y, x)
		} else {
			copy(y, x)
		}
	}
}
