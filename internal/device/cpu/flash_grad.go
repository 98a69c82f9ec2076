package cpu

import (
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

const (
	// gradKeys is the number of keys in a block, gradRows of query rows: what
	// belongs to a pair of blocks stays in a core's second cache.
	gradKeys = 512
	gradRows = 128
	// gradHidden is how many keys behind those that a row sees have a weight of
	// 0: sums over rows go over panels of keys and whole tiles of rows.
	gradHidden = kern.Cols + 2*kern.MaxDepth
	// gradStride is the distance of rows of scores, not a power of two.
	gradStride = gradKeys + 16 + gradHidden
)

// flashGrad is attention's backward pass on the tiles
// (https://arxiv.org/abs/2205.14135, algorithm 4), in one pass: a worker has a
// key/value head of rows that see nothing outside themselves, so that no sum
// is shared. Blocks of keys come in the outer loop, and blocks of rows, which
// begin at the start of a span, in the inner one.
type flashGrad struct {
	attentionGrad[float32]
	set    *kern.Set
	own    []micro
	tiles  []*tileGrad // of each worker, where the level has their kernel
	groups []spanGroup
	reach  []int // the largest prefixEnd of the spans before each
	work   work
	sums   deltas
}

// spanGroup is spans [from, to), which see no keys but their own.
type spanGroup struct{ from, to int }

func (f *fast) bindAttentionGrad(kernel string, attr device.Attention) (device.Kernel, error) {
	shared, err := newAttend[float32](f.b, kernel, attr)
	if err != nil {
		return nil, err
	}
	g := f.newFlashGrad(shared)
	g.work.job = g
	g.sums.flashGrad, g.sums.job = g, &g.sums
	return g.run, nil
}

func (f *fast) newFlashGrad(shared attend[float32]) *flashGrad {
	g := &flashGrad{attentionGrad: attentionGrad[float32]{attend: shared}, set: f.set, own: f.micros()}
	if g.set.HasGradWeights() && f.tiles() == &g.set.BF16 {
		for _, m := range g.own {
			g.tiles = append(g.tiles, &tileGrad{flashGrad: g, micro: m})
		}
	}
	return g
}

func (g *flashGrad) run(c *device.Call) error {
	if err := g.prepare(c); err != nil {
		return err
	}
	if g.dq == nil && g.dk == nil && g.dv == nil {
		return nil
	}
	g.divideGroups()
	w := g.workspace()
	if err := g.b.spaces.reserve(words8(int64(w.size)), g.sharedWords()); err != nil {
		return err
	}
	space := g.b.spaces.carveShared()
	g.delta = take[float32](&space, g.sharedWords())
	if err := g.sums.run(len(g.delta)); err != nil {
		return err
	}
	return g.b.pool.run(&g.work, len(g.groups)*g.attr.KVHeads)
}

// sharedWords is the size of the deltas of all rows, where they are kept.
func (g *flashGrad) sharedWords() int {
	if g.tiles != nil {
		return 0
	}
	return g.tokens * g.attr.Heads
}

// workspace is what a worker needs.
func (g *flashGrad) workspace() (w parts) {
	if g.tiles != nil {
		g.tiles[0].layout(&w)
		return w
	}
	t := gradTask{flashGrad: g, micro: &g.own[0]}
	t.layout(&w)
	return w
}

// divideGroups refills groups: a span begins one if no span from it on sees an
// earlier row, and none before it sees its rows.
func (g *flashGrad) divideGroups() {
	g.reach = g.reach[:0]
	reach := 0 // of the prefixes so far
	for i := range g.spans {
		g.reach = append(g.reach, reach)
		reach = max(reach, g.spans[i].prefixEnd)
	}
	g.groups = g.groups[:0]
	lowest, end := g.tokens, len(g.spans)
	for i := end - 1; i >= 0; i-- {
		s := &g.spans[i]
		lowest = min(lowest, s.segmentStart)
		if s.prefixEnd > s.prefixStart {
			lowest = min(lowest, s.prefixStart)
		}
		if lowest >= s.start && g.reach[i] <= s.start {
			g.groups = append(g.groups, spanGroup{i, end})
			end = i
		}
	}
}

func (g *flashGrad) do(task, worker int) {
	group := g.groups[task/g.attr.KVHeads]
	if g.tiles != nil {
		g.tiles[worker].group(group, task%g.attr.KVHeads, parts{base: pointer(g.b.spaces.of[worker].Addr)})
		return
	}
	t := gradTask{flashGrad: g, micro: &g.own[worker], kv: task % g.attr.KVHeads}
	w := parts{base: pointer(g.b.spaces.of[worker].Addr)}
	t.layout(&w)
	from, to := g.spans[group.from].start, g.spans[group.to-1].end
	g.clear(t.kv, from, to)
	for i := group.from; i < group.to; i++ {
		s := &g.spans[i]
		if t.later = 0; !s.seesAll() {
			g.clearQueries(t.kv, s.start, s.end)
			t.later = 1
		}
		for key := s.prefixStart; key < s.prefixEnd; key += gradKeys {
			t.keys(s, key, min(gradKeys, s.prefixEnd-key), false)
		}
		for key := s.segmentStart; key < s.end; key += gradKeys {
			t.keys(s, key, min(gradKeys, s.end-key), true)
		}
	}
}

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
	d := t.attr.HeadDim
	wide := panelsOf(d, kern.Cols)
	t.kRows, t.vRows = w.take(gradKeys/kern.Cols*t.colsBytes(d)), w.take(gradKeys/kern.Cols*t.colsBytes(d))
	t.kSums = w.take(wide * t.colsBytes(gradKeys))
	t.qPanel, t.oPanel = w.take(t.rowsBytes(d)), w.take(t.rowsBytes(d))
	t.qSums, t.oSums = w.take(wide*t.colsBytes(gradRows)), w.take(wide*t.colsBytes(gradRows))
	t.p, t.ds = w.take(4*t.words(gradRows)*gradStride), w.take(4*t.words(gradRows)*gradStride)
	t.a = w.take(t.rowsBytes(max(gradKeys, gradRows)))
	t.s, t.dp = w.take(4*t.Rows*gradStride), w.take(4*t.Rows*gradStride)
	t.panel = (*[kern.MaxRows]kern.GradRow)(w.take(int(unsafe.Sizeof(*t.panel))))
}

