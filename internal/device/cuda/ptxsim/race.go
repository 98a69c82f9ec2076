package ptxsim

import (
	"fmt"
	"math"
)

// mark is an access to a cell of memory.
type mark struct {
	clock uint32 // moment of its warp
	block uint32 // number in the simulator's life, 0 for no mark
	pc    uint16
	warp  uint8
	lane  uint8
}

// Of mark: more than one lane; the access is atomic; a copy is under way.
const (
	manyLanes  = 0x40
	atomicMark = 0x80
	flying     = math.MaxUint32
)

// cell is what is known of 1 to 16 bytes: the last write and up to two reads
// by different warps since. Two are enough to find a race between any two
// warps, unless barriers of a part of the block order one read and not the
// other.
type cell struct{ write, read, other mark }

const cellsPerPage = 256

func (w *warp) checkShared(a *access, offset, lane int) {
	shift := w.block.kernel.cell[shared]
	first, last := offset>>shift, (offset+a.bytes-1)>>shift
	w.check(a, w.block.cells[first:last+1], lane, shared, uint64(first)<<shift)
}

func (w *warp) checkGlobal(a *access, in *area, offset, lane int) {
	shift := w.block.kernel.cell[global]
	last := (offset + a.bytes - 1) >> shift
	for i := offset >> shift; i <= last; {
		page := i / cellsPerPage
		if page >= len(in.pages) {
			in.pages = append(in.pages, make([][]cell, page+1-len(in.pages))...)
		}
		if in.pages[page] == nil {
			in.pages[page] = make([]cell, cellsPerPage)
		}
		end := min(last+1, (page+1)*cellsPerPage)
		w.check(a, in.pages[page][i%cellsPerPage:][:end-i], lane, global, in.start+uint64(i)<<shift)
		i = end
	}
}

// now is the mark of the instruction under way.
func (w *warp) now(a *access, lane int) mark {
	m := mark{clock: w.known[w.id], block: w.block.number, pc: uint16(min(w.pc, math.MaxUint16)), warp: uint8(w.id), lane: uint8(lane)}
	if a.many {
		m.lane = manyLanes
	}
	if a.atomic {
		m.lane |= atomicMark
	}
	return m
}

// check compares an access with the marks of neighbouring cells, the first one at an
// address, and leaves its own.
func (w *warp) check(a *access, cells []cell, lane int, s space, at uint64) {
	m, base, shift := w.now(a, lane), w.block.grid.base, w.block.kernel.cell[s]
	for i := range cells {
		c := &cells[i]
		if c.write.block >= base && !w.before(&c.write, &m, s) {
			w.clash(&c.write, a, lane, s, at+uint64(i)<<shift, "written")
		}
		if !a.write {
			if c.read != m {
				w.noteRead(c, &m, s)
			}
			continue
		}
		if c.read.block >= base && !w.before(&c.read, &m, s) {
			w.clash(&c.read, a, lane, s, at+uint64(i)<<shift, "read")
		}
		if c.other.block >= base && !w.before(&c.other, &m, s) {
			w.clash(&c.other, a, lane, s, at+uint64(i)<<shift, "read")
		}
		*c = cell{write: m}
	}
}

func (w *warp) noteRead(c *cell, m *mark, s space) {
	switch {
	case c.read.block == m.block && c.read.warp == m.warp:
		c.read.again(m)
	case c.other.block == m.block && c.other.warp == m.warp:
		c.other.again(m)
	case w.before(&c.read, m, s):
		c.read = *m
	case w.before(&c.other, m, s):
		c.other = *m
	}
}

// again notes another read by the same warp.
func (r *mark) again(m *mark) {
	lane := m.lane
	if r.clock == m.clock && r.lane != m.lane {
		lane = manyLanes | m.lane&r.lane&atomicMark
	}
	*r = *m
	r.lane = lane
}

// before tells whether an earlier access is in order with the one of mark m.
func (w *warp) before(e, m *mark, s space) bool {
	b := w.block
	switch {
	case e.block < b.grid.base: // of an earlier launch, or no mark
		return true
	case e.block != b.number:
		return s == shared || e.lane&m.lane&atomicMark != 0 || b.acquired.has(e.block-b.grid.base)
	case e.clock == flying:
		return false
	case e.lane&m.lane&atomicMark != 0:
		return true
	case e.warp != m.warp:
		return w.known[e.warp] >= e.clock
	}
	return e.clock < m.clock || e.lane&^atomicMark == m.lane&^atomicMark && e.lane&manyLanes == 0
}

// clash reports two accesses that nothing orders. Lanes of one store that
// write the same word are left to the store, which knows the values.
func (w *warp) clash(e *mark, a *access, lane int, s space, at uint64, done string) {
	b := w.block
	if e.block == b.number && e.clock == flying {
		w.fault(InFlight, lane, "%s word %#x is the target of an asynchronous copy by warp %d (%s) that was not waited for",
			s, at, e.warp, b.codeAt(e))
	}
	if a.write && done == "written" && e.block == b.number && int(e.warp) == w.id && int(e.pc) == w.pc {
		b.collision = true
		return
	}
	doing := "read"
	if a.write {
		doing = "written"
	}
	who := fmt.Sprintf("warp %d", e.warp)
	if e.warp == engine && len(b.deliveries)+int(b.moment) > 0 {
		who = "a bulk copy"
	}
	if e.block != b.number {
		who = fmt.Sprintf("block %v, warp %d", b.grid.place(int(e.block-b.grid.base)), e.warp)
	}
	if e.lane&manyLanes == 0 {
		who += fmt.Sprintf(", lane %d", e.lane&31)
	}
	w.fault(Race, lane, "%s word %#x is %s here and was %s by %s (%s) with no barrier between", s, at, doing, done, who, b.codeAt(e))
}

func (b *block) codeAt(e *mark) string {
	if int(e.pc) < len(b.kernel.code) {
		return b.kernel.code[e.pc].where()
	}
	return "an instruction"
}

// agree faults where two lanes of one store put different values at one place.
func (w *warp) agree(lanes uint32, values func(lane int) []byte) {
	w.block.collision = false
	for i := range width {
		for j := range i {
			if lanes>>i&lanes>>j&1 == 0 || w.addresses[i] != w.addresses[j] {
				continue
			}
			if string(values(i)) != string(values(j)) {
				w.fault(Race, i, "lanes %d and %d write different values at %#x", j, i, w.addresses[i])
			}
		}
	}
}

// numbers is a set of blocks of a launch.
type numbers []uint64

func (n numbers) has(i uint32) bool { return int(i>>6) < len(n) && n[i>>6]>>(i&63)&1 != 0 }

func (n *numbers) add(i uint32) {
	for int(i>>6) >= len(*n) {
		*n = append(*n, 0)
	}
	(*n)[i>>6] |= 1 << (i & 63)
}

func (n *numbers) join(o numbers) {
	for len(*n) < len(o) {
		*n = append(*n, 0)
	}
	for i, v := range o {
		(*n)[i] |= v
	}
}

// synchronise is an atomic operation on global memory after a fence: it orders
// this block behind those that did the same there.
func (w *warp) synchronise(at uint64) {
	b := w.block
	if !b.fenced || !b.grid.sim.Races {
		return
	}
	there := b.grid.released[at]
	b.acquired.join(there)
	there.join(b.acquired)
	there.add(b.number - b.grid.base)
	b.grid.released[at] = there
}
