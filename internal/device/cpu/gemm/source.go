package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// sourceRows is how many rows of a source are read at a time: 32 that become a
// panel, or, where its rows are summed over, some that fit the second cache.
const sourceRows = 32

// sourceGap lies between the rows that are read, since rows a power of two
// apart would share a place in the first cache.
const sourceGap = 16

// sourceStride is the distance of the rows that are read, in elements.
func (r *run) sourceStride() int {
	if r.WAcross {
		return r.taskPanels*kern.Cols + sourceGap
	}
	return min(r.words, blockWords)*r.e.tiles.PerWord + sourceGap
}

// sourceElements is how many elements of a source a worker keeps.
func (r *run) sourceElements() int {
	if r.W.Packed.Data != nil || r.W.Source == nil {
		return 0
	}
	return sourceRows * r.sourceStride()
}

func (r *run) sourceSpace(worker int) Matrix {
	p := unsafe.Add(r.workers[worker], r.sourceAt)
	return Matrix{Data: unsafe.Slice((*float32)(p), r.sourceElements()), Stride: r.sourceStride()}
}

// packSource reads words [k, k+nk) of panels [from, to) and packs them.
func (r *run) packSource(worker, from, to, k, nk int) {
	if r.WAcross {
		r.packSourceAcross(worker, from, to, k, nk)
		return
	}
	m, own := r.sourceSpace(worker), &r.e.own[worker]
	per, lanes := r.e.tiles.PerWord, r.e.tiles.Lanes
	elements := min(nk*per, r.K-k*per)
	for j := from; j < to; j++ {
		n := min(kern.Cols, r.N-j*kern.Cols)
		for i := range n {
			r.W.Source.Read(m.Data[i*m.Stride:][:elements], j*kern.Cols+i, k*per)
		}
		for lane := 0; lane < n; lane += lanes {
			dst := unsafe.Add(r.bPanel(worker, j, from, k), 4*lane)
			r.packLanes(own, dst, kern.Stride, m, false, lane, min(lanes, n-lane), 0, elements)
		}
	}
}

// packSourceAcross reads rows over all columns of the task, since a block of a
// source may be wider than a panel.
func (r *run) packSourceAcross(worker, from, to, k, nk int) {
	m, own := r.sourceSpace(worker), &r.e.own[worker]
	per, lanes := r.e.tiles.PerWord, r.e.tiles.Lanes
	first, last := k*per, min((k+nk)*per, r.K)
	col := from * kern.Cols
	cols := min(to*kern.Cols, r.N) - col
	for row := first; row < last; row += sourceRows {
		n := min(sourceRows, last-row)
		for i := range n {
			r.W.Source.Read(m.Data[i*m.Stride:][:cols], row+i, col)
		}
		for lane := 0; lane < cols; lane += lanes {
			panel := r.bPanel(worker, from+lane/kern.Cols, from, 0)
			dst := unsafe.Add(panel, (row-first)/per*kern.Stride+4*(lane%kern.Cols))
			r.packLanes(own, dst, kern.Stride, m, true, lane, min(lanes, cols-lane), 0, n)
		}
	}
}
