package cpu

import (
	"math"
	"slices"
	"unsafe"

	"align/internal/device/cpu/kern"
)

const (
	// tileBlock is the keys that are packed at a time.
	tileBlock = 256
	// tilePanel is the queries of a panel, all of one head, tileGroup the panels
	// whose weights stay in the caches until they are summed.
	tilePanel = kern.Cols
	tileGroup = kern.GradQueries / tilePanel
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

	qRows, oRows, qSums, oSums unsafe.Pointer // of the chunk, as right sides
	dq                         unsafe.Pointer // [panel][d][32]
	rows                       []kern.GradPanel
	kRows, vRows, kSums        unsafe.Pointer // of the block, as left sides
	dk, dv                     unsafe.Pointer // of the block, [key][head's columns]
	s, dp, p, ds, pairs        unsafe.Pointer
	strips                     []kern.GradStrip // that are due
	row                        deltaRow
	sum                        [1]float32 // do*o of a row
}

func (t *tileGrad) layout(w *parts) {
	t.d = panelsOf(t.attr.HeadDim, 32) * 32
	t.positions = max(tilePanel, tileRows/t.attend.group&^(kern.GradQueries-1))
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
	for _, p := range []*unsafe.Pointer{&t.kRows, &t.vRows, &t.kSums} {
		*p = w.take(2 * t.d * tileBlock)
	}
	t.dk, t.dv = w.take(4*t.attr.HeadDim*tileBlock), w.take(4*t.attr.HeadDim*tileBlock)
	t.s, t.dp = w.take(kern.GradStride*32), w.take(kern.GradStride*32)
	t.p, t.ds = w.take((tileGroup*32+1)*64), w.take((tileGroup*32+1)*64)
	t.pairs = w.take(tileGroup * t.pairsBytes())
	t.row = t.deltaRow(w)
}

