package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// multiply computes a block of y, once x is packed.
type multiply run

// span is the panels of x and of w that a task works on.
type span struct{ rowFrom, rowTo, colFrom, colTo int }

// Do computes one block.
func (j *multiply) Do(task, worker int) {
	r := (*run)(j)
	row, col := task%r.rowTasks, task/r.rowTasks
	s := span{
		rowFrom: row * r.taskRows, rowTo: min((row+1)*r.taskRows, r.panels),
		colFrom: col * r.taskPanels, colTo: min((col+1)*r.taskPanels, r.colPanels),
	}
	r.bias(s)
	if r.making {
		r.multiplyMaking(worker, s)
		return
	}
	r.packLow(worker, s.colFrom, s.colTo)
	if r.few && r.fewBlocks() {
		r.multiplyFewBlocks(worker, s)
		return
	}
	if r.few {
		r.multiplyFew(worker, s)
		return
	}
	if r.wide {
		r.wideTiles(worker, s)
		return
	}
	if r.pieces {
		r.multiplyPieces(worker, s)
		return
	}
	if r.inBlocks {
		r.multiplyBlocks(worker, s)
		return
	}
	if s.rowTo-s.rowFrom == 1 && r.direct() && r.Y.Half == nil && !r.rows && r.behind() == 0 {
		r.stream(worker, s)
		return
	}
	if r.decodes(s) {
		r.decode(worker, s)
		return
	}
	if r.panels == 1 && r.W.Left != nil || r.turns() {
		r.turn(worker, s)
		return
	}
	if r.eager {
		r.eagerTiles(worker, s)
		return
	}
	for k := 0; k < r.words; k += r.block {
		nk := min(r.block, r.words-k)
		r.packB(worker, s.colFrom, s.colTo, k, nk)
		if r.spans() {
			r.spanRows(worker, s, k, nk)
			continue
		}
		r.tiles(worker, s, k, nk)
	}
}

// stream is the order for few rows: it reads each panel of w from its start to
// its end, which memory is fastest at. An element's sum has the same order.
func (r *run) stream(worker int, s span) {
	for j := s.colFrom; j < s.colTo; j++ {
		for k := 0; k < r.words; k += blockWords {
			r.tile(worker, s.rowFrom, j, s.colFrom, k, min(blockWords, r.words-k), r.x)
		}
	}
}

// decodes says whether a task goes by decode: with more panels of x those of w would be
// made before x is in the second cache.
func (r *run) decodes(s span) bool {
	panels := s.rowTo - s.rowFrom
	return r.reads() && r.Y.Half == nil && !r.rows && (panels == 1 || panels <= eagerPanels && !r.spans())
}

// decode is stream for a weight that is read from a source: each panel is
// multiplied while it is hot.
func (r *run) decode(worker int, s span) {
	for j := s.colFrom; j < s.colTo; j++ {
		for k := 0; k < r.words; k += blockWords {
			nk := min(blockWords, r.words-k)
			r.packSource(worker, s.colFrom, j, j+1, k, nk)
			for i := s.rowFrom; i < s.rowTo; i++ {
				r.tile(worker, i, j, s.colFrom, k, nk, r.x)
			}
		}
	}
}

// tile adds words [k, k+nk) to the tile of y at panel i of x and j of w, and
// the low-rank product after the last of them. from is the task's first panel.
func (r *run) tile(worker, i, j, from, k, nk int, next unsafe.Pointer) {
	if r.roundsTiles() {
		r.roundTile(worker, i, j, from, k, nk, next)
		return
	}
	row, n := r.rowsOf(i)
	col := j * kern.Cols
	width := min(kern.Cols, r.N-col)
	add := k
	if r.Accumulate || len(r.Bias) > 0 {
		add = 1
	}
	y, ldc := r.Y.address(row, col), 4*r.Y.Stride
	own := &r.e.own[worker]
	if width < kern.Cols {
		if add != 0 {
			r.loadTile(own, row, n, col, width)
		}
		y, ldc = unsafe.Pointer(&own.tile), kern.Stride
	}
	r.tileAt(worker, i, j, from, k, nk, next, y, ldc, add)
	if width < kern.Cols {
		r.storeTile(own, row, n, col, width)
	}
}

// tileAt is tile with its place of y, which it adds to if add is not 0.
func (r *run) tileAt(worker, i, j, from, k, nk int, next, y unsafe.Pointer, ldc, add int) {
	_, n := r.rowsOf(i)
	multiply := r.e.tiles.Tile[n]
	if r.eager {
		multiply = r.e.tiles.Eager[n]
	}
	multiply(nk, r.xPanel(i, n, k), r.bPanel(worker, j, from, k), y, ldc, r.Alpha, add, next)
	if k+nk == r.words && r.LowRank.drops() {
		r.keptTile(worker, i, j, from, y, ldc, min(kern.Cols, r.N-j*kern.Cols))
	} else if k+nk == r.words && r.LowRank.R > 0 {
		multiply(r.lowWords, r.uPanel(i), r.lowPanel(worker, j, from), y, ldc, r.Alpha, 1, next)
	}
}

// loadTile copies a part of y that is narrower than a tile, since a tile
// writes all of its columns.
func (r *run) loadTile(own *scratch, row, n, col, width int) {
	for i := range n {
		copy(own.tile[i*kern.Cols:], r.Y.Data[(row+i)*r.Y.Stride+col:][:width])
	}
}

func (r *run) storeTile(own *scratch, row, n, col, width int) {
	for i := range n {
		copy(r.Y.Data[(row+i)*r.Y.Stride+col:][:width], own.tile[i*kern.Cols:])
	}
}

// bias begins a block of y with the bias, which the tiles then add to.
func (r *run) bias(s span) {
	if len(r.Bias) == 0 {
		return
	}
	from, to := s.colFrom*kern.Cols, min(s.colTo*kern.Cols, r.N)
	first, _ := r.rowsOf(s.rowFrom)
	last, n := r.rowsOf(s.rowTo - 1)
	for row := first; row < last+n; row++ {
		y := r.Y.Data[row*r.Y.Stride+from:][:to-from]
		if r.Accumulate {
			r.e.set.Add(y, y, r.Bias[from:to])
		} else {
			copy(y, r.Bias[from:to])
		}
	}
}
