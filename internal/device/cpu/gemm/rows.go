package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// packX packs some panels of x; where u is computed from x, it does so while
// they are hot and packs u as well.
type packX run

// Do packs the panels of a task.
func (j *packX) Do(task, worker int) {
	r := (*run)(j)
	from := task * r.packedPanels
	to := min(from+r.packedPanels, r.panels)
	r.packPanels(worker, from, to)
	if r.LowRank.R == 0 {
		return
	}
	if r.LowRank.computesU() {
		r.computeU(worker, from, to)
	}
	for i := from; i < to; i++ {
		row, n := r.rowsOf(i)
		r.packLeft(&r.e.own[worker], r.uPanel(i), r.LowRank.U, false, row, n, r.LowRank.R)
	}
}

// packLeft packs n vectors of m from v on, of nk elements, as a panel of A.
func (r *run) packLeft(own *scratch, dst unsafe.Pointer, m Matrix, across bool, v, n, nk int) {
	if across && m.Half != nil {
		r.packLeftHalf(own, dst, m, v, n, nk)
		return
	}
	if across {
		r.e.tiles.PackLeftColumns(dst, m.address(0, v), nk, 4*m.Stride, n)
		return
	}
	for i := range n {
		own.table[i] = m.address(v+i, 0)
	}
	if m.Half != nil {
		r.e.set.PackLeftHalf(dst, &own.table, n, nk)
		return
	}
	r.e.tiles.PackLeft(dst, &own.table, n, nk)
}

// packLeftHalf is packLeft of columns of bfloat16, which a level without a packer for
// them widens, some rows at a time.
func (r *run) packLeftHalf(own *scratch, dst unsafe.Pointer, m Matrix, v, n, nk int) {
	if r.e.set.HasLeftColumnsHalf(n) {
		r.e.set.PackLeftColumnsHalf(dst, m.address(0, v), nk, 2*m.Stride, n)
		return
	}
	const rows = kern.Cols
	for k := 0; k < nk; k += rows {
		some := min(rows, nk-k)
		for i := range some {
			r.e.set.FromBF16(own.tile[i*kern.Cols:][:n], m.Half[(k+i)*m.Stride+v:][:n])
		}
		r.e.tiles.PackLeftColumns(unsafe.Add(dst, 4*n*k/r.e.tiles.PerWord), unsafe.Pointer(&own.tile), some, kern.Stride, n)
	}
}

// packLanes writes words of n vectors from v on, at most Lanes of them, side by
// side at dst, for elements [k, k+nk). Vectors are rows of m, or columns if
// across. Lanes past n hold the last vector, or 0.
func (r *run) packLanes(own *scratch, dst unsafe.Pointer, stride int, m Matrix, across bool, v, n, k, nk int) {
	if across {
		r.e.tiles.PackColumns(dst, m.address(k, v), nk, 4*m.Stride, n, stride)
		return
	}
	for i := range r.e.tiles.Lanes {
		own.table[i] = m.address(v+min(i, n-1), k)
	}
	r.e.tiles.PackRows(dst, unsafe.Pointer(&own.table), nk, stride)
}

// computeU is u = Scale x down for the rows of panels [from, to).
func (r *run) computeU(worker, from, to int) {
	l := &r.LowRank
	if r.isThin16(from, to, l.R) && l.dropsX() && r.e.tiles.ThinKept != nil {
		r.multiplyKept16(worker, from)
		return
	}
	if r.isThin16(from, to, l.R) {
		r.multiplyThin16(worker, from, to, l.U, l.R, l.Scale, false)
		return
	}
	for i := from; i < to; i++ {
		row, n := r.rowsOf(i)
		r.panelU(worker, i, row, n)
	}
}

// panelU is computeU for panel i.
func (r *run) panelU(worker, i, row, n int) {
	l, own := &r.LowRank, &r.e.own[worker]
	for j := range r.downWidth {
		for k := 0; k < r.words; k += blockWords {
			nk := min(blockWords, r.words-k)
			x := r.xPanel(i, n, k)
			if l.dropsX() {
				x = r.keptX(worker, i, 1, n, k, nk)
			}
			r.e.tiles.Tile[n](nk, x, r.downPanel(j, k), unsafe.Pointer(&own.tile), kern.Stride, l.Scale, k, r.x)
		}
		col := j * kern.Cols
		width := min(kern.Cols, l.R-col)
		for i := range n {
			copy(l.U.Data[(row+i)*l.U.Stride+col:][:width], own.tile[i*kern.Cols:])
		}
	}
}

// packDown packs a block of K of a panel of down.
type packDown run

// downWords is the words of K in a block, a multiple of 32.
const downWords = 256

func (r *run) downTasks() int { return r.downWidth * blocks(r.words, downWords) }

// Do packs one block.
func (j *packDown) Do(task, worker int) {
	r := (*run)(j)
	panel, block := task%r.downWidth, task/r.downWidth
	k := block * downWords
	nk := min(downWords, r.words-k)
	r.packPlain(&r.e.own[worker], r.downPanel(panel, k), r.downMatrix(), r.downRows(), panel*kern.Cols, k, nk, r.K)
}

// packPlain packs 32 vectors of m from v on, as far as there are total of them,
// for words [k, k+nk) of vectors of length elements. m lies like w.
func (r *run) packPlain(own *scratch, dst unsafe.Pointer, m Matrix, total, v, k, nk, length int) {
	per, lanes := r.e.tiles.PerWord, r.e.tiles.Lanes
	elements := min(nk*per, length-k*per)
	for lane := 0; lane < kern.Cols; lane += lanes {
		n := min(lanes, total-v-lane)
		if n > 0 {
			r.packLanes(own, unsafe.Add(dst, 4*lane), kern.Stride, m, r.WAcross, v+lane, n, k*per, elements)
		}
	}
}
