package gemm

import (
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Block sizes. On Zen 5 they are the best, or within 1% of it, for both types
// with AVX-512 and for AVX2: a panel of w of 128 KiB and eight tall panels of x
// stay in the second cache.
const (
	blockWords  = 1024 // words of K in a block, a multiple of 32
	blockPanels = 8    // panels of w in a task, unless the level says another number
	madePanels  = 4    // and the most of those that are made of a source: its bytes come beside them
	blockRows   = 112  // rows of x that first pass over a panel of a weight in place
)

// line is what workspace is aligned to.
const line = 64

func align(bytes int) int { return blocks(bytes, line) * line }

// run is a product under way: how it is divided, and where its parts lie.
type run struct {
	Product
	e *Engine

	words     int // of K
	lowWords  int // of R, with those that fill a panel of u up
	panels    int // of x
	tall      int // rows of the tallest panel of x
	least     int // and of the lowest, where rows are spread evenly
	taller    int // panels of x that have a row more than it
	colPanels int // of w
	colTasks  int
	rowTasks  int

	x, u, down        unsafe.Pointer // panels in the shared workspace
	fewX              unsafe.Pointer // x as the right side of Few
	eager             bool           // its tiles are
	few               bool           // the product goes by Few
	thin              bool           // it goes by thin
	rows              bool           // the rows of x are read, but for the last
	packedFrom        int            // the first panel of x that is packed
	packedPanels      int            // of x that a task packs
	first, last       int            // panels of x that a thin product takes
	inBlocks          bool           // it goes by the source's Multiply
	wide              bool           // it goes by wide tiles
	pieces            bool           // it packs blocks in pieces
	making            bool           // its spans make panels
	sweeping          bool           // its tiles go by sweeps
	keeping           bool           // the tiles of y stay with the worker for all of K
	block             int            // words of K that many rows are multiplied with at a time
	xStride, uStride  int            // bytes from panel to panel
	workers           []unsafe.Pointer
	bStride           int // in a worker's workspace: from panel to panel
	lowAt, sourceAt   int // and where panels of v, and elements of a source, begin
	tilesAt           int // and tiles of y
	taskPanels, group int // panels of w in a task, and of those that lie packed at a time
	taskRows          int // panels of x in a task
	needsB, downWidth int // panels of w that a worker packs; panels of down
}

// plan divides p for the engine's pool.
func (r *run) plan(e *Engine, p *Product) {
	*r = run{Product: *p, e: e}
	per := e.tiles.PerWord
	r.words, r.lowWords = blocks(p.K, per), e.tiles.LeftWords(blocks(p.LowRank.R, per))
	r.panels = blocks(p.M, e.tiles.Rows)
	r.last = r.panels
	r.tall = e.tall(p.M)
	r.least, r.taller = p.M/max(1, r.panels), p.M%max(1, r.panels)
	r.colPanels = blocks(p.N, kern.Cols)
	r.xStride = e.leftStride(p.M, p.K)
	r.uStride = align(4*r.tall*r.lowWords + kern.Slack)
	r.making = r.isMaking()
	r.keeping = r.isKeeping()
	r.sweeping = r.sweeps()
	r.divide()
	r.eager = r.isEager()
	r.few, r.thin = r.isFew(), r.isThin()
	r.packedPanels = r.packTask()
	r.inBlocks, r.pieces, r.wide = r.isInBlocks(), r.inPieces(), r.isWide()
	if r.rows = r.takesRows(); r.rows {
		r.packedFrom = r.plainPanels()
	}
	r.block = blockWords
	if r.keeping {
		r.block = keepingWords
	}
	r.bStride = align(kern.Stride*roundUp(min(r.words, r.block), kern.Cols) + line)
	r.group, r.needsB = r.taskPanels, r.taskPanels
	if r.making {
		r.group, r.needsB = kern.MakingPanels, 2*kern.MakingPanels
	}
	if r.direct() {
		r.needsB = 0
	}
	r.lowAt = r.needsB * r.bStride
	r.sourceAt = r.lowAt + r.group*r.lowWords*kern.Stride
	r.tilesAt = align(r.sourceAt + r.sourceBytes())
	if r.packsDown() {
		r.downWidth = blocks(r.downRows(), kern.Cols)
	}
}

// tall is the rows of the tallest of the panels that M rows make.
func (e *Engine) tall(m int) int {
	if e.TurnsLeft() {
		return min(m, e.tiles.Rows)
	}
	return blocks(m, max(1, blocks(m, e.tiles.Rows)))
}

// leftStride is the bytes from panel to panel of a left side of m rows.
func (e *Engine) leftStride(m, k int) int {
	return align(4*e.tall(m)*e.tiles.LeftWords(blocks(k, e.tiles.PerWord)) + kern.Slack)
}

func roundUp(n, size int) int { return blocks(n, size) * size }

// direct says whether the tiles read the weight where it lies.
func (r *run) direct() bool {
	return r.W.Packed.Data != nil && !r.WAcross && r.W.Packed.Type == r.e.typ
}

// reads says whether the sums run along rows of a source.
func (r *run) reads() bool {
	return r.W.Packed.Data == nil && r.W.Source != nil && !r.WAcross
}

func (r *run) sizes() Sizes {
	shared := (r.panels-r.packedFrom)*r.xStride + r.panels*r.uStride + r.downWidth*r.words*kern.Stride
	if r.few {
		shared += r.words * fewBytes
	}
	worker := r.tilesAt + r.tilesBytes()
	if r.LowRank.dropsX() {
		worker = max(worker, r.keptBytes())
	}
	return Sizes{Shared: int64(shared + line), Worker: int64(worker + line)}
}

// carve lays the parts out in the workspace.
func (r *run) carve(space Space) {
	r.x = space.Shared
	r.u = unsafe.Add(r.x, (r.panels-r.packedFrom)*r.xStride)
	r.down = unsafe.Add(r.u, r.panels*r.uStride)
	r.fewX = unsafe.Add(r.down, r.downWidth*r.words*kern.Stride)
	r.workers = space.Worker
}

// rowsOf is the first row and the number of rows of panel i of x: the rows are
// spread evenly, so that no small panel is left at the end. Where panels are
// turned into right sides, whose K is cut at fixed places, each is full instead.
func (r *run) rowsOf(i int) (row, n int) {
	if r.e.TurnsLeft() {
		return i * r.tall, min(r.tall, r.M-i*r.tall)
	}
	if i < r.taller {
		return i * (r.least + 1), r.least + 1
	}
	return i*r.least + r.taller, r.least
}

// xPanel is the address of word k of panel i, which has n rows.
func (r *run) xPanel(i, n, k int) unsafe.Pointer {
	return unsafe.Add(r.x, (i-r.packedFrom)*r.xStride+4*n*k)
}

func (r *run) uPanel(i int) unsafe.Pointer { return unsafe.Add(r.u, i*r.uStride) }

// downPanel is the address of word k of panel j of down.
func (r *run) downPanel(j, k int) unsafe.Pointer {
	return unsafe.Add(r.down, (j*r.words+k)*kern.Stride)
}

// typ is the type of an element.
func (m Matrix) typ() device.Type {
	if m.Half != nil {
		return device.BF16
	}
	return device.F32
}

// size is the bytes of an element.
func (m Matrix) size() int { return m.typ().Size() }

// address is the address of element (row, col).
func (m Matrix) address(row, col int) unsafe.Pointer {
	if m.Half != nil {
		return unsafe.Pointer(&m.Half[row*m.Stride+col])
	}
	return unsafe.Pointer(&m.Data[row*m.Stride+col])
}
