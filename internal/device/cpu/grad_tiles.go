package cpu

import (
	"math"
	"slices"
	"unsafe"

	"align/internal/device/cpu/kern"
)

const (
	// tileBlock is the keys that are packed at a time, and tilePart those that are
	// multiplied.
	tileBlock = 256
	tilePart  = 32
	// tilePanel is the queries of a panel, all of one head, tileGroup the panels
	// whose weights stay in the caches until they are summed.
	tilePanel = kern.Cols
	tileGroup = kern.GradQueries / tilePanel
	// tileChunk is what the positions of a chunk are a multiple of: chunks decide the order
	// of sums for dk and dv.
	tileChunk = 128
)

// tileGrad is gradTask on kern.GradWeights. Scores have keys down and queries
// across: then weights and their gradient are left sides of the sums for dv and dk as
// they come, and pairs of keys the right side of that for dq, which is kept
// transposed until the end. A chunk of queries is packed once for all keys.
type tileGrad struct {
	*flashGrad
	micro
	kv        int
	positions int  // of a chunk
	panels    int  // of a head in it
	first     bool // no keys came before
	gaps      bool // not every query and key has a part in the sums
	d         int  // columns, filled up to 32
	grouped   int  // panels of a group

	qRows, oRows, qSums, oSums unsafe.Pointer // of the chunk, as right sides
	dq                         unsafe.Pointer // [panel][d][32]
	rows                       []kern.GradPanel
	kRows, vRows, kSums        unsafe.Pointer // of the block, as left sides
	dk, dv                     unsafe.Pointer // of the block, [key][head's columns]
	s, dp, p, ds, pairs        unsafe.Pointer
	strips                     []kern.GradStrip // that are due
	row                        deltaRow
	sums                       []float32 // do*o of a row's heads
}

// tileStrips is how many strips are due at most: those of a group of panels, which are few.
const tileStrips = 32

func newTileGrad(g *flashGrad, m micro) *tileGrad {
	return &tileGrad{flashGrad: g, micro: m, strips: make([]kern.GradStrip, 0, tileStrips)}
}

func (t *tileGrad) layout(w *parts) {
	t.layoutChunk(w)
	t.layoutKeys(w)
	t.layoutWeights(w, tileGroup)
	t.layoutOwn(w)
}

// layoutChunk is what belongs to a chunk of queries, layoutKeys to a block of keys and
// layoutWeights to a part of it and a group of panels. layoutOwn is a worker's alone.
func (t *tileGrad) layoutChunk(w *parts) {
	t.d = panelsOf(t.attr.HeadDim, 32) * 32
	t.positions = max(tilePanel, tileRows/t.attend.group&^(tileChunk-1))
	t.positions = min(t.positions, panelsOf(t.tokens, tilePanel)*tilePanel)
	most := t.attend.group * panelsOf(t.positions, tilePanel)
	for _, p := range []*unsafe.Pointer{&t.qRows, &t.oRows, &t.qSums, &t.oSums} {
		*p = w.take(most * t.panelBytes())
	}
	t.dq = w.take(2 * most * t.panelBytes())
	rows := w.take(most * int(unsafe.Sizeof(kern.GradPanel{})))
	if w.base != nil {
		t.rows = unsafe.Slice((*kern.GradPanel)(rows), most)
	}
}

func (t *tileGrad) layoutKeys(w *parts) {
	for _, p := range []*unsafe.Pointer{&t.kRows, &t.vRows, &t.kSums} {
		*p = w.take(2 * t.d * tileBlock)
	}
}

func (t *tileGrad) layoutWeights(w *parts, panels int) {
	t.p, t.ds = w.take(tileWeights(panels)), w.take(tileWeights(panels))
}

// tileWeights is the bytes of a part's weights of so many panels, with what is written
// behind them.
func tileWeights(panels int) int { return 64 * (panels*tilePart + 1) }

func (t *tileGrad) layoutOwn(w *parts) {
	t.dk, t.dv = w.take(4*t.attr.HeadDim*tileBlock), w.take(4*t.attr.HeadDim*tileBlock)
	t.s, t.dp = w.take(kern.GradStride*tilePart), w.take(kern.GradStride*tilePart)
	t.pairs = w.take(tileGroup * t.pairsBytes())
	t.row = t.deltaRow(w)
	if sums := w.take(4 * t.attend.group); w.base != nil {
		t.sums = floats(sums, t.attend.group)
	}
}

