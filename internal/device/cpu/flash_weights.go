package cpu

import (
	"math"
	"unsafe"

	"align/internal/device/cpu/kern"
)

// weights is the softmax of the rows of a panel, of which the first is row.
func (t *flashTask) weights(row, rows, n, seen, visible int) {
	scale := float32(t.attr.Scale)
	if t.PerWord == 1 || scale <= 0 {
		for j := range rows {
			s := floats(unsafe.Add(t.s, 4*j*flashStride), visible)
			t.softmax(s, min(n, max(0, seen+(row+j)/t.group)), row+j)
			if t.PerWord > 1 {
				t.roundRow(s)
			}
		}
		return
	}
	for j := range rows {
		t.weigh[j] = kern.WeighRow{Seen: min(n, max(0, seen+(row+j)/t.group)), Largest: t.largest[row+j]}
	}
	t.set.WeighRows(t.s, 4*flashStride, t.weigh[:rows], visible, scale)
	for j := range rows {
		w := &t.weigh[j]
		if w.Largest > t.largest[row+j] {
			t.raise(row+j, w.Largest)
		}
		t.sums[row+j] += float64(w.Sum)
	}
}

// roundRow rounds a row of weights in its place, with a zero behind it.
func (t *flashTask) roundRow(s []float32) {
	half := unsafe.Slice((*uint16)(unsafe.Pointer(&s[0])), len(s)+1)
	t.set.ToBF16(half[:len(s)], s)
	half[len(s)] = 0
}

// softmax turns the scores, times scale, of the keys that a row sees into weights
// relative to the largest score so far, 0 for the others.
func (t *flashTask) softmax(s []float32, visible, row int) {
	clear(s[visible:])
	if visible == 0 {
		return
	}
	s = s[:visible]
	scale := float32(t.attr.Scale)
	if scale <= 0 { // the largest score is not that of the largest product
		t.set.Scale(s, s, scale)
		scale = 1
	}
	if top := scale * t.set.Max(s); top > t.largest[row] {
		t.raise(row, top)
	}
	t.sums[row] += float64(t.set.ExpSum(s, s, scale, t.largest[row]))
}

// raise makes top a row's largest score and rescales what it has summed so far, if anything.
func (t *flashTask) raise(row int, top float32) {
	if t.sums[row] > 0 {
		t.shrink(row, exp32(t.largest[row]-top))
	}
	t.largest[row] = top
}

func (t *flashTask) shrink(row int, by float32) {
	t.sums[row] *= float64(by)
	o := floats(unsafe.Add(t.o, 4*row*t.width), t.width)
	t.set.Scale(o, o, by)
}

func (t *flashTask) finish(o heads, lse []float32, from, kv int) {
	d := t.attr.HeadDim
	if o.half != nil {
		t.finishHalf(o.half, lse, from, kv)
		return
	}
	for r, sum := range t.sums {
		at := (from+r/t.group)*t.attr.Heads + kv*t.group + r%t.group
		if lse != nil {
			lse[at] = float32(float64(t.largest[r]) + math.Log(sum))
		}
		if !o.wanted() {
			continue
		}
		inverse := float32(0)
		if sum != 0 {
			inverse = float32(1 / sum)
		}
		row := floats(unsafe.Add(t.o, 4*r*t.width), d)
		t.set.Scale(o.wide[at*d:][:d], row, inverse)
	}
}

// finishHalf is finish for an o in bfloat16, some rows at a time.
func (t *flashTask) finishHalf(o []uint16, lse []float32, from, kv int) {
	d := t.attr.HeadDim
	place, head := from*t.attr.Heads+kv*t.group, 0 // of a row's head among all heads of all positions
	for first := 0; first < t.rows; first += kern.FinishMost {
		rows := min(kern.FinishMost, t.rows-first)
		for i := range rows {
			t.places[i], t.table[i] = place, unsafe.Pointer(&o[place*d])
			if place, head = place+1, head+1; head == t.group {
				place, head = place+t.attr.Heads-t.group, 0
			}
		}
		t.set.FinishRows(unsafe.Add(t.o, 4*first*t.width), 4*t.width, &t.table, d, t.largest[first:], t.sums[first:first+rows], &t.logs)
		for i := 0; lse != nil && i < rows; i++ {
			lse[t.places[i]] = t.logs[i]
		}
	}
}
