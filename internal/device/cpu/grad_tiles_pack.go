package cpu

import (
	"math"
	"unsafe"

	"align/internal/device/cpu/kern"
)

// beginPanel packs a panel of queries of a chunk of positions [from, to), and their
// gradients.
func (t *tileGrad) beginPanel(head, panel, from, to int) {
	row := from + panel*tilePanel
	n := min(tilePanel, to-row)
	if t.gaps {
		clear(floats(t.dqPanel(head, panel), t.d*tilePanel))
	}
	t.packQueries(t.in.q, t.qRows, t.qSums, head, panel, row, n)
	t.packQueries(t.grad, t.oRows, t.oSums, head, panel, row, n)
}

// packQueries packs n rows of a head both ways.
func (t *tileGrad) packQueries(x heads, rows, sums unsafe.Pointer, head, panel, row, n int) {
	d := t.attr.HeadDim
	x = x.from(row*t.qCols + (t.kv*t.attend.group+head)*d)
	to := unsafe.Add(rows, t.place(head, panel)*t.panelBytes())
	if d < t.d { // zeros behind the columns
		clear(floats(to, t.panelBytes()/4))
	}
	for lane := 0; lane < tilePanel; lane += t.Lanes {
		for i := range t.Lanes {
			t.table[i] = x.at(min(n-1, kern.FlashKey(lane+i)) * t.qCols)
		}
		t.packLanes(x, unsafe.Add(to, 4*lane), d)
	}
	to = unsafe.Add(t.sumsOf(sums, head), t.colsBytes(panel*tilePanel))
	for col := 0; col < d && (n < tilePanel || d-col < kern.Cols); col += kern.Cols { // and the rows
		clear(floats(unsafe.Add(to, col/kern.Cols*t.sumsStep()), t.colsBytes(tilePanel)/4))
	}
	t.packColsOf(x, to, t.sumsStep(), t.qCols, d, n)
}

// place is that of a panel in a chunk.
func (t *tileGrad) place(head, panel int) int { return head*t.panels + panel }

// sumsOf is where a head's panels of 32 columns begin, sumsStep apart.
func (t *tileGrad) sumsOf(all unsafe.Pointer, head int) unsafe.Pointer {
	return unsafe.Add(all, head*t.panels*t.panelBytes())
}
func (t *tileGrad) sumsStep() int { return t.colsBytes(t.panels * tilePanel) }

// fillRows sets what the weights of a panel need of each query of so many heads, whose do
// have just been packed. A query that is not there has weights of 0.
func (t *tileGrad) fillRows(head, heads, panel, from, to int) {
	for i := range tilePanel {
		row := from + panel*tilePanel + kern.FlashKey(i)
		at := row*t.attr.Heads + t.kv*t.attend.group + head
		if row < to {
			t.row.sums(t.flashGrad, t.sums[:heads], at)
		}
		for j := range heads {
			r := &t.rows[t.place(head+j, panel)]
			if row >= to {
				r.Shift(i, math.Inf(1))
				r.Delta[i] = 0
				continue
			}
			r.Shift(i, float64(t.lse[at+j]))
			r.Delta[i] = -t.sums[j] * float32(t.attr.Scale)
		}
	}
}

// see sets how many keys of a block each query of a group of panels sees.
func (t *tileGrad) see(head, first int, b keyBlock) {
	for i := first; i < min(first+t.grouped, t.panels); i++ {
		r := &t.rows[t.place(head, i)]
		for j := range r.Seen {
			r.Seen[j] = int32(max(0, min(b.n, b.seen+i*tilePanel+kern.FlashKey(j))))
		}
	}
}

// packKeys packs keys [from, to) of a block as left sides of scores, packKeySums all of them
// as those of dq.
func (t *tileGrad) packKeys(b keyBlock, from, to int) {
	k, v := t.keysOf(t.in.k, b), t.keysOf(t.in.v, b)
	for i := from; i < to; i += tilePart {
		t.packLeftRows(unsafe.Add(t.kRows, 2*t.d*i), k.from(i*t.kvCols), min(tilePart, to-i))
		t.packLeftRows(unsafe.Add(t.vRows, 2*t.d*i), v.from(i*t.kvCols), min(tilePart, to-i))
	}
}

func (t *tileGrad) packKeySums(b keyBlock) {
	d, k := t.attr.HeadDim, t.keysOf(t.in.k, b)
	for col := 0; col < d; col += 32 {
		t.packLeftColumns(unsafe.Add(t.kSums, 2*tileBlock*col), k.from(col), b.n, min(32, d-col))
	}
}

// keysOf is the head's part of k or v from a block on.
func (t *tileGrad) keysOf(x heads, b keyBlock) heads {
	return x.from(b.key*t.kvCols + t.kv*t.attr.HeadDim)
}

// packLeftRows packs n rows as a left side, with zeros behind their columns.
func (t *tileGrad) packLeftRows(dst unsafe.Pointer, x heads, n int) {
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