// clear zeroes a task's part of dk and dv: the outputs serve as accumulators.
func (g *flashGrad) clear(kv, from, to int) {
	d := g.attr.HeadDim
	for i := from; i < to; i++ {
		at := i*g.kvCols + kv*d
		if g.dk != nil {
			clear(g.dk[at:][:d])
		}
		if g.dv != nil {
			clear(g.dv[at:][:d])
		}
	}
}

// clearQueries zeroes a task's part of dq, which rows that see no key would not.
func (g *flashGrad) clearQueries(kv, from, to int) {
	n := g.group * g.attr.HeadDim
	for i := from; g.dq != nil && i < to; i++ {
		clear(g.dq[i*g.qCols+kv*n:][:n])
	}
}

// keys goes through the rows of a span that see some of keys [key, key+n).
func (t *gradTask) keys(s *span, key, n int, inSegment bool) {
	d := t.attr.HeadDim
	t.key, t.n = key, n
	k, v := t.in.k.from(key*t.kvCols+t.kv*d), t.in.v.from(key*t.kvCols+t.kv*d)
	t.packRows(t.kRows, k, t.kvCols, n, d)
	t.packRows(t.vRows, v, t.kvCols, n, d)
	t.packColsOf(k, t.kSums, t.colsBytes(gradKeys), t.kvCols, d, n)
	for border := s.start; border < s.end; border += gradRows {
		from, to, seen := border, min(border+gradRows, s.end), n
		if inSegment {
			from = max(from, key) // earlier rows do not see these keys
			seen = from + 1 - key
		}
		for head := t.kv * t.group; from < to && head < (t.kv+1)*t.group; head++ {
			if t.PerWord > 1 {
				t.pairs(from, to-from, seen, head)
				continue
			}
			t.rows(from, to-from, seen, head)
		}
	}
	t.later = 1
}

// rows adds what n rows of a head give: the i-th sees the first seen+i keys.
func (t *gradTask) rows(from, n, seen, head int) {
	d, cols := t.attr.HeadDim, t.qCols
	q, do := t.in.q.from(from*cols+head*d), t.grad.from(from*cols+head*d)
	t.packColsOf(q, t.qSums, t.colsBytes(gradRows), cols, d, n)
	t.packColsOf(do, t.oSums, t.colsBytes(gradRows), cols, d, n)
	panels := panelsOf(n, t.Rows)
	for i := range panels {
		row, rows := evenly(n, panels, i)
		visible := min(t.n, seen+row+rows-1)
		t.scores(t.qPanel, q.from(row*cols), cols, t.kRows, t.p, row, rows, visible)
		t.scores(t.oPanel, do.from(row*cols), cols, t.vRows, t.ds, row, rows, visible)
		for j := range rows {
			t.weigh(row+j, min(t.n, seen+row+j), (from+row+j)*t.attr.Heads+head)
		}
		if t.dq != nil {
			t.sumKeys(t.dq[(from+row)*cols+head*d:], row, rows, visible)
		}
	}
	visible := min(t.n, seen+n-1)
	if t.dv != nil {
		t.sumRows(t.dv, t.p, t.oSums, n, seen, visible)
	}
	if t.dk != nil {
		t.sumRows(t.dk, t.ds, t.qSums, n, seen, visible)
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

// sumRows is y += x' b over n rows, for the keys that the last row sees. x has words of
// rows. Rows that do not see a key have 0 there, and the sum leaves out the first of them.
func (t *gradTask) sumRows(y []float32, x, b unsafe.Pointer, n, seen, visible int) {
	d := t.attr.HeadDim
	panels := panelsOf(visible, t.Rows)
	for i := range panels {
		j, keys := evenly(visible, panels, i)
		first := max(0, j+1-seen) &^ (t.PerWord*t.Depth - 1) // rows come in words, or in tiles
		src := unsafe.Add(x, 4*(t.words(first)*gradStride+j))
		at := (t.key+j)*t.kvCols + t.kv*d
		if t.HasPlain() {
			t.plainProduct(t.PlainColumns, y[at:], t.kvCols, keys, d, t.words(n-first), src, 4*gradStride, unsafe.Add(b, t.colsBytes(first)), t.colsBytes(gradRows), 1)
			continue
		}
		t.PackLeftColumns(t.a, src, n-first, 4*gradStride, keys)
		t.product(y[at:], t.kvCols, keys, d, t.words(n-first), t.a, unsafe.Add(b, t.colsBytes(first)), t.colsBytes(gradRows), 1)
	}
}
