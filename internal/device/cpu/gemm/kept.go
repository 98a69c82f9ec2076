package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// Where an adapter's input was dropped in part, so is the gradient that comes back
// through it: u v joins y in registers, under what dropout kept, and takes no memory
// of its own.

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
		K: r.lowWords, Rows: n, A: r.uPanel(i), B: p.LowB, BStep: p.LowStep, LDC: p.LDC, Panels: p.Panels,
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
	if l.Kept.Half != nil {
		k.Half, k.MaskStride = true, 2*l.Kept.Stride
	}
	r.e.set.AddKept(k, width)
}