// group is a task: spans that see no keys but their own, of a key/value head.
func (t *tileGrad) group(spans spanGroup, kv int, w parts) {
	t.kv = kv
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

// panelBytes is the size of a packed panel of queries, pairsBytes that of a
// panel's ds in pairs of keys.
func (t *tileGrad) panelBytes() int { return 2 * t.d * tilePanel }
func (t *tileGrad) pairsBytes() int { return tileBlock / 2 * kern.Stride }

// span goes through the rows of a span, a chunk at a time.
func (t *tileGrad) span(s *span) {
	for from := s.start; from < s.end; from += t.positions {
		to := min(from+t.positions, s.end)
		t.begin(from, to)
		for key := s.prefixStart; key < s.prefixEnd; key += tileBlock {
			t.keys(key, min(tileBlock, s.prefixEnd-key), from, to, math.MaxInt32)
		}
		for key := s.segmentStart; key < to; key += tileBlock {
			t.keys(key, min(tileBlock, to-key), from, to, from+1-key)
		}
		t.finish(from, to)
	}
}

// begin packs the queries and the gradients of positions [from, to).
func (t *tileGrad) begin(from, to int) {
	t.panels = panelsOf(to-from, tilePanel)
	used := t.attend.group * t.panels
	if t.attr.HeadDim < t.d || (to-from)%tilePanel > 0 { // zeros behind them
		for _, p := range []unsafe.Pointer{t.qRows, t.oRows, t.qSums, t.oSums} {
			clear(floats(p, used*t.panelBytes()/4))
		}
	}
	if t.first = !t.gaps; t.gaps {
		clear(floats(t.dq, used*t.panelBytes()/2))
	}
	for i := range t.panels { // the heads of a position lie together
		row := from + i*tilePanel
		n := min(tilePanel, to-row)
		for head := range t.attend.group {
			t.packQueries(t.in.q, t.qRows, t.qSums, head, i, row, n)
			t.packQueries(t.grad, t.oRows, t.oSums, head, i, row, n)
			t.fillRows(head, i, row, n)
		}
	}
}

// packQueries packs n rows of a head both ways.
func (t *tileGrad) packQueries(x heads, rows, sums unsafe.Pointer, head, panel, row, n int) {
	d := t.attr.HeadDim
	x = x.from(row*t.qCols + (t.kv*t.attend.group+head)*d)
	for lane := 0; lane < tilePanel; lane += t.Lanes {
		for i := range t.Lanes {
			t.table[i] = x.at(min(n-1, kern.FlashKey(lane+i)) * t.qCols)
		}
		t.packLanes(x, unsafe.Add(rows, (head*t.panels+panel)*t.panelBytes()+4*lane), d)
	}
	to := unsafe.Add(t.sums(sums, head), t.colsBytes(panel*tilePanel))
	t.packColsOf(x, to, t.sumsStep(), t.qCols, d, n)
}

// sums is where a head's panels of 32 columns begin, sumsStep apart.
func (t *tileGrad) sums(all unsafe.Pointer, head int) unsafe.Pointer {
	return unsafe.Add(all, head*t.panels*t.panelBytes())
}
func (t *tileGrad) sumsStep() int { return t.colsBytes(t.panels * tilePanel) }

// fillRows sets what the weights of a panel need of each query, whose do has just
// been packed. One that is not there has weights of 0.
func (t *tileGrad) fillRows(head, panel, row, n int) {
	r := &t.rows[head*t.panels+panel]
	for i := range tilePanel {
		query := kern.FlashKey(i)
		if query >= n {
			r.Shift(i, math.Inf(1))
			r.Delta[i] = 0
			continue
		}
		at := (row+query)*t.attr.Heads + t.kv*t.attend.group + head
		r.Shift(i, float64(t.lse[at]))
		t.row.sums(t.flashGrad, t.sum[:], at)
		r.Delta[i] = -t.sum[0] * float32(t.attr.Scale)
	}
}

// keys adds what keys [key, key+n) give: the i-th query of the chunk sees the
// first seen+i of them.
func (t *tileGrad) keys(key, n, from, to, seen int) {
	d := t.attr.HeadDim
	k, v := t.in.k.from(key*t.kvCols+t.kv*d), t.in.v.from(key*t.kvCols+t.kv*d)
	for i := 0; i < n; i += 32 {
		t.packKeys(unsafe.Add(t.kRows, 2*t.d*i), k.from(i*t.kvCols), min(32, n-i))
		t.packKeys(unsafe.Add(t.vRows, 2*t.d*i), v.from(i*t.kvCols), min(32, n-i))
	}
	for col := 0; col < d; col += 32 {
		t.packLeftColumns(unsafe.Add(t.kSums, 2*tileBlock*col), k.from(col), n, min(32, d-col))
	}
	clear(floats(t.dk, d*n))
	clear(floats(t.dv, d*n))
	for head := range t.attend.group {
		for i := range t.panels {
			r := &t.rows[head*t.panels+i]
			for j := range r.Seen {
				r.Seen[j] = int32(max(0, min(n, seen+i*tilePanel+kern.FlashKey(j))))
			}
		}
		for i := 0; i < t.panels; i += tileGroup {
			t.queries(head, i, min(tileGroup, t.panels-i), n, seen)
		}
	}
	t.multiply()
	t.first = false
	t.addKeys(t.flashGrad.dk, t.dk, key, n, from)
	t.addKeys(t.flashGrad.dv, t.dv, key, n, from)
}

// addKeys adds what the block has summed for n keys, if it is wanted. It is the first
// that is known of those from row on: nothing before the chunk sees them.
func (t *tileGrad) addKeys(y []float32, block unsafe.Pointer, key, n, row int) {
	d := t.attr.HeadDim
	if y == nil {
		return
	}
	for i := range n {
		sum, to := floats(unsafe.Add(block, 4*i*d), d), y[(key+i)*t.kvCols+t.kv*d:][:d]
		if key+i >= row && !t.gaps {
			copy(to, sum)
			continue
		}
		t.set.Add(to, to, sum)
	}
}

// packKeys packs n rows as a left side, with zeros behind their columns.
func (t *tileGrad) packKeys(dst unsafe.Pointer, x heads, n int) {
	for i := range n {
		t.table[i] = x.at(i * t.kvCols)
	}
	t.packLeftOf(x, dst, n, t.attr.HeadDim)
}

// packLeftColumns packs cols columns of n rows as a left side.
func (t *tileGrad) packLeftColumns(dst unsafe.Pointer, x heads, n, cols int) {
	if x.half != nil {
		t.level.PackLeftColumnsHalf(dst, x.at(0), n, 2*t.kvCols, cols)
		return
	}
	t.PackLeftColumns(dst, x.at(0), n, 4*t.kvCols, cols)
}

// queries takes panels of a head from first on.
func (t *tileGrad) queries(head, first, panels, n, seen int) {
	visible := min(n, seen+(first+panels)*tilePanel-1)
	for at := 0; at < visible; at += 32 {
		// The first panels may have no query that sees these keys.
		hidden := max(0, (at-seen+1)/tilePanel-first)
		t.tile(head, first, hidden, panels, at, min(32, n-at))
	}
	if t.flashGrad.dq == nil {
		return
	}
	for i := range panels {
		t.sumQueries(head*t.panels+first+i, i, min(n, seen+(first+i+1)*tilePanel-1))
	}
}

// tile is keys [at, at+n) of the block by the panels of a group from hidden on.
func (t *tileGrad) tile(head, first, hidden, panels, at, n int) {
	panel, some := head*t.panels+first+hidden, panels-hidden
	if some <= 0 {
		return
	}
	words, bytes := t.words(t.d), t.panelBytes()
	t.strip(n, words, unsafe.Add(t.kRows, 2*t.d*at), unsafe.Add(t.qRows, panel*bytes), bytes, t.s, kern.GradStride, 0, some)
	t.strip(n, words, unsafe.Add(t.vRows, 2*t.d*at), unsafe.Add(t.oRows, panel*bytes), bytes, t.dp, kern.GradStride, 0, some)
	t.multiply()
	w := kern.GradWeights{
		S: t.s, DP: t.dp, P: t.p, DS: t.ds, Pairs: unsafe.Add(t.pairs, hidden*t.pairsBytes()+at/2*kern.Stride),
		Rows: &t.rows[panel], Panels: some, Keys: n, PairsStep: t.pairsBytes(), Key: at,
	}
	t.set.GradWeights(&w, float32(t.attr.Scale))
	b := t.colsBytes((first + hidden) * tilePanel)
	if t.flashGrad.dv != nil {
		t.sumKeys(t.dv, t.p, unsafe.Add(t.sums(t.oSums, head), b), at, n, some)
	}
	if t.flashGrad.dk != nil {
		t.sumKeys(t.dk, t.ds, unsafe.Add(t.sums(t.qSums, head), b), at, n, some)
	}
}

// sumKeys is y += a b for n keys from at on, over panels of queries.
func (t *tileGrad) sumKeys(y, a, b unsafe.Pointer, at, n, panels int) {
	d, words := t.attr.HeadDim, t.words(panels*tilePanel)
	if d == t.d {
		t.strip(n, words, a, b, t.sumsStep(), unsafe.Add(y, 4*at*d), 4*d, 1, d/kern.Cols)
		return
	}
	t.product(floats(unsafe.Add(y, 4*at*d), n*d), d, n, d, words, a, b, t.sumsStep(), 1)
}

// strip is Strip, which multiply does for whole tiles: these are set up once for all
// strips between the weights of two tiles of scores.
func (t *tileGrad) strip(rows, words int, a, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int) {
	if rows < kern.MaxRows || words%kern.MaxDepth > 0 {
		t.Strip(rows, words, a, b, bStep, c, ldc, add, panels)
		return
	}
	t.strips = append(t.strips, kern.GradStrip{Steps: words / kern.MaxDepth, A: a, B: b, BStep: bStep, C: c, LDC: ldc, Panels: panels, Add: add})
}

// multiply does the strips that are due.
func (t *tileGrad) multiply() {
	t.level.GradStrips(t.strips)
	t.strips = t.strips[:0]
}

// sumQueries adds the first n keys' part to a panel's dq; i is its place in pairs.
func (t *tileGrad) sumQueries(panel, i, n int) {
	if n <= 0 {
		return
	}
	b := unsafe.Add(t.pairs, i*t.pairsBytes())
	words := t.words(n)
	whole := t.LeftWords(words)
	clear(floats(unsafe.Add(b, words*kern.Stride), (whole-words)*kern.Cols))
	for col := 0; col < t.attr.HeadDim; col += 32 {
		c := unsafe.Add(t.dq, 2*panel*t.panelBytes()+4*tilePanel*col)
		t.strip(min(32, t.attr.HeadDim-col), whole, unsafe.Add(t.kSums, 2*tileBlock*col), b, 0, c, 4*tilePanel, count(!t.first), 1)
	}
}

// finish writes the chunk's dq.
func (t *tileGrad) finish(from, to int) {
	if t.flashGrad.dq == nil {
		return
	}
	d := t.attr.HeadDim
	for head := range t.attend.group {
		for i := range t.panels {
			row := from + i*tilePanel
			out := t.flashGrad.dq[row*t.qCols+(t.kv*t.attend.group+head)*d:]
			t.turn(out, unsafe.Add(t.dq, 2*(head*t.panels+i)*t.panelBytes()), min(tilePanel, to-row))
		}
	}
}

// turn transposes a panel of dq.
func (t *tileGrad) turn(out []float32, panel unsafe.Pointer, n int) {
	d := t.attr.HeadDim
	x := floats(panel, d*tilePanel)
	e := 0
	for ; e+kern.MaxLanes <= d; e += kern.MaxLanes {
		for i := range kern.MaxLanes {
			t.table[i] = unsafe.Pointer(&x[(e+i)*tilePanel])
		}
		t.set.Words(unsafe.Pointer(&out[e]), unsafe.Pointer(&t.table), n, 4*t.qCols)
	}
	for ; e < d; e++ {
		for query := range n {
			out[query*t.qCols+e] = x[e*tilePanel+query]
		}
	}
}
