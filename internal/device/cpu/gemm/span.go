package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// spanWords is how many words of K a span takes at a time: 32 rows of them
// and a panel of w fill two thirds of a first cache of 48 KiB. It is a multiple
// of every Depth.
const spanWords = 128

// spans says whether the level's Span serves: products whose tiles wait for
// the second cache otherwise.
func (r *run) spans() bool {
	t := r.e.tiles
	return t.Span != nil && r.Alpha == 1 && (r.words%t.Depth == 0 || !r.direct()) && r.N%kern.Cols == 0 && r.tall >= t.SpanRows
}

const (
	// spanPanels is the most panels of w in a task of spans.
	spanPanels = 16
	// spanTaskWords is the most words of K in all of them: three eighths of a second cache of
	// 2 MiB.
	spanTaskWords = 6144
	// spanLeast is the fewest panels of w in a task where rows can be cut instead.
	spanLeast = 4
)

// spanTask is the panels of w in a task, of which want are wanted: the more of them, the
// less often x passes by.
func (r *run) spanTask(want int) int {
	least := 1
	if r.cutsRows(want) {
		least = min(spanLeast, r.colPanels*r.panels/(want*leastRows))
	}
	if len(r.e.own) == 1 {
		want = 2 // nobody waits for a late one
	}
	most := max(blockPanels, min(spanPanels, spanTaskWords/r.words))
	tasks := blocks(r.colPanels, min(most, max(least, r.colPanels/want)))
	return blocks(r.colPanels, tasks)
}

// cutsRows says whether many workers share rows of x too, so that less of x comes in with
// each panel of w: of a weight in place, which nobody packs more than once for it. On two
// workers tasks have what was measured to be best.
func (r *run) cutsRows(want int) bool {
	return len(r.e.own) > 2 && r.spans() && r.direct() && r.colPanels*r.panels >= want*leastRows
}

const (
	// keepingLeft is the most panels of x in a task whose tiles of y stay with the
	// worker: they fill half a second cache.
	keepingLeft = 32
	// keepingLeast is the fewest: less of y is not worth it.
	keepingLeast = 4
	// keepingWords is the words of K that are multiplied at a time then.
	keepingWords = 2 * spanWords
)

// isKeeping says whether they stay: where a sum is cut, they would go to memory
// and come back for every block of K. A float32 keeps its bits either way.
func (r *run) isKeeping() bool {
	return r.making || r.spans() && r.words > blockWords && (r.panels >= keepingLeast || r.Y.Half != nil)
}

// fillSpans fills the panels of w that a worker has packed up with zeros to
// whole tiles, as those of x are.
func (r *run) fillSpans(worker int, s span, nk int) {
	rest := r.e.tiles.LeftWords(nk) - nk
	for j := s.colFrom; j < s.colTo && rest > 0; j++ {
		from := unsafe.Add(r.bPanel(worker, j, s.colFrom, 0), nk*kern.Stride)
		clear(unsafe.Slice((*uint32)(from), rest*kern.Cols))
	}
}

// tilesBytes is the size of the tiles of y that a worker keeps: of two panels of
// x, or of all of a task's.
func (r *run) tilesBytes() int {
	switch {
	case r.roundsTiles():
		return kern.TileBytes
	case !r.spans():
		return 0
	case r.keeping:
		return (r.taskRows + r.lowTiles()) * r.group * kern.TileBytes
	}
	return (2 + r.lowTiles()) * r.group * kern.TileBytes
}

// lowTiles is 1 where u v has tiles of its own, for one panel of x.
func (r *run) lowTiles() int {
	if r.LowRank.drops() {
		return 1
	}
	return 0
}

// yTiles is where the tiles of y for panel i of x begin.
func (r *run) yTiles(worker, i int, s span) unsafe.Pointer {
	i -= s.rowFrom
	if !r.keeping {
		i %= 2
	}
	return unsafe.Add(r.workers[worker], r.tilesAt+i*r.group*kern.TileBytes)
}

// streamBytes is the size of y from which it does not stay in the second cache
// until it is read.
const streamBytes = 1 << 20

// streamsOut says whether y is written past the caches, which takes whole lines. A
// y that is added to is in them, and most often added to again.
func (r *run) streamsOut() bool {
	row := r.Y.size() * r.Y.Stride
	return !r.Accumulate && r.M*row >= streamBytes && uintptr(r.Y.address(0, 0))%line == 0 && row%line == 0
}

// spanRows adds words [k, k+nk) of a task: panel by panel of x, a piece of K at
// a time, which stays in the first cache while the panels of w pass by. Where y
// goes to memory, the tiles of a panel go there while the next is under way.
func (r *run) spanRows(worker int, s span, k, nk int) {
	r.fillSpans(worker, s, nk)
	t, streams, add := r.e.tiles, r.streamsOut(), k
	if r.Accumulate || len(r.Bias) > 0 {
		add = 1
	}
	p := &r.e.own[worker].span
	*p = kern.Span{
		BStep: r.panelStep(), LDC: r.Y.size() * r.Y.Stride, Half: r.Y.Half != nil, Panels: s.colTo - s.colFrom, Behind: r.behind(),
		LowB: r.lowPanel(worker, s.colFrom, s.colFrom), LowStep: r.lowWords * kern.Stride,
	}
	var last finished
	for i := s.rowFrom; i < s.rowTo; i++ {
		row, n := r.rowsOf(i)
		if n < t.SpanRows {
			r.lastRows(worker, i, s, k, nk)
			continue
		}
		y := r.Y.address(row, s.colFrom*kern.Cols)
		p.Rows, p.Add, p.C = n, add, r.yTiles(worker, i, s)
		if add != 0 && (k == 0 || !r.keeping) {
			t.TilesIn(y, p.LDC, p.C, n, p.Panels)
		}
		r.spanPanel(worker, s, p, i, k, nk, &last)
		if r.keeping && k+nk < r.words {
			continue
		}
		if k+nk == r.words && r.LowRank.drops() {
			r.keptTiles(worker, s, p, i)
		}
		last = finished{y: y, tiles: p.C, rows: n}
		if !streams {
			last.rows = 0
			r.tilesOut(y, p.C, n, p.Panels)
		}
	}
	if streams && last.rows > 0 {
		r.tilesOut(last.y, last.tiles, last.rows, p.Panels)
	}
}

