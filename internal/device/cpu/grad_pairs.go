package cpu

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// pairs is rows where a word of the sums over rows is two of them: p and ds come rounded
// and in words, so that no product packs them, and ds as rows too. Panels have whole pairs.
func (t *gradTask) pairs(from, n, seen, head int) {
	d, cols := t.attr.HeadDim, t.qCols
	q, do := t.in.q.from(from*cols+head*d), t.grad.from(from*cols+head*d)
	t.packColsOf(q, t.qSums, t.colsBytes(gradRows), cols, d, n)
	t.packColsOf(do, t.oSums, t.colsBytes(gradRows), cols, d, n)
	all := t.words(n)
	panels := panelsOf(all, t.Rows/t.PerWord)
	for i := range panels {
		pair, some := evenly(all, panels, i)
		row := pair * t.PerWord
		rows := min(some*t.PerWord, n-row)
		visible := min(t.n, seen+row+rows-1)
		t.scores(t.qPanel, q.from(row*cols), cols, t.kRows, t.s, 0, rows, visible)
		t.scores(t.oPanel, do.from(row*cols), cols, t.vRows, t.dp, 0, rows, visible)
		t.weighPairs(pair, rows, seen+row, (from+row)*t.attr.Heads+head)
		if t.dq != nil {
			t.plainProduct(t.PlainRows, t.dq[(from+row)*cols+head*d:], cols, rows, d, t.words(visible), t.dp, 4*gradStride, t.kSums, t.colsBytes(gradKeys), t.later)
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

// weighPairs turns a panel's scores and do v' into p and ds, from a pair on; at is the place
// of its first row in lse and delta.
func (t *gradTask) weighPairs(pair, rows, seen, at int) {
	for i := range rows {
		t.panel[i] = kern.GradRow{Seen: min(t.n, seen+i), LSE: t.lse[at], Delta: t.delta[at]}
		at += t.attr.Heads
	}
	if rows%t.PerWord > 0 { // nobody's row
		t.panel[rows] = kern.GradRow{}
		rows++
	}
	to := 4 * pair * gradStride
	t.set.GradPairs(t.s, t.dp, unsafe.Add(t.p, to), unsafe.Add(t.ds, to), 4*gradStride, t.panel[:rows], float32(t.attr.Scale))
}
