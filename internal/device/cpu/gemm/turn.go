package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// A matrix that is packed as a left side already, with its rows as vectors,
// serves as a right side that is summed over these rows: that is the product of
// a weight's gradient, whose sides are the x and the dy of products before it.

// TurnsLeft says whether the engine takes a Weight's Left: where a panel of a
// left side is full, so that pairs of its rows begin at even places of K.
func (e *Engine) TurnsLeft() bool { return e.tiles.Depth > 1 }

// turnWords is how many words of K are turned before they are multiplied: they
// stay in the first cache.
const turnWords = 256

// turnLeft is packAcross from panels of a left side: each has some steps of 32
// columns, whose rows follow each other.
func (r *run) turnLeft(worker, from, to, k, nk int) {
	rows, stride := r.e.tiles.Rows, r.e.leftStride(r.K, r.N)
	words := rows / r.e.tiles.PerWord
	for at := k; at < k+nk; at += words {
		panel := at / words
		n := min(rows, r.K-panel*rows)
		src := unsafe.Add(r.W.Left, panel*stride+from*n*kern.Stride/2)
		for j := from; j < to; j++ {
			dst := unsafe.Add(r.bPanel(worker, j, from, k), (at-k)*kern.Stride)
			r.e.set.Join(dst, src, n, kern.Stride/2, kern.Stride)
			src = unsafe.Add(src, n*kern.Stride/2)
		}
	}
}

// turn is the order where x is one panel: two panels of w at a time where the
// level has a Turn for them, else each is multiplied while it is hot.
func (r *run) turn(worker int, s span) {
	for j := s.colFrom; j < s.colTo; j++ {
		if r.turns() && j+turnPanels <= min(s.colTo, r.N/kern.Cols) {
			r.turnPair(worker, j)
			j++
			continue
		}
		r.turnPanel(worker, j)
	}
}

func (r *run) turnPanel(worker, j int) {
	step := turnWords
	if r.Alpha != 1 { // a sum is scaled at the end of each step
		step = blockWords
	}
	for k := 0; k < r.words; k += step {
		nk := min(step, r.words-k)
		r.packB(worker, j, j+1, k, nk)
		r.tile(worker, 0, j, j, k, nk, r.x)
	}
}

// turnPanels is the panels of w of a Turn.
const turnPanels = kern.TurnCols / kern.Cols

// turns says whether the level's Turn serves: for panels, or for rows of bfloat16.
func (r *run) turns() bool {
	return (r.W.Left != nil || r.W.Plain.Half != nil && r.LowRank.R == 0) && r.panels == 1 && r.M <= kern.TurnRows && r.e.tiles.Turn != nil
}

// turnPair computes the columns of panels j and j+1 of w.
func (r *run) turnPair(worker, j int) {
	t, rows := r.e.tiles, r.e.tiles.Rows
	y, ldc, add := r.Y.address(0, j*kern.Cols), 4*r.Y.Stride, 0
	if r.Accumulate || len(r.Bias) > 0 {
		add = 1
	}
	p := &r.e.own[worker].turn
	*p = kern.Turn{Rows: r.M, C: unsafe.Pointer(&r.e.own[worker].tile), Work: r.workers[worker]}
	for k := 0; k < r.K; k += blockWords * t.PerWord {
		p.Add = 0
		if r.Alpha == 1 && add == 1 {
			t.TurnedIn(y, ldc, p.C, r.M)
			p.Add, add = 1, 0
		}
		n := min(blockWords*t.PerWord, r.K-k)
		if p.Panels = n / rows; p.Panels > 0 {
			p.A = r.xPanel(0, r.M, k/t.PerWord)
			p.B, p.BNext = r.leftStep(k/rows, j, rows), r.e.leftStride(r.K, r.N)
			if w := r.W.Plain; r.W.Left == nil {
				p.B, p.BRow, p.BNext = w.address(k, j*kern.Cols), 2*w.Stride, 2*w.Stride*rows
			}
			if len(r.W.Kept.Bits) > 0 {
				p.Mask, p.MaskRow = r.W.Kept.address(k, j*kern.Cols), 4*r.W.Kept.Stride
			}
			t.Turn(p)
			p.Add = 1
		}
		if rest := n % rows; rest > 0 {
			r.turnRest(worker, p, j, k+n-rest, rest)
		}
		t.TurnedOut(y, ldc, p.C, r.M, r.Alpha, add)
		add = 1
	}
}

// turnRest takes the last rows, which zeros fill up to a panel.
func (r *run) turnRest(worker int, p *kern.Turn, j, k, rest int) {
	own, rows := &r.e.own[worker], r.e.tiles.Rows
	clear(own.flip[:])
	for i := range turnPanels {
		to := own.flip[i*rows*leftStepWords:]
		if r.W.Left == nil {
			r.copyRows(to, j+i, k, rest)
		} else {
			copy(to, unsafe.Slice((*uint32)(r.leftStep(k/rows, j+i, rest)), rest*leftStepWords))
		}
		r.keepRest(to, j+i, k, rest)
	}
	p.Panels, p.BRow, p.Mask = 1, 0, nil
	p.A, p.B = r.xPanel(0, r.M, k/r.e.tiles.PerWord), unsafe.Pointer(&own.flip)
	r.e.tiles.Turn(p)
}

// copyRows is the step of a left side that n rows from k on would be.
func (r *run) copyRows(to []uint32, j, k, n int) {
	for i := range n {
		row := unsafe.Slice((*uint32)(r.W.Plain.address(k+i, j*kern.Cols)), leftStepWords)
		copy(to[i*leftStepWords:], row)
	}
}

// keepRest clears what w's mask drops in n rows of a step, from row k on.
func (r *run) keepRest(to []uint32, j, k, n int) {
	for i := range n {
		if len(r.W.Kept.Bits) == 0 {
			return
		}
		bits := *(*uint32)(r.W.Kept.address(k+i, j*kern.Cols))
		for pair := range leftStepWords {
			kept := bits >> (2 * pair) & 1 * 0xffff
			kept |= bits >> (2*pair + 1) & 1 * 0xffff0000
			to[i*leftStepWords+pair] &= kept
		}
	}
}

// leftStepWords is the words of a row in a step of a left side.
const leftStepWords = kern.Cols / 2

// leftStep is step j of a panel of n rows of w as a left side.
func (r *run) leftStep(panel, j, n int) unsafe.Pointer {
	return unsafe.Add(r.W.Left, panel*r.e.leftStride(r.K, r.N)+j*n*4*leftStepWords)
}
