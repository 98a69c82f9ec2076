package cpu

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// gradTask is a key/value head and the workspace of the worker that has it.
type gradTask struct {
	*flashGrad
	*micro
	kv int
	// The block of keys: k and v as columns of scores, and k to sum over keys.
	key, n              int
	later               int // whether the span's rows have met another: else dq begins with it
	kRows, vRows, kSums unsafe.Pointer
	// The block of rows: q and do as rows of scores, and to sum over rows.
	qPanel, oPanel, qSums, oSums unsafe.Pointer
	p, ds                        unsafe.Pointer // scores, then weights; their gradient
	a                            unsafe.Pointer // p or ds as a panel
	s, dp                        unsafe.Pointer // of a panel, where p and ds are words of rows
	panel                        *[kern.MaxRows]kern.GradRow
}

func (t *gradTask) layout(w *parts) {
	t.layoutKeys(w)
	d := t.attr.HeadDim
	t.qPanel, t.oPanel = w.take(t.rowsBytes(d)), w.take(t.rowsBytes(d))
	t.layoutRows(w)
	t.a = w.take(t.rowsBytes(max(gradKeys, gradRows)))
	t.s, t.dp = w.take(4*t.Rows*gradStride), w.take(4*t.Rows*gradStride)
	t.panel = (*[kern.MaxRows]kern.GradRow)(w.take(int(unsafe.Sizeof(*t.panel))))
}

// layoutKeys is the part that belongs to a block of keys, layoutRows what remains of a
// block of rows for the sums over them.
func (t *gradTask) layoutKeys(w *parts) {
	d := t.attr.HeadDim
	t.kRows, t.vRows = w.take(gradKeys/kern.Cols*t.colsBytes(d)), w.take(gradKeys/kern.Cols*t.colsBytes(d))
	t.kSums = w.take(panelsOf(d, kern.Cols) * t.colsBytes(gradKeys))
}

func (t *gradTask) layoutRows(w *parts) {
	wide := panelsOf(t.attr.HeadDim, kern.Cols)
	t.qSums, t.oSums = w.take(wide*t.colsBytes(gradRows)), w.take(wide*t.colsBytes(gradRows))
	t.p, t.ds = w.take(4*t.words(gradRows)*gradStride), w.take(4*t.words(gradRows)*gradStride)
}

// gradBlock is n rows of a head, of which the i-th sees the first seen+i keys of a block.
type gradBlock struct{ from, n, seen, head int }

// block is the rows from a border on that see some of keys [key, key+n), of no head yet.
func (s *span) block(border, key, n int, inSegment bool) gradBlock {
	from, to, seen := border, min(border+gradRows, s.end), n
	if inSegment {
		from = max(from, key) // earlier rows do not see these keys
		seen = from + 1 - key
	}
	return gradBlock{from: from, n: to - from, seen: seen}
}

// keys goes through the rows of a span that see some of keys [key, key+n).
func (t *gradTask) keys(s *span, key, n int, inSegment bool) {
	t.key, t.n = key, n
	t.packKeys()
	for border := s.start; border < s.end; border += gradRows {
		b := s.block(border, key, n, inSegment)
		for b.head = t.kv * t.group; b.n > 0 && b.head < (t.kv+1)*t.group; b.head++ {
			t.weights(b)
			t.sumBlock(b, 0, n)
		}
	}
	t.later = 1
}

// packKeys packs the block of keys.
func (t *gradTask) packKeys() {
	d := t.attr.HeadDim
	k, v := t.in.k.from(t.key*t.kvCols+t.kv*d), t.in.v.from(t.key*t.kvCols+t.kv*d)
	t.packRows(t.kRows, k, t.kvCols, t.n, d)
	t.packRows(t.vRows, v, t.kvCols, t.n, d)
	t.packColsOf(k, t.kSums, t.colsBytes(gradKeys), t.kvCols, d, t.n)
}

// weights is p and ds of rows of a head, and what they give dq.
func (t *gradTask) weights(b gradBlock) {
	d, cols := t.attr.HeadDim, t.qCols
	q, do := t.in.q.from(b.from*cols+b.head*d), t.grad.from(b.from*cols+b.head*d)
	t.packColsOf(q, t.qSums, t.colsBytes(gradRows), cols, d, b.n)
	t.packColsOf(do, t.oSums, t.colsBytes(gradRows), cols, d, b.n)
	if t.PerWord > 1 {
		t.pairs(b, q, do)
		return
	}
	t.rows(b, q, do)
}

// sumBlock adds what rows of a head give dk and dv at keys [from, to) of the block.
func (t *gradTask) sumBlock(b gradBlock, from, to int) {
	if to = min(to, t.n, b.seen+b.n-1); from >= to {
		return
	}
	if t.dv != nil {
		t.sumRows(t.dv, t.p, t.oSums, b, from, to)
	}
	if t.dk != nil {
		t.sumRows(t.dk, t.ds, t.qSums, b, from, to)
	}
}

