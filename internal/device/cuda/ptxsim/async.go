package ptxsim

import "math/bits"

func asyncOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){"cp": buildCopy}
}

// copies are a warp's asynchronous copies under way.
type copies struct {
	open   [width]uint32 // number of the group that a lane's next copy joins
	flying []flight
}

// flight is one lane's copy.
type flight struct {
	lane  int
	group uint32
	to    int // in shared memory
	bytes int
	data  [16]byte // what will be there
}

func (c *copies) reset() {
	c.open = [width]uint32{}
	c.flying = c.flying[:0]
}

// buildCopy makes cp.async and the instructions around it.
func buildCopy(c *compiler) {
	switch {
	case c.has("bulk"):
		buildBulk(c)
	case c.has("commit_group") && c.has("async"):
		c.in.run = func(w *warp, lanes uint32) {
			for m := lanes; m != 0; m &= m - 1 {
				w.async.open[bits.TrailingZeros32(m)&31]++
			}
		}
	case c.has("wait_group"):
		n, err := parseNumber(c.operand(0), 32)
		c.keep(err)
		c.in.run = func(w *warp, lanes uint32) { w.land(lanes, uint32(n)) }
	case c.has("wait_all"):
		c.in.run = func(w *warp, lanes uint32) {
			for m := lanes; m != 0; m &= m - 1 {
				w.async.open[bits.TrailingZeros32(m)&31]++
			}
			w.land(lanes, 0)
		}
	case c.has("async") && !c.has("mbarrier"):
		buildCopyAsync(c)
	default:
		c.fail("this copy is not simulated")
	}
}

// buildCopyAsync makes cp.async.{ca,cg}.shared.global [to], [from], size[,
// source size | ignore]: the rest of the size is filled with 0.
func buildCopyAsync(c *compiler) {
	c.only("async", "ca", "cg", "shared", "shared::cta", "global", "L2::64B", "L2::128B", "L2::256B", "L2::cache_hint")
	if !c.count(3, 5) {
		return
	}
	size64, err := parseNumber(c.operand(2), 32)
	size := int(size64)
	if err != nil || size != 4 && size != 8 && size != 16 || c.has("cg") && size != 16 {
		c.fail("a copy of %s bytes: want 4, 8 or 16, with .cg 16", c.operand(2))
		return
	}
	to, from, n := c.place(0), c.place(1), -1
	var ignore func(w *warp) uint32
	if len(c.raw.operands) > 3 {
		if c.classOf(c.operand(3), word32) == predicate {
			ignore = c.truth(3)
		} else {
			n = c.source(3, typ{'u', 32, false})
		}
	}
	target := &access{space: shared, bytes: size, write: true}
	c.in.run = func(w *warp, lanes uint32) {
		var data [width][16]byte
		from.to(w)
		w.countSectors(lanes, size)
		for m := lanes; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			left := size
			if n >= 0 {
				left = int(w.r32[n][i])
			}
			if ignore != nil && ignore(w)>>i&1 != 0 {
				left = 0
			}
			w.fetch(&data[i], i, left, size)
		}
		to.to(w)
		w.countWavefronts(lanes, size)
		for m := lanes; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			w.depart(target, i, &data[i])
		}
	}
}

// fetch reads what a copy takes from global memory; a copy of 0 bytes reads
// nothing, so its address may lie anywhere at a multiple of its size.
func (w *warp) fetch(to *[16]byte, lane, left, size int) {
	if left > size {
		w.fault(OutOfBounds, lane, "a copy of %d bytes out of %d", left, size)
	}
	at := w.addresses[lane]
	if at&uint64(size-1) != 0 {
		w.fault(Misaligned, lane, "address %#x of %d bytes", at, size)
	}
	if left == 0 {
		return
	}
	// Bytes behind the source size are not read: check and mark the others.
	for done := 0; done < left; {
		part := 1 << (bits.Len(uint(left-done)) - 1)
		w.addresses[lane] = at + uint64(done)
		copy(to[done:], w.global(&access{space: global, bytes: part}, lane))
		done += part
	}
	w.addresses[lane] = at
}

// depart starts a lane's copy: the target is poisoned until somebody waits.
func (w *warp) depart(a *access, lane int, data *[16]byte) {
	b := w.block
	memory := w.shared(a, lane)
	at := int(w.addresses[lane])
	for i := range memory {
		memory[i] = poison
	}
	b.filled.unset(at, a.bytes)
	w.setFlying(a, at, lane, flying)
	w.async.flying = append(w.async.flying, flight{lane, w.async.open[lane], at, a.bytes, *data})
}

// setFlying marks cells as the target of a copy, or as written now.
func (w *warp) setFlying(a *access, at, lane int, clock uint32) {
	b := w.block
	if !b.grid.sim.Races {
		return
	}
	shift := b.kernel.cell[shared]
	m := w.now(a, lane)
	m.clock = clock
	for i := at >> shift; i<<shift < at+a.bytes; i++ {
		b.cells[i] = cell{write: m}
	}
}

// land ends the copies of all but the last n groups of each lane.
func (w *warp) land(lanes, n uint32) {
	kept := w.async.flying[:0]
	for i := range w.async.flying {
		f := &w.async.flying[i]
		if lanes>>f.lane&1 == 0 || f.group+n >= w.async.open[f.lane] {
			kept = append(kept, *f)
			continue
		}
		copy(w.block.shared[f.to:], f.data[:f.bytes])
		w.block.filled.set(f.to, f.bytes)
		if w.block.kernel.proxies {
			w.wrotePlain(f.to, f.bytes, f.lane)
		}
		w.setFlying(&access{bytes: f.bytes}, f.to, f.lane, w.known[w.id])
	}
	w.async.flying = kept
}
