package cpu

import (
	"math"
	"math/bits"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

const (
	// flashKeys is the number of keys in a block, whole pages of a cache. Blocks
	// begin at the start of a row's prefix and of its segment, and between them
	// the softmax is rescaled; so they decide the bits of a row.
	flashKeys = 512
	// flashPages is those pages.
	flashPages = flashKeys / device.PageRows
	// flashRows is about how many query rows, of all heads that share a
	// key/value head, use a packed block. No bit depends on it.
	flashRows = 448
	// flashHalfRows is the most of them where keys and values are bfloat16. Positions are a
	// power of two then, as many contexts are: keys are packed once more for rows of a
	// segment that another task has.
	flashHalfRows = 768
	// flashStride is the distance of rows of scores: not a power of two, so that
	// they do not share a cache set.
	flashStride = flashKeys + 16
)

// flash is attention's forward pass on the tiles (https://arxiv.org/abs/2205.14135,
// algorithm 1). The rows of all heads that share a key/value head are worked on
// together, position by position.
type flash struct {
	b     *Backend
	set   *kern.Set
	attr  device.Attention
	group int
	rows  int   // of all heads of a group that a packed block serves; no bit depends on it
	pages *page // how the pages of a cache hold their panels; nil: nothing is read in place
	of    []flashWorker
}

// flashWorker attends with rows of a key/value head, on one worker.
type flashWorker interface {
	// size is the bytes of workspace for a number of positions.
	size(positions int) int
	// begin takes the rows of q of a key/value head from position from on.
	begin(q heads, from, positions, kv int)
	// pack brings n rows of keys and values, from row on, to place at of the
	// block, a multiple of 64.
	pack(k, v heads, row, n, kv, at int)
	// inPage says that the keys and values of 64 positions at a place of the block
	// lie packed in a page of a cache.
	inPage(k, v unsafe.Pointer, at int)
	// block attends to the n keys that are packed. The i-th position sees the first
	// seen+i of them.
	block(n, seen int)
	// finish writes the rows' output and lse, where they are wanted. A row that
	// sees no key gets 0, and -Inf for lse.
	finish(o heads, lse []float32, from, kv int)
}

func newFlash(f *fast, a *attend[float32]) *flash {
	t := &flash{b: f.b, set: f.set, attr: a.attr, group: a.group, rows: flashRows}
	if f.tiles() == &f.set.BF16 {
		t.rows = a.group << bits.Len(uint(flashHalfRows/a.group)) / 2
	}
	kernel, onTiles := f.set.Flash(a.attr.HeadDim)
	for i, m := range f.micros() {
		if onTiles && f.tiles() == &f.set.BF16 {
			t.rows = tileRows
			t.of = append(t.of, &tileTask{flash: t, micro: m, worker: i, kernel: kernel})
		} else {
			t.of = append(t.of, &flashTask{flash: t, micro: m, worker: i})
		}
	}
	return t
}

// reserve makes room for tasks of a number of positions.
func (f *flash) reserve(positions int) error {
	return f.b.spaces.reserve(words8(int64(f.of[0].size(positions))), 0)
}

// micros is the tiles, for each worker.
func (f *fast) micros() []micro {
	own := make([]micro, f.b.pool.threads)
	for i := range own {
		own[i].Products, own[i].level = f.tiles(), f.set
	}
	return own
}

// flashTask is the rows [from, from+rows/group) of one key/value head, and the
// workspace of the worker that has them.
type flashTask struct {
	*flash
	micro
	worker           int
	rows, panels     int // rows of all heads of the group
	k, v, q, s, p, o unsafe.Pointer
	x                unsafe.Pointer             // what a block adds to o, where it lies in pages
	in               [flashPages]unsafe.Pointer // pages of keys
	values           [flashPages]unsafe.Pointer
	width            int // columns of o, filled up to whole panels
	largest          []float32
	sums             []float64
	weigh            [kern.MaxRows]kern.WeighRow
	places           [kern.FinishMost]int // of rows that are finished
	logs             kern.FinishLogs
}

// layout divides a workspace for a number of positions.
func (t *flashTask) layout(w *parts, positions int) {
	d := t.attr.HeadDim
	t.rows = positions * t.group
	t.panels = panelsOf(t.rows, t.Rows)
	t.width = panelsOf(d, kern.Cols) * kern.Cols
	if t.pages == nil {
		t.k = w.take(flashKeys / kern.Cols * t.colsBytes(d))
		t.v = w.take(t.width / kern.Cols * t.colsBytes(flashKeys))
	} else {
		t.x = w.take(t.Rows * kern.Stride)
	}
	t.q = w.take(t.panels * t.rowsBytes(d))
	t.s = w.take(4 * t.Rows * flashStride)
	t.p = w.take(t.rowsBytes(flashKeys))
	t.o = w.take(4 * t.rows * t.width)
	largest, sums := w.take(4*t.rows), w.take(8*t.rows)
	if w.base != nil {
		t.largest = floats(largest, t.rows)
		t.sums = unsafe.Slice((*float64)(sums), t.rows)
	}
}

func (t *flashTask) size(positions int) int {
	w := parts{}
	t.layout(&w, positions)
	return w.size
}

func (t *flashTask) begin(q heads, from, positions, kv int) {
	w := parts{base: pointer(t.b.spaces.of[t.worker].Addr)}
	t.layout(&w, positions)
	clear(floats(t.o, t.rows*t.width))
	for i := range t.rows {
		t.largest[i], t.sums[i] = float32(math.Inf(-1)), 0
	}
	d, cols := t.attr.HeadDim, t.attr.Heads*t.attr.HeadDim
	for i := range t.panels {
		row, n := evenly(t.rows, t.panels, i)
		for j := range n {
			r := row + j
			t.table[j] = q.at((from+r/t.group)*cols + (kv*t.group+r%t.group)*d)
		}
		t.packLeftOf(q, t.queries(i), n, d)
	}
}

func (t *flashTask) queries(panel int) unsafe.Pointer {
	return unsafe.Add(t.q, panel*t.rowsBytes(t.attr.HeadDim))
}

func (t *flashTask) pack(k, v heads, row, n, kv, at int) {
	d, cols := t.attr.HeadDim, t.attr.KVHeads*t.attr.HeadDim
	k, v = k.from(row*cols+kv*d), v.from(row*cols+kv*d)
	t.packRows(unsafe.Add(t.k, at/kern.Cols*t.colsBytes(d)), k, cols, n, d)
	t.packColsOf(v, unsafe.Add(t.v, t.colsBytes(at)), t.colsBytes(flashKeys), cols, d, n)
}

func (t *flashTask) block(n, seen int) {
	for i := range t.panels {
		row, rows := evenly(t.rows, t.panels, i)
		visible := min(n, seen+(row+rows-1)/t.group)
		if visible <= 0 {
			continue
		}
		t.scores(i, rows, visible)
		o := floats(unsafe.Add(t.o, 4*row*t.width), rows*t.width)
		if t.inPlace() {
			t.weights(row, rows, n, seen, visible)
			t.plainProduct(t.PlainRows, o, t.width, rows, t.width, t.words(visible), t.s, 4*flashStride, t.v, t.colsBytes(flashKeys), 1)
			continue
		}
		for j := range rows {
			t.table[j] = unsafe.Add(t.s, 4*j*flashStride)
			t.softmax(floats(t.table[j], visible), min(n, max(0, seen+(row+j)/t.group)), row+j)
		}
		t.packLeft(t.p, rows, visible)
		if t.pages != nil {
			t.addPages(row, rows, visible)
			continue
		}
		t.product(o, t.width, rows, t.width, t.words(visible), t.p, t.v, t.colsBytes(flashKeys), 1)
	}
}

// inPlace says whether products read the weights where the scores were.
func (t *flashTask) inPlace() bool { return t.HasPlain() && t.pages == nil }

// scores is s = q k' of a panel and the first visible keys.
func (t *flashTask) scores(panel, rows, visible int) {
	d := t.attr.HeadDim
	if t.pages != nil {
		for at := 0; at < visible; at += device.PageRows {
			panels := panelsOf(min(visible-at, device.PageRows), kern.Cols)
			t.Strip(rows, t.words(d), t.queries(panel), t.in[at/device.PageRows], t.colsBytes(d), unsafe.Add(t.s, 4*at), 4*flashStride, 0, panels)
		}
		return
	}
	if t.HasPlain() {
		t.PlainColumns(rows, t.words(d), t.queries(panel), 4*rows, t.k, t.colsBytes(d), t.s, 4*flashStride, 0, panelsOf(visible, kern.Cols))
		return
	}
	t.Strip(rows, t.words(d), t.queries(panel), t.k, t.colsBytes(d), t.s, 4*flashStride, 0, panelsOf(visible, kern.Cols))
}

func (t *flashTask) inPage(k, v unsafe.Pointer, at int) {
	t.in[at/device.PageRows], t.values[at/device.PageRows] = k, v
}

// addPages adds a panel's weights times values. One sum goes over all pages of a
// block, as it does where they are packed.
func (t *flashTask) addPages(row, rows, visible int) {
	step := t.colsBytes(device.PageRows)
	for panel := range t.width / kern.Cols {
		add := 0
		for at := 0; at < visible; at += device.PageRows {
			i, words := at/device.PageRows, t.words(min(visible-at, device.PageRows))
			weights := unsafe.Add(t.p, 4*rows*t.words(at))
			next := t.values[min(i+1, flashPages-1)]
			t.Tile[rows](words, weights, unsafe.Add(t.values[i], panel*step), t.x, kern.Stride, 1, add, unsafe.Add(next, panel*step))
			add = kern.Onward
		}
		for j := range rows {
			addTo(floats(unsafe.Add(t.o, 4*((row+j)*t.width+panel*kern.Cols)), kern.Cols), floats(unsafe.Add(t.x, j*kern.Stride), kern.Cols))
		}
	}
}
