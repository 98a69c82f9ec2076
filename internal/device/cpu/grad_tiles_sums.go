package cpu

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// gradTile is keys [at, at+n) of a block by so many panels of a head, of one group of them.
type gradTile struct{ head, panel, panels, at, n int }

// tile is keys from at on by a group of panels, without the first of them that have no
// query which sees these keys: there may be none left.
func (t *tileGrad) tile(head, first, at int, b keyBlock) gradTile {
	seeing := max(first, (at-b.seen+1)/tilePanel)
	return gradTile{head, seeing, min(first+t.grouped, t.panels) - seeing, at, min(tilePart, b.n-at)}
}

// weigh makes the weights of a tile, p, and their gradient, ds.
func (t *tileGrad) weigh(g gradTile) {
	at, words := t.place(g.head, g.panel), t.words(t.d)
	w := kern.GradWeights{
		S: t.s, DP: t.dp, P: t.p, DS: t.ds, Pairs: unsafe.Add(t.pairs, g.panel%tileGroup*t.pairsBytes()+g.at/2*kern.Stride),
		Rows: &t.rows[at], Panels: g.panels, Keys: g.n, PairsStep: t.pairsBytes(), Key: g.at,
	}
	if g.n == tilePart && t.set.HasGradScores(t.d) {
		t.set.GradScores(t.d, t.strips, &kern.GradScores{
			GradWeights: w, Work: t.s,
			K: unsafe.Add(t.kRows, 2*t.d*g.at), Q: unsafe.Add(t.qRows, at*t.panelBytes()),
			V: unsafe.Add(t.vRows, 2*t.d*g.at), DO: unsafe.Add(t.oRows, at*t.panelBytes()),
		}, float32(t.attr.Scale))
		t.strips = t.strips[:0]
		return
	}
	for _, x := range [...]struct{ keys, queries, scores unsafe.Pointer }{{t.kRows, t.qRows, t.s}, {t.vRows, t.oRows, t.dp}} {
		t.strip(g.n, words, unsafe.Add(x.keys, 2*t.d*g.at), unsafe.Add(x.queries, at*t.panelBytes()), t.panelBytes(), x.scores, kern.GradStride, 0, g.panels)
	}
	t.multiply()
	t.set.GradWeights(&w, float32(t.attr.Scale))
}

// clearKeys begins the sums of keys [from, to) of a block.
func (t *tileGrad) clearKeys(from, to int) {
	d := t.attr.HeadDim
	for _, y := range [...]unsafe.Pointer{t.dk, t.dv} {
		clear(floats(unsafe.Add(y, 4*d*from), d*(to-from)))
	}
}

// sumKeys adds a tile to the block's dk and dv.
func (t *tileGrad) sumKeys(g gradTile) {
	if t.flashGrad.dv != nil {
		t.sumKeysOf(t.dv, t.p, t.oSums, g)
	}
	if t.flashGrad.dk != nil {
		t.sumKeysOf(t.dk, t.ds, t.qSums, g)
	}
}

// sumKeysOf is y += a b for a tile's keys, over its queries.
func (t *tileGrad) sumKeysOf(y, a, b unsafe.Pointer, g gradTile) {
	d, words := t.attr.HeadDim, t.words(g.panels*tilePanel)
	b = unsafe.Add(t.sumsOf(b, g.head), t.colsBytes(g.panel*tilePanel))
	y = unsafe.Add(y, 4*g.at*d)
	if d == t.d {
		t.strip(g.n, words, a, b, t.sumsStep(), y, 4*d, 1, d/kern.Cols)
		return
	}
	t.product(floats(y, g.n*d), d, g.n, d, words, a, b, t.sumsStep(), 1)
}

// addKeys adds what has been summed for keys [from, to) of a block, if it is wanted. It is
// the first that is known of those from a row on: nothing before the chunk sees them.
func (t *tileGrad) addKeys(b keyBlock, from, to, row int) {
	t.addKeysTo(t.flashGrad.dk, t.dk, b, from, to, row)
	t.addKeysTo(t.flashGrad.dv, t.dv, b, from, to, row)
}

func (t *tileGrad) addKeysTo(y []float32, block unsafe.Pointer, b keyBlock, from, to, row int) {
	d := t.attr.HeadDim
	for i := from; y != nil && i < to; i++ {
		sum, to := floats(unsafe.Add(block, 4*i*d), d), y[(b.key+i)*t.kvCols+t.kv*d:][:d]
		if b.key+i >= row && !t.gaps {
			copy(to, sum)
			continue
		}
		t.set.Add(to, to, sum)
	}
}

// sumQueries adds a block's keys to the dq of a group of panels.
func (t *tileGrad) sumQueries(head, first int, b keyBlock) {
	for i := first; t.flashGrad.dq != nil && i < min(first+t.grouped, t.panels); i++ {
		t.sumPanel(t.dqPanel(head, i), i%tileGroup, min(b.n, b.seen+(i+1)*tilePanel-1))
	}
}

// sumPanel adds the first n keys' part to a panel's dq; i is its place in pairs.
func (t *tileGrad) sumPanel(dq unsafe.Pointer, i, n int) {
	if n <= 0 {
		return
	}
	b := unsafe.Add(t.pairs, i*t.pairsBytes())
	words := t.words(n)
	whole := t.LeftWords(words)
	clear(floats(unsafe.Add(b, words*kern.Stride), (whole-words)*kern.Cols))
	for col := 0; col < t.attr.HeadDim; col += 32 {
		t.strip(min(32, t.attr.HeadDim-col), whole, unsafe.Add(t.kSums, 2*tileBlock*col), b, 0, unsafe.Add(dq, 4*tilePanel*col), 4*tilePanel, count(!t.first), 1)
	}
}

// strip is Strip, which multiply does for whole tiles: these are set up once for all
// strips between the weights of two tiles of scores.
func (t *tileGrad) strip(rows, words int, a, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int) {
	if rows < kern.MaxRows || words%kern.MaxDepth > 0 {
		t.Strip(rows, words, a, b, bStep, c, ldc, add, panels)
		return
	}
	if len(t.strips) == tileStrips {
		t.multiply()
	}
	t.strips = append(t.strips, kern.GradStrip{Steps: words / kern.MaxDepth, A: a, B: b, BStep: bStep, C: c, LDC: ldc, Panels: panels, Add: add})
}

// multiply does the strips that are due.
func (t *tileGrad) multiply() {
	t.level.GradStrips(t.strips)
	t.strips = t.strips[:0]
}

// dqPanel is a panel's dq.
func (t *tileGrad) dqPanel(head, panel int) unsafe.Pointer {
	return unsafe.Add(t.dq, 2*t.place(head, panel)*t.panelBytes())
}

// finishPanel writes a panel's dq, of a chunk of positions [from, to).
func (t *tileGrad) finishPanel(head, panel, from, to int) {
	if t.flashGrad.dq == nil {
		return
	}
	d, row := t.attr.HeadDim, from+panel*tilePanel
	out, n := t.flashGrad.dq[row*t.qCols+(t.kv*t.attend.group+head)*d:], min(tilePanel, to-row)
	x := floats(t.dqPanel(head, panel), d*tilePanel)
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
