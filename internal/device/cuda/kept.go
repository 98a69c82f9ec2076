package cuda

import "align/internal/device"

// numKept is how many left sides of products stay in bf16: with LoRA a layer's
// backward pass goes back and forth between its dy, the next one's and their
// common x.
const numKept = 3

// kept is left sides of products in bf16. Neighbouring kernels read the same x
// (q, k and v; gate and up) or dy, which is then rounded once. It rests on
// memory changing only by kernels, Upload, Alloc and Free, which say so to
// written and forget; whoever captures launches in a graph forgets first, or
// the graph would lack the rounding.
type kept struct {
	sides [numKept]keptSide
	clock uint64
}

// keptSide is one x in its slot; addr 0 is none.
type keptSide struct {
	addr       uintptr
	rows, cols int
	side       side
	used       uint64 // when it was last asked for
}

// find is the slot that holds x, or the one that was used longest ago.
func (k *kept) find(x device.View) (at int, holds bool) {
	k.clock++
	for i := range k.sides {
		s := &k.sides[i]
		if s.addr == x.Addr && s.rows == x.Rows && s.cols == x.Cols {
			s.used = k.clock
			return i, true
		}
		if s.used < k.sides[at].used {
			at = i
		}
	}
	k.sides[at].used = k.clock
	return at, false
}

// written forgets what was rounded from memory that has changed.
func (k *kept) written(v device.View) {
	for i := range k.sides {
		s := &k.sides[i]
		end := s.addr + uintptr(4*s.rows*s.cols)
		if s.addr < v.Addr+uintptr(v.Bytes()) && v.Addr < end {
			s.addr = 0
		}
	}
}

// forget forgets everything.
func (k *kept) forget() {
	for i := range k.sides {
		k.sides[i].addr = 0
	}
}

// left is the left side of a product in bf16, rounded where it is not kept.
func (l *launcher) left(x device.View) (side, error) {
	k := &l.b.kept
	at, holds := k.find(x)
	s := &k.sides[at]
	if holds && x.Addr != 0 {
		return s.side, nil
	}
	s.addr = 0
	rounded, err := l.sideOf(slotLeft+slot(at), x)
	if err != nil {
		return side{}, err
	}
	s.addr, s.rows, s.cols, s.side = x.Addr, x.Rows, x.Cols, rounded
	return rounded, nil
}

// watch tells kept what the kernel writes.
func (b *Backend) watch(run enqueue) enqueue {
	return func(c *device.Call) error {
		err := run(c)
		for _, v := range c.Out {
			if v.Addr != 0 {
				b.kept.written(v)
			}
		}
		return err
	}
}
