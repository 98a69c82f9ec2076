package cpu

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// pairs is rows where a word of the sums over rows is two of them: p and ds come rounded
// and in words, so that no product packs them, and ds as rows too. Panels have whole pairs.
func (t *gradTask) pairs(b gradBlock, q, do heads) {
	d, cols := t.attr.HeadDim, t.qCols
	all := t.words(b.n)
	panels := panelsOf(all, t.Rows/t.PerWord)
	for i := range panels {
		pair, some := evenly(all, panels, i)
		row := pair * t.PerWord
		rows := min(some*t.PerWord, b.n-row)
		visible := min(t.n, b.seen+row+rows-1)
		t.scores(t.qPanel, q.from(row*cols), cols, t.kRows, t.s, 0, rows, visible)
		t.scores(t.oPanel, do.from(row*cols), cols, t.vRows, t.dp, 0, rows, visible)
		t.weighPairs(pair, rows, b.seen+row, (b.from+row)*t.attr.Heads+b.head)
		if t.dq != nil {
			t.plainProduct(t.PlainRows, t.dq[(b.from+row)*cols+b.head*d:], cols, rows, d, t.words(visible), t.dp, 4*gradStride, t.kSums, t.colsBytes(gradKeys), t.later)
		}
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
