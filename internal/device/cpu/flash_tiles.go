package cpu

import (
	"math"
	"unsafe"

	"align/internal/device/cpu/kern"
)

const (
	// tileRows is flashRows where the kernels take items of rows and keys.
	tileRows = 2048
	// tileItems is how many items a call of the kernel has at most: some 100 us,
	// during which the system cannot stop it.
	tileItems = 256
	// tileValues is the bytes of 32 columns of the values of an item.
	tileValues = kern.FlashKeys / 2 * kern.Stride
)

// tileTask is flashTask on kern.Flash: the weights are rounded as they come, and
// relative to a score that they seldom exceed far.
type tileTask struct {
	*flash
	micro
	worker    int
	kernel    kern.Flash
	rows      int // rows of all heads of the group
	k, v, q   unsafe.Pointer
	in        [flashPages]unsafe.Pointer // keys of 64 positions each
	values    [flashPages]unsafe.Pointer
	o, work   unsafe.Pointer
	out       unsafe.Pointer // a panel's rows of o, before they are rounded
	reference []float32
	seen      []int32 // of each row of each item
	items     [tileItems + 4]kern.FlashItem
	n         int // of items
	logs      [kern.FlashLogs]float32
	places    [kern.FlashRows]int // of rows that are finished
}

func (t *tileTask) size(positions int) int {
	w := parts{}
	t.layout(&w, positions)
	return w.size
}

func (t *tileTask) layout(w *parts, positions int) {
	d := t.kernel.D
	t.rows = positions * t.group
	panels := panelsOf(t.rows, kern.FlashRows)
	t.work = w.take(t.kernel.WorkBytes())
	if t.pages == nil {
		t.k, t.v = w.take(2*d*flashKeys), w.take(2*d*flashKeys)
	}
	t.q = w.take(panels * t.panelBytes())
	t.o = w.take(panels * t.outBytes())
	t.out = w.take(4 * kern.FlashRows * t.attr.HeadDim)
	reference, seen := w.take(4*panels*kern.FlashRows), w.take(4*tileItems*kern.FlashRows)
	if w.base != nil {
		t.reference = floats(reference, panels*kern.FlashRows)
		t.seen = unsafe.Slice((*int32)(seen), tileItems*kern.FlashRows)
	}
}

// panelBytes is the size of a panel of q, outBytes of o.
func (t *tileTask) panelBytes() int { return 2 * t.kernel.D * kern.FlashRows }
func (t *tileTask) outBytes() int   { return 4 * (t.kernel.D + kern.FlashSums) * kern.FlashRows }

func (t *tileTask) begin(q heads, from, positions, kv int) {
	w := parts{base: pointer(t.b.spaces.of[t.worker].Addr)}
	t.layout(&w, positions)
	d, cols := t.attr.HeadDim, t.attr.Heads*t.attr.HeadDim
	panels := panelsOf(t.rows, kern.FlashRows)
	clear(floats(t.o, panels*t.outBytes()/4))
	if d < t.kernel.D { // zeros behind the columns
		clear(floats(t.q, panels*t.panelBytes()/4))
		clear(floats(t.k, t.kernel.D*flashKeys/2))
		clear(floats(t.v, t.kernel.D*flashKeys/2))
	}
	for i := range t.reference {
		t.reference[i] = float32(math.Inf(-1))
	}
	q = q.from(from*cols + kv*t.group*d)
	position, head := 0, 0
	for i := range panels {
		for j := range kern.FlashRows {
			t.table[j] = q.at(position*cols + head*d)
			if head++; head == t.group { // the last row fills the last panel up
				head, position = 0, position+1
				if position == positions {
					head, position = t.group-1, positions-1
				}
			}
		}
		t.packLeftOf(q, t.panel(i), kern.FlashRows, d)
	}
	if t.attr.Scale < 0 { // the largest score is that of -q
		for i, x := range unsafe.Slice((*uint32)(t.q), panels*t.panelBytes()/4) {
			*(*uint32)(unsafe.Add(t.q, 4*i)) = x ^ 0x80008000
		}
	}
}

func (t *tileTask) panel(i int) unsafe.Pointer { return unsafe.Add(t.q, i*t.panelBytes()) }

func (t *tileTask) pack(k, v heads, row, n, kv, at int) {
	d, cols := t.attr.HeadDim, t.attr.KVHeads*t.attr.HeadDim
	for ; n > 0; n, row, at = n-kern.FlashKeys, row+kern.FlashKeys, at+kern.FlashKeys {
		some := min(n, kern.FlashKeys)
		toK, toV := unsafe.Add(t.k, 2*t.kernel.D*at), unsafe.Add(t.v, 2*t.kernel.D*at)
		t.packKeys(toK, k.from(row*cols+kv*d), cols, some)
		t.packValues(toV, v.from(row*cols+kv*d), cols, some)
		t.inPage(toK, toV, at)
	}
}

