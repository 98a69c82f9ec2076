package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// sweptWords is the words of K up to which a panel of w that is read in place need not
// come to the second cache by itself: sweeps bring it in as fast as they multiply. The panels
// of a task are half a second cache of 1 MiB at most then, so that few workers take long ones.
const sweptWords = 256

// sweeps says whether the level takes the panels of x over all of a task's panels of w
// in one call. What a mask joins behind a tile finds that in the first cache.
func (r *run) sweeps() bool {
	t := r.e.tiles
	return r.panels > 0 && t.HasSweep(r.tall) && t.HasSweep(r.least) && !r.LowRank.drops()
}

// sweepsHalf says whether sweeps write a y in bfloat16, which takes all of a sum at a time.
func (r *run) sweepsHalf() bool {
	return r.sweeping && r.e.tiles.SweepsHalf() && r.words <= r.block && !r.wide
}

// sweepPanel adds words [k, k+nk) of a task for panel i of x, as tile does for each panel of
// w. The last of w may be narrower than a tile.
func (r *run) sweepPanel(worker, i int, s span, k, nk int, next *ahead) {
	p := &r.e.own[worker].sweep
	whole := min(s.colTo, r.N/kern.Cols)
	p.Next, p.NextPanels, p.Then = next.piece(i, 0), next.ofX, r.x
	if whole-s.colFrom > next.ofX {
		p.Then = next.piece(i, next.ofX)
	}
	r.sweep(worker, i, s, s.colFrom, whole, k, nk)
	if j := max(whole, s.colFrom); j < s.colTo {
		p.Next, p.NextPanels = next.piece(i, j-s.colFrom), 0
		r.sweepLast(worker, i, s, j, k, nk)
	}
}

// sweepLast is sweep for panel j, the last, which has fewer columns than are written: those
// go by a tile of their own.
func (r *run) sweepLast(worker, i int, s span, j, k, nk int) {
	row, n := r.rowsOf(i)
	own, col := &r.e.own[worker], j*kern.Cols
	width := r.N - col
	p := r.sweepOf(worker, i, s, j, k, nk)
	p.C, p.LDC, p.Panels = unsafe.Pointer(&own.flip), kern.Cols*r.Y.size(), 1
	if r.Y.Half != nil {
		r.e.tiles.Sweep(n, p)
		copyTile(r.Y.Half[row*r.Y.Stride+col:], r.Y.Stride, halves(p.C), n, width)
		return
	}
	tile := unsafe.Slice((*float32)(p.C), n*kern.Cols)
	if p.Add != 0 {
		for m := range n {
			copy(tile[m*kern.Cols:], r.Y.Data[(row+m)*r.Y.Stride+col:][:width])
		}
	}
	r.e.tiles.Sweep(n, p)
	copyTile(r.Y.Data[row*r.Y.Stride+col:], r.Y.Stride, tile, n, width)
}

// halves is a tile of bfloat16.
func halves(at unsafe.Pointer) []uint16 {
	return unsafe.Slice((*uint16)(at), kern.MaxRows*kern.Cols)
}

// copyTile copies the first columns of n rows of a tile to rows of y.
func copyTile[E any](y []E, stride int, tile []E, n, width int) {
	for i := range n {
		copy(y[i*stride:][:width], tile[i*kern.Cols:])
	}
}

// sweep is tile for panels [from, to) of a task, which are whole. What it brings in stands in
// the worker's sweep.
func (r *run) sweep(worker, i int, s span, from, to, k, nk int) {
	if from >= to {
		return
	}
	row, n := r.rowsOf(i)
	p := r.sweepOf(worker, i, s, from, k, nk)
	p.C, p.LDC, p.Panels = r.Y.address(row, from*kern.Cols), r.Y.size()*r.Y.Stride, to-from
	r.e.tiles.Sweep(n, p)
}

// sweepOf is sweep but for the place of y.
func (r *run) sweepOf(worker, i int, s span, from, k, nk int) *kern.Sweep {
	own, l := &r.e.own[worker], &r.LowRank
	p := &own.sweep
	p.A, p.ARow = r.left(i, k), 0
	if r.isPlain(i) {
		p.ARow = r.X.size() * r.X.Stride
	}
	p.K, p.B, p.BStep, p.Half = nk, r.bPanel(worker, from, s.colFrom, k), r.panelStep(), r.Y.Half != nil
	p.Alpha, p.Add, p.LowK, p.Work = r.Alpha, k, 0, unsafe.Pointer(&own.tile)
	if r.Accumulate || len(r.Bias) > 0 {
		p.Add = 1
	}
	p.Behind = 0
	if k+nk == r.words {
		p.Behind = r.behind()
	}
	if l.R > 0 && k+nk == r.words {
		p.LowK, p.LowA, p.LowB, p.LowStep = r.lowWords, r.uPanel(i), r.lowPanel(worker, from, s.colFrom), r.lowWords*kern.Stride
	}
	return p
}
