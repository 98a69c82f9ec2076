package gemm

import (
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Source is a weight in a form of its own, such as blocks that share scales: a
// product reads it piece by piece. Workers call it at the same time.
type Source interface {
	// Block is how many elements of a row belong together: a multiple of 32.
	Block() int
	// Read writes a piece as float32.
	Read(dst []float32, p Piece)
	// ReadHalf writes a piece as bfloat16. wide is memory for at least a row of
	// it.
	ReadHalf(dst []uint16, p Piece, wide []float32)
}

// Piece is elements [Col, Col+Cols) of Rows rows from Row on, and the distance
// of the rows where they go. Col and Cols are multiples of the block except at
// the row's end.
type Piece struct{ Row, Rows, Col, Cols, Stride int }

const (
	// sourceRows is how many rows are read at a time where the sums run over
	// them, so that they stay in the first cache.
	sourceRows = 32
	// sourceWords is how many words of a row are read at a time where the sums
	// run along it: with the rows beside it they fit the first cache.
	sourceWords = 256
	// sourceGap lies between the rows that are read, in elements, since rows a
	// power of two apart would share a place in the first cache.
	sourceGap = 32
)

// sourceStride is the distance of the rows that are read, in elements.
func (r *run) sourceStride() int {
	if r.WAcross {
		return r.group*kern.Cols + sourceGap
	}
	return min(r.words, sourceWords)*r.e.tiles.PerWord + sourceGap
}

// sourceBytes is how much of a source a worker keeps.
func (r *run) sourceBytes() int {
	if r.W.Packed.Data != nil || r.W.Source == nil {
		return 0
	}
	rows := sourceRows
	if !r.WAcross && !r.few {
		rows = r.e.tiles.Lanes
	}
	return max(kern.FewSpace, rows*r.sourceStride()*4/r.e.tiles.PerWord)
}

func (r *run) half() bool { return r.e.typ == device.BF16 }

func (r *run) sourceSpace(worker int) unsafe.Pointer {
	return unsafe.Add(r.workers[worker], r.sourceAt)
}

// readSource brings a piece into the worker's workspace, where the rows of the
// result are in the engine's type.
func (r *run) readSource(worker int, p Piece) {
	at, n := r.sourceSpace(worker), (p.Rows-1)*p.Stride+p.Cols
	if r.half() {
		r.W.Source.ReadHalf(unsafe.Slice((*uint16)(at), n), p, r.e.own[worker].tile[:])
		return
	}
	r.W.Source.Read(unsafe.Slice((*float32)(at), n), p)
}

// packSource reads words [k, k+nk) of panels [from, to) and packs them; base is
// the worker's first panel.
func (r *run) packSource(worker, base, from, to, k, nk int) {
	if r.WAcross {
		r.packSourceAcross(worker, from, to, k, nk)
		return
	}
	lanes, per := r.e.tiles.Lanes, r.e.tiles.PerWord
	if b := r.blockSource(); b != nil && b.Packs(r.half()) {
		for j := from; j < to; j++ {
			p := Piece{Row: j * kern.Cols, Rows: kern.Cols, Col: k * per, Cols: nk * per}
			b.Pack(r.half(), r.bPanel(worker, j, base, k), p, &r.e.own[worker].work)
		}
		return
	}
	for j := from; j < to; j++ {
		n := min(kern.Cols, r.N-j*kern.Cols)
		for lane := 0; lane < n; lane += lanes {
			dst := unsafe.Add(r.bPanel(worker, j, base, k), 4*lane)
			for done := 0; done < nk; done += sourceWords {
				r.packSourceRows(worker, unsafe.Add(dst, done*kern.Stride), j*kern.Cols+lane, min(lanes, n-lane), k+done, min(sourceWords, nk-done))
			}
		}
	}
}

// packSourceRows packs words [k, k+nk) of n rows as lanes of a panel; the lanes
// past them hold the last row.
func (r *run) packSourceRows(worker int, dst unsafe.Pointer, row, n, k, nk int) {
	per, stride, own := r.e.tiles.PerWord, r.sourceStride(), &r.e.own[worker]
	p := Piece{Row: row, Rows: n, Col: k * per, Cols: min(nk*per, r.K-k*per), Stride: stride}
	r.readSource(worker, p)
	src, rowBytes := r.sourceSpace(worker), stride*4/per
	for i := range r.e.tiles.Lanes {
		own.table[i] = unsafe.Add(src, min(i, n-1)*rowBytes)
	}
	if !r.half() {
		r.e.tiles.PackRows(dst, unsafe.Pointer(&own.table), p.Cols, kern.Stride)
		return
	}
	if p.Cols%2 != 0 {
		for i := range n {
			*(*uint16)(unsafe.Add(own.table[i], 2*p.Cols)) = 0
		}
	}
	r.e.set.Words(dst, unsafe.Pointer(&own.table), nk, kern.Stride)
}

// packSourceAcross reads rows over all columns of the task, since a block of a
// source may be wider than a panel.
func (r *run) packSourceAcross(worker, from, to, k, nk int) {
	per, stride := r.e.tiles.PerWord, r.sourceStride()
	first, last := k*per, min((k+nk)*per, r.K)
	col := from * kern.Cols
	p := Piece{Col: col, Cols: min(to*kern.Cols, r.N) - col, Stride: stride}
	for row := first; row < last; row += sourceRows {
		p.Row, p.Rows = row, min(sourceRows, last-row)
		r.readSource(worker, p)
		for j := from; j < to; j++ {
			dst := unsafe.Add(r.bPanel(worker, j, from, 0), (row-first)/per*kern.Stride)
			r.packSourceColumns(worker, dst, (j-from)*kern.Cols, p)
		}
	}
}

// packSourceColumns packs a panel's columns, from col on, of the rows that were
// read.
func (r *run) packSourceColumns(worker int, dst unsafe.Pointer, col int, p Piece) {
	src := r.sourceSpace(worker)
	if r.half() {
		r.e.set.Join(dst, unsafe.Add(src, 2*col), p.Rows, 2*p.Stride, kern.Stride)
		return
	}
	for lane := 0; lane < kern.Cols && col+lane < p.Cols; lane += r.e.tiles.Lanes {
		n := min(r.e.tiles.Lanes, p.Cols-col-lane)
		r.e.tiles.PackColumns(unsafe.Add(dst, 4*lane), unsafe.Add(src, 4*(col+lane)), p.Rows, 4*p.Stride, n, kern.Stride)
	}
}