// tilesOut writes rows of tiles to y.
func (r *run) tilesOut(y, tiles unsafe.Pointer, rows, panels int) {
	switch behind := r.behind(); {
	case r.Y.Half != nil:
		r.e.tiles.TilesOutHalf(y, 2*r.Y.Stride, tiles, rows, panels)
	case behind != 0:
		r.e.tiles.TilesOutBehind(y, 4*r.Y.Stride, tiles, rows, panels, behind)
	default:
		r.e.tiles.TilesOut(y, 4*r.Y.Stride, tiles, rows, panels)
	}
}

// lastRows is a last panel of x of so few rows that its tiles take the place of
// a span. Where y is rounded they stay with the worker until they are whole.
func (r *run) lastRows(worker, i int, s span, k, nk int) {
	if r.Y.Half == nil {
		for j := s.colFrom; j < s.colTo; j++ {
			r.tile(worker, i, j, s.colFrom, k, nk, r.x)
		}
		return
	}
	row, n := r.rowsOf(i)
	tiles := r.yTiles(worker, i, s)
	for j := s.colFrom; j < s.colTo; j++ {
		r.tileAt(worker, i, j, s.colFrom, k, nk, r.x, unsafe.Add(tiles, (j-s.colFrom)*kern.TileBytes), kern.Stride, k)
	}
	if k+nk == r.words {
		r.tilesOut(r.Y.address(row, s.colFrom*kern.Cols), tiles, n, s.colTo-s.colFrom)
	}
}

// spanPanel multiplies panel i of x, of which p.C holds the tiles.
func (r *run) spanPanel(worker int, s span, p *kern.Span, i, k, nk int, last *finished) {
	w := r.bPanel(worker, s.colFrom, s.colFrom, k)
	p.LowK = 0
	for at := k; at < k+nk; at += spanWords {
		p.K = r.e.tiles.LeftWords(min(spanWords, k+nk-at))
		p.A, p.B = r.xPanel(i, p.Rows, at), unsafe.Add(w, (at-k)*kern.Stride)
		if at+p.K >= r.words && r.LowRank.R > 0 && !r.LowRank.drops() {
			p.LowK, p.LowA = r.lowWords, r.uPanel(i)
		}
		last.take(p, blocks(k+nk-at, spanWords))
		if r.making {
			r.spanMaking(worker, p, r.nextPiece(s, i, k, nk, at))
		} else {
			p.Next, p.Ahead = r.nextPiece(s, i, k, nk, at), r.aheadOf(s, i, k, nk)
			r.e.tiles.Span(p)
		}
		p.Add = 1
	}
}

// nextPiece is what follows words [at, at+spanWords) of panel i of x, where words
// [k, k+nk) of a task's panels are under way.
func (r *run) nextPiece(s span, i, k, nk, at int) unsafe.Pointer {
	switch {
	case at+spanWords < k+nk:
		return r.xPanel(i, r.tall, at+spanWords)
	case i+1 < s.rowTo:
		return r.xPanel(i+1, r.tall, k)
	case k+nk < r.words:
		return r.xPanel(s.rowFrom, r.tall, k+nk)
	}
	return r.xPanel(s.rowFrom, r.tall, 0)
}

// aheadPanels is the last panels of x in a task that bring in a weight in place which the
// worker takes next: all of it, each another part of every step. Before them it would not
// stay in the second cache, and as much as it is beside the first of the next task, memory
// would take longer than the tiles.
const aheadPanels = kern.SpanStep / kern.SpanAhead

// aheadOf is how far ahead of a panel of w lies what panel i of x brings in, where words
// [k, k+nk) of a task are under way.
func (r *run) aheadOf(s span, i, k, nk int) int {
	part := i - max(s.rowFrom, s.rowTo-aheadPanels)
	if part < 0 || !r.direct() {
		return 0
	}
	if k+nk < r.words {
		return nk*kern.Stride + part*kern.SpanAhead
	}
	task := s.colFrom/r.taskPanels*r.rowTasks + s.rowFrom/r.taskRows
	next := (task + len(r.e.own)) / r.rowTasks * r.taskPanels
	if next == s.colFrom || next >= r.colPanels {
		return 0
	}
	return (next-s.colFrom)*r.W.Packed.panelBytes() - k*kern.Stride + part*kern.SpanAhead
}

// finished is the rows of tiles that are not yet in y.
type finished struct {
	y, tiles unsafe.Pointer
	rows     int
}

// take gives a span its share of the rows, where so many spans are left.
func (d *finished) take(p *kern.Span, left int) {
	n := blocks(d.rows, left)
	p.Out, p.Tiles, p.OutRows = d.y, d.tiles, n
	d.y, d.tiles, d.rows = unsafe.Add(d.y, n*p.LDC), unsafe.Add(d.tiles, n*kern.Stride), d.rows-n
}

// panelStep is the distance of the panels of w that a task reads.
func (r *run) panelStep() int {
	if r.direct() {
		return r.W.Packed.panelBytes()
	}
	return r.bStride
}
