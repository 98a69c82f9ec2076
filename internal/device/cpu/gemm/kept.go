package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// Where an adapter's input was dropped in part, so is the gradient that comes back
// through it: u v joins y in registers, under a mask, and takes no memory of its own.
// The other way u takes copies of x's panels, a block of K at a time, in which what
// was dropped is 0.

// KeepsLeft says whether the engine takes a LowRank's XKept.
func (e *Engine) KeepsLeft() bool { return e.tiles.KeepLeft != nil }

// keptStride is the bytes of the copy of a panel.
func (r *run) keptStride() int {
	return align(4 * r.tall * min(r.e.tiles.LeftWords(r.words), blockWords))
}

// keptX copies words [k, k+nk) of some panels of n rows of x from panel i on, keptStride
// apart.
func (r *run) keptX(worker, i, panels, n, k, nk int) unsafe.Pointer {
	t, to := r.e.tiles, r.workers[worker]
	for j := range panels {
		row, _ := r.rowsOf(i + j)
		mask := r.LowRank.XKept.address(row, k*t.PerWord)
		t.KeepLeft(unsafe.Add(to, j*r.keptStride()), r.xPanel(i+j, n, k), mask, 4*r.LowRank.XKept.Stride, n, t.LeftWords(nk)/t.Depth)
	}
	return to
}

// keptTile adds to the tile of y at panel i of x and j of w.
func (r *run) keptTile(worker, i, j, from int, y unsafe.Pointer, ldc, width int) {
	own := &r.e.own[worker]
	row, n := r.rowsOf(i)
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
		LowB: p.LowB, LowStep: p.LowStep, C: r.keptSpace(worker),
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
