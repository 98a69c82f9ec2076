package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// Where an adapter's input was dropped in part, so is the gradient that comes back
// through it: u v joins y in registers, under a mask, and takes no memory of its own.
// The other way u takes copies of x's panels, a block of K at a time, in which what
// was dropped is 0, or of its rows. Panels of words of all rows meet the masks across, so
// that a mask register holds the bits of a word.

// KeepsLeft says whether the engine takes a weight's Kept.
func (e *Engine) KeepsLeft() bool { return e.tiles.KeepLeft != nil }

// KeepsX says whether it takes a LowRank's XKept of so many columns.
func (e *Engine) KeepsX(k int) bool {
	t := e.tiles
	return t.KeepLeft != nil || t.KeepPanel != nil || t.ThinKept != nil && k%kern.Cols == 0
}

// keptWords is the words of K that rows are copied of at a time: beside those of down
// they stay in the first cache.
const keptWords = 128

// keptStride is the bytes of the copy of a panel.
func (r *run) keptStride() int {
	return align(4 * r.tall * min(r.e.tiles.LeftWords(r.words), blockWords))
}

// keptBytes is the workspace that a worker takes for copies: of two panels, or of one and
// its rows.
func (r *run) keptBytes() int { return thinPanels*r.keptStride() + kern.Slack }

// keptX copies words [k, k+nk) of some panels of n rows of x from panel i on, keptStride
// apart.
func (r *run) keptX(worker, i, panels, n, k, nk int) unsafe.Pointer {
	t, to := r.e.tiles, r.workers[worker]
	for j := range panels {
		row, _ := r.rowsOf(i + j)
		y, x, mask := unsafe.Add(to, j*r.keptStride()), r.xPanel(i+j, n, k), r.LowRank.XKept.address(row, k*t.PerWord)
		switch {
		case t.KeepLeft != nil:
			t.KeepLeft(y, x, mask, 4*r.LowRank.XKept.Stride, n, t.LeftWords(nk)/t.Depth)
		case t.KeepPanel != nil:
			t.KeepPanel(y, x, r.masksAcross(worker, row, n, k, nk), 4*n, nk)
		default:
			return r.keptRows(worker, i, n, k, nk)
		}
	}
	return to
}

// masksAcross is the masks of words [k, k+nk) of n rows of x, each word of them side by
// side.
func (r *run) masksAcross(worker, row, n, k, nk int) unsafe.Pointer {
	own, per := &r.e.own[worker], r.e.tiles.PerWord
	for i := range kern.MaxLanes {
		own.table[i] = r.LowRank.XKept.address(row+min(i, n-1), k*per)
	}
	masks := unsafe.Pointer(&own.flip)
	r.e.set.Words(masks, unsafe.Pointer(&own.table), kern.MaskWords(nk*per), 4*kern.MaxLanes)
	return masks
}

// keptRows packs words [k, k+nk) of panel i anew, of n rows.
func (r *run) keptRows(worker, i, n, k, nk int) unsafe.Pointer {
	row, _ := r.rowsOf(i)
	rows, own := r.workers[worker], &r.e.own[worker]
	r.keepRows(rows, row, n, k, nk)
	for j := range n {
		own.table[j] = unsafe.Add(rows, 4*j*nk)
	}
	panel := unsafe.Add(rows, r.keptStride())
	r.e.tiles.PackLeft(panel, &own.table, n, nk)
	return panel
}

// keepRows brings words [k, k+nk) of n rows of x, from row on, side by side to dst.
func (r *run) keepRows(dst unsafe.Pointer, row, n, k, nk int) {
	mask := &r.LowRank.XKept
	r.e.tiles.KeepRows(dst, r.X.address(row, k), 4*r.X.Stride, mask.address(row, k), 4*mask.Stride, n, nk/kern.Cols)
}

// multiplyKept16 is multiplyThin16 of the rows of x, for a u that takes them under a mask.
func (r *run) multiplyKept16(worker, i int) {
	own, l := &r.e.own[worker], &r.LowRank
	row, n := r.rowsOf(i)
	rows, size := r.workers[worker], thinPanels*n*kern.ThinCols
	sums, total := own.tile[:size], own.tile[size:][:size]
	for k := 0; k < r.words; k += keptWords {
		nk := min(keptWords, r.words-k)
		r.keepRows(rows, row, thinPanels*n, k, nk)
		r.e.tiles.ThinKept(nk, rows, 4*nk, r.downPanel(0, k), unsafe.Pointer(&sums[0]), k%blockWords)
		switch {
		case (k+nk)%blockWords != 0 && k+nk < r.words:
		case k < blockWords:
			r.e.set.Scale(total, sums, l.Scale)
		default:
			r.e.set.Axpy(total, sums, l.Scale)
		}
	}
	for j := range thinPanels * n {
		copy(l.U.Data[(row+j)*l.U.Stride:][:l.R], total[j*kern.ThinCols:])
	}
}

// keptTile adds to the tile of y at panel i of x and j of w.
func (r *run) keptTile(worker, i, j, from int, y unsafe.Pointer, ldc, width int) {
	own := &r.e.own[worker]
	row, n := r.rowsOf(i)
	if l := &r.LowRank; r.e.tiles.LowKept != nil && width == kern.Cols && r.lowWords <= kern.LowWords {
		mask := l.Kept.address(row, j*kern.Cols)
		r.e.tiles.LowKept(r.lowWords, r.uPanel(i), n, r.lowPanel(worker, j, from), y, ldc, mask, 4*l.Kept.Stride, l.KeptScale)
		return
	}
	low := unsafe.Pointer(&own.flip)
	r.e.tiles.Tile[n](r.lowWords, r.uPanel(i), r.lowPanel(worker, j, from), low, kern.Stride, 1, 0, r.x)
	r.addKept(worker, y, ldc, low, row, n, j*kern.Cols, width)
}

// keptTiles adds to the tiles of a span, of which p has multiplied all of K.
func (r *run) keptTiles(worker int, s span, p *kern.Span, i int) {
	row, n := r.rowsOf(i)
	tiles := p.C
	*p = kern.Span{
		K: r.lowWords, Rows: n, A: r.uPanel(i), B: p.LowB, BStep: p.LowStep, LDC: p.LDC, Half: p.Half, Panels: p.Panels,
		LowB: p.LowB, LowStep: p.LowStep, C: r.keptSpace(worker), Behind: p.Behind,
	}
	r.e.tiles.Span(p)
	for j := range p.Panels {
		low := unsafe.Add(p.C, j*kern.TileBytes)
		r.addKept(worker, unsafe.Add(tiles, j*kern.TileBytes), kern.Stride, low, row, n, (s.colFrom+j)*kern.Cols, kern.Cols)
	}
	p.C, p.BStep = tiles, r.panelStep()
}

// keptSpace is where the tiles of u v lie, behind those of y.
func (r *run) keptSpace(worker int) unsafe.Pointer {
	return unsafe.Add(r.workers[worker], r.tilesAt+r.tilesBytes()-r.group*kern.TileBytes)
}

// addKept adds low to n rows of y at (row, col).
func (r *run) addKept(worker int, y unsafe.Pointer, ldc int, low unsafe.Pointer, row, n, col, width int) {
	l := &r.LowRank
	k := &r.e.own[worker].kept
	*k = kern.Kept{C: y, LDC: ldc, Low: low, Mask: l.Kept.address(row, col), MaskStride: 4 * l.Kept.Stride, Rows: n, Scale: l.KeptScale}
	r.e.set.AddKept(k, width)
}