// panelBytes is the size of a packed panel of queries, pairsBytes that of a
// panel's ds in pairs of keys.
func (t *tileGrad) panelBytes() int { return 2 * t.d * tilePanel }
func (t *tileGrad) pairsBytes() int { return tileBlock / 2 * kern.Stride }

// group is a task: spans that see no keys but their own, of a key/value head.
func (t *tileGrad) group(spans spanGroup, kv int, w parts) {
	t.kv, t.grouped = kv, tileGroup
	if t.attr.HeadDim%kern.Cols > 0 {
		t.grouped = waveGroup // a group's part is summed by itself and then added
	}
	t.layout(&w)
	all := t.spans[spans.from:spans.to]
	if t.gaps = slices.ContainsFunc(all, span.hasGap); t.gaps {
		t.clear(kv, all[0].start, all[len(all)-1].end)
		t.clearQueries(kv, all[0].start, all[len(all)-1].end)
	}
	for i := range all {
		t.span(&all[i])
	}
}

// hasGap says whether a row may see no key of its segment, not even its own, or keys
// behind it.
func (s span) hasGap() bool {
	return s.segmentStart > s.start || s.prefixEnd > max(s.start, s.prefixStart)
}

// seesAll says whether every row sees a key of the first block that any of them does.
func (s span) seesAll() bool { return s.prefixEnd > s.prefixStart || s.segmentStart <= s.start }

// keyBlock is keys [key, key+n), of which the i-th query of a chunk sees the first seen+i.
type keyBlock struct{ key, n, seen int }

// keyBlock is block i of those that rows [from, to) of the span see, if there are so many.
func (s *span) keyBlock(i, from, to int) (b keyBlock, ok bool) {
	prefix := panelsOf(s.prefixEnd-s.prefixStart, tileBlock)
	if i < prefix {
		key := s.prefixStart + i*tileBlock
		return keyBlock{key, min(tileBlock, s.prefixEnd-key), math.MaxInt32}, true
	}
	key := s.segmentStart + (i-prefix)*tileBlock
	return keyBlock{key, min(tileBlock, to-key), from + 1 - key}, key < to
}

// span goes through the rows of a span, a chunk at a time.
func (t *tileGrad) span(s *span) {
	for from := s.start; from < s.end; from += t.positions {
		to := min(from+t.positions, s.end)
		t.begin(from, to)
		for i := 0; ; i++ {
			b, ok := s.keyBlock(i, from, to)
			if !ok {
				break
			}
			t.keys(b, from)
		}
		t.finish(from, to)
	}
}

// begin packs the queries and the gradients of positions [from, to).
func (t *tileGrad) begin(from, to int) {
	t.panels = panelsOf(to-from, tilePanel)
	t.first = !t.gaps
	for i := range t.panels { // the heads of a position lie together
		for head := range t.attend.group {
			t.beginPanel(head, i, from, to)
		}
		t.fillRows(0, t.attend.group, i, from, to)
	}
}

// keys adds what a block of keys gives to a chunk that begins at a row, and gets from it.
func (t *tileGrad) keys(b keyBlock, from int) {
	t.packKeys(b, 0, b.n)
	t.packKeySums(b)
	t.clearKeys(0, b.n)
	for head := range t.attend.group {
		for i := 0; i < t.panels; i += t.grouped {
			t.queries(head, i, b)
		}
	}
	t.multiply()
	t.first = false
	t.addKeys(b, 0, b.n, from)
}

// queries takes a group of panels of a head, from the first on.
func (t *tileGrad) queries(head, first int, b keyBlock) {
	t.see(head, first, b)
	for at := 0; at < b.n; at += tilePart {
		if g := t.tile(head, first, at, b); g.panels > 0 {
			t.weigh(g)
			t.sumKeys(g)
		}
	}
	t.sumQueries(head, first, b)
}

// finish writes the chunk's dq.
func (t *tileGrad) finish(from, to int) {
	for head := range t.attend.group {
		for i := range t.panels {
			t.finishPanel(head, i, from, to)
		}
	}
}