func (t *tileTask) inPage(k, v unsafe.Pointer, at int) {
	t.in[at/kern.FlashKeys], t.values[at/kern.FlashKeys] = k, v
}

// packKeys packs n keys of an item, the last one again for those that it lacks.
func (t *tileTask) packKeys(dst unsafe.Pointer, k heads, ld, n int) {
	for key := 0; key < kern.FlashKeys; key += t.Lanes {
		for i := range t.Lanes {
			row := key&^(kern.FlashGroup-1) + kern.FlashKey(key%kern.FlashGroup+i)
			t.table[i] = k.at(min(row, n-1) * ld)
		}
		to := unsafe.Add(dst, key/kern.FlashGroup*(t.kernel.D/2*kern.Stride)+key%kern.FlashGroup*4)
		t.packLanes(k, to, t.attr.HeadDim)
	}
}

// packValues packs n values of an item, and zeros for those that it lacks.
func (t *tileTask) packValues(dst unsafe.Pointer, v heads, ld, n int) {
	d := t.attr.HeadDim
	t.packColsOf(v, dst, tileValues, ld, d, n)
	if n < kern.FlashKeys {
		for panel := range panelsOf(d, kern.Cols) {
			last := unsafe.Add(dst, panel*tileValues)
			clear(floats(last, tileValues/4)[t.words(n)*kern.Cols:])
		}
	}
}

func (t *tileTask) block(n, seen int) {
	for i := range panelsOf(t.rows, kern.FlashRows) {
		first := i * kern.FlashRows
		last := min(first+kern.FlashRows, t.rows) - 1
		visible := min(n, seen+last/t.group)
		for key := 0; key < visible; key += kern.FlashKeys {
			item := kern.FlashItem{
				Q: t.panel(i), K: t.in[key/kern.FlashKeys], V: t.values[key/kern.FlashKeys],
				O: unsafe.Add(t.o, i*t.outBytes()), Reference: unsafe.Pointer(&t.reference[first]),
			}
			if key+kern.FlashKeys > min(n, seen+first/t.group) {
				item.Seen = t.hide(first, last, seen-key, n-key)
			}
			t.items[2+t.n] = item
			if t.n++; t.n == tileItems {
				t.flush()
			}
		}
	}
	t.flush()
}

// hide lists how many of an item's n keys each row from first to last sees.
func (t *tileTask) hide(first, last, seen, n int) unsafe.Pointer {
	s := t.seen[t.n*kern.FlashRows:][:kern.FlashRows]
	for i := range s {
		s[i] = int32(min(n, seen+min(first+i, last)/t.group))
	}
	return unsafe.Pointer(&s[0])
}

// flush works on the items so far.
func (t *tileTask) flush() {
	if t.n > 0 {
		t.kernel.Run(t.items[:t.n+4], t.work, float32(math.Abs(t.attr.Scale)))
		t.n = 0
	}
}

func (t *tileTask) finish(o heads, lse []float32, from, kv int) {
	d := t.attr.HeadDim
	var out *[kern.MaxRows]unsafe.Pointer
	if o.wanted() {
		out = &t.table
	}
	place, head := from*t.attr.Heads+kv*t.group, 0 // of a row's head among all heads of all positions
	for i := range panelsOf(t.rows, kern.FlashRows) {
		first := i * kern.FlashRows
		rows := min(kern.FlashRows, t.rows-first)
		for j := range rows {
			t.places[j] = place
			switch {
			case o.half != nil:
				t.table[j] = unsafe.Add(t.out, 4*j*d)
			case o.wide != nil:
				t.table[j] = unsafe.Pointer(&o.wide[place*d])
			}
			if place, head = place+1, head+1; head == t.group {
				place, head = place+t.attr.Heads-t.group, 0
			}
		}
		t.kernel.Finish(unsafe.Add(t.o, i*t.outBytes()), unsafe.Pointer(&t.reference[first]), rows, d, out, &t.logs, float32(math.Abs(t.attr.Scale)))
		for j, n := 0, 0; o.half != nil && j < rows; j += n { // heads of a position lie together
			n = t.together(j, rows)
			t.set.ToBF16(o.half[t.places[j]*d:][:n*d], floats(unsafe.Add(t.out, 4*j*d), n*d))
		}
		for j := 0; lse != nil && j < rows; j++ {
			lse[t.places[j]] = t.logs[j]
		}
	}
}

// together is how many of the places from j on follow each other.
func (t *tileTask) together(j, rows int) int {
	n := 1
	for j+n < rows && t.places[j+n] == t.places[j]+n {
		n++
	}
	return n
}