// rows is weights of q and do.
func (t *gradTask) rows(b gradBlock, q, do heads) {
	d, cols := t.attr.HeadDim, t.qCols
	panels := panelsOf(b.n, t.Rows)
	for i := range panels {
		row, rows := evenly(b.n, panels, i)
		visible := min(t.n, b.seen+row+rows-1)
		t.scores(t.qPanel, q.from(row*cols), cols, t.kRows, t.p, row, rows, visible)
		t.scores(t.oPanel, do.from(row*cols), cols, t.vRows, t.ds, row, rows, visible)
		for j := range rows {
			t.weigh(row+j, min(t.n, b.seen+row+j), (b.from+row+j)*t.attr.Heads+b.head)
		}
		if t.dq != nil {
			t.sumKeys(t.dq[(b.from+row)*cols+b.head*d:], row, rows, visible)
		}
	}
}

// sumKeys is dq += ds k for rows of a head, over the first visible keys.
func (t *gradTask) sumKeys(dq []float32, row, rows, visible int) {
	d, ds := t.attr.HeadDim, unsafe.Add(t.ds, 4*row*gradStride)
	if t.HasPlain() {
		t.plainProduct(t.PlainRows, dq, t.qCols, rows, d, t.words(visible), ds, 4*gradStride, t.kSums, t.colsBytes(gradKeys), t.later)
		return
	}
	for j := range rows {
		t.table[j] = unsafe.Add(ds, 4*j*gradStride)
	}
	t.packLeft(t.a, rows, visible)
	t.product(dq, t.qCols, rows, d, t.words(visible), t.a, t.kSums, t.colsBytes(gradKeys), t.later)
}

// scores is c = x y' for rows of x and the first visible columns.
func (t *gradTask) scores(panel unsafe.Pointer, x heads, ld int, y, c unsafe.Pointer, row, rows, visible int) {
	d := t.attr.HeadDim
	c = unsafe.Add(c, 4*row*gradStride)
	if t.HasPlain() && t.PerWord == 1 {
		t.PlainRows(rows, d, x.at(0), 4*ld, y, t.colsBytes(d), c, 4*gradStride, 0, panelsOf(visible, kern.Cols))
		return
	}
	for i := range rows {
		t.table[i] = x.at(i * ld)
	}
	t.packLeftOf(x, panel, rows, d)
	t.Strip(rows, t.words(d), panel, y, t.colsBytes(d), c, 4*gradStride, 0, panelsOf(visible, kern.Cols))
}

// weigh turns a row's scores and do v' into p and ds, 0 for the next keys,
// which the row does not see; at is its place in lse and delta.
func (t *gradTask) weigh(row, visible, at int) {
	p := floats(unsafe.Add(t.p, 4*row*gradStride), gradStride)
	ds := floats(unsafe.Add(t.ds, 4*row*gradStride), gradStride)
	clear(p[visible : visible+gradHidden])
	clear(ds[visible : visible+gradHidden])
	p, ds = p[:visible], ds[:visible]
	scale := float32(t.attr.Scale)
	t.set.ExpSum(p, p, scale, t.lse[at])
	t.set.SoftmaxGrad(ds, p, ds, t.delta[at], scale)
}

// sumRows is y += x' b over a block's rows, for keys [from, to), which the last row sees. x
// has words of rows. Rows that do not see a key have 0 there, and the sum leaves out the
// first of them.
func (t *gradTask) sumRows(y []float32, x, b unsafe.Pointer, block gradBlock, from, to int) {
	d := t.attr.HeadDim
	panels := panelsOf(to-from, t.Rows)
	for i := range panels {
		j, keys := evenly(to-from, panels, i)
		j += from
		first := max(0, j+1-block.seen) &^ (t.PerWord*t.Depth - 1) // rows come in words, or in tiles
		src := unsafe.Add(x, 4*(t.words(first)*gradStride+j))
		at := (t.key+j)*t.kvCols + t.kv*d
		if t.HasPlain() {
			t.plainProduct(t.PlainColumns, y[at:], t.kvCols, keys, d, t.words(block.n-first), src, 4*gradStride, unsafe.Add(b, t.colsBytes(first)), t.colsBytes(gradRows), 1)
			continue
		}
		t.PackLeftColumns(t.a, src, block.n-first, 4*gradStride, keys)
		t.product(y[at:], t.kvCols, keys, d, t.words(block.n-first), t.a, unsafe.Add(b, t.colsBytes(first)), t.colsBytes(gradRows), 1)
	}
}
