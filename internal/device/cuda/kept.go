package cuda

import "align/internal/device"

// numKept is how many left sides of products stay in bf16: with LoRA a layer's
// backward pass goes back and forth between its dy, the next one's and their
// common x.
const numKept = 3

// kept is left sides of products in bf16 that do not lie so in memory. Neighbouring kernels read the same x
// (q, k and v; gate and up) or dy, which is then rounded once. It rests on
// memory changing only by kernels, Upload, Alloc and Free, which say so to
// written and forget; whoever captures launches in a graph forgets first, or
// the graph would lack the rounding.
type kept struct {
	sides [numKept]keptSide
	clock uint64
}

// keptSide is one x in its slot; a view without an address is none.
type keptSide struct {
	view device.View
	side side
	used uint64 // when it was last asked for
}

// find is the slot that holds x, or the one that was used longest ago.
func (k *kept) find(x device.View) (at int, holds bool) {
	k.clock++
	for i := range k.sides {
		s := &k.sides[i]
		if s.view == x {
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
		if s.view.Addr < v.Addr+uintptr(v.Bytes()) && v.Addr < s.view.Addr+uintptr(s.view.Bytes()) {
			s.view = device.View{}
		}
	}
}

// forget forgets everything.
func (k *kept) forget() {
	for i := range k.sides {
		k.sides[i].view = device.View{}
	}
}

// level gives every place of a left side as much memory as the largest has: which
// of them a side comes to is another one each time, and a capture must not allocate.
func (b *Backend) level() error {
	places := b.work[slotLeft : slotLeft+numKept]
	largest := int64(0)
	for i := range places {
		largest = max(largest, places[i].size())
	}
	for i := range places {
		if places[i].size() == largest {
			continue
		}
		places[i].pool = &b.pool
		if _, err := places[i].at(largest); err != nil {
			return err
		}
	}
	return nil
}

// left is the left side of a product in bf16, rounded where it is not kept.
func (l *launcher) left(x device.View) (side, error) {
	if direct(x) {
		return side{uint64(x.Addr), x.Cols}, nil
	}
	k := &l.b.kept
	at, holds := k.find(x)
	s := &k.sides[at]
	if holds && x.Addr != 0 {
		return s.side, nil
	}
	s.view = device.View{}
	rounded, err := l.sideOf(slotLeft+slot(at), x)
	if err != nil {
		return side{}, err
	}
	s.view, s.side = x, rounded
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
