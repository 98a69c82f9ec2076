package ptxsim

import (
	"math/bits"
	"slices"
	"strings"
)

// Bulk copies of boxes of a matrix into shared memory (PTX ISA, "cp.async.bulk.tensor")
// are made by the card's copy engine beside the threads: from the instruction until
// somebody has waited for the phase of the mbarrier that the copy's bytes come to, its
// target holds nothing and may not be touched. What it overwrites must have been read
// before, by products too; what threads wrote there needs a fence.proxy.async; a map that
// the host wrote needs a fence.proxy.tensormap by the warp that uses it.
//
// A copy ends as late as it can: when no warp can go on without it, or at any time where
// the order is random.

// engine stands for the copy engine among the warps whose moments are counted.
const engine = 31

// delivery is a bulk copy under way.
type delivery struct {
	w    *warp
	lane int
	pc   int
	to   int // in shared memory
	data []byte
	at   int // of the mbarrier
}

// buildBulk makes cp.async.bulk.tensor.2d.shared::cluster.global.tile.
// mbarrier::complete_tx::bytes [to], [map, {column, row}], [mbarrier].
func buildBulk(c *compiler) {
	c.kernel.proxies = true
	c.only("async", "bulk", "tensor", "2d", "shared::cluster", "shared::cta", "global", "tile", "mbarrier::complete_tx::bytes")
	if !c.has("tensor") || !c.has("2d") || !c.has("mbarrier::complete_tx::bytes") || !c.count(3, 3) {
		c.fail("this bulk copy is not simulated")
		return
	}
	source := splitOperands(strings.TrimSuffix(strings.TrimPrefix(c.operand(1), "["), "]"))
	if len(source) != 2 || len(vector(source[1])) != 2 {
		c.fail("%q: want a map and two coordinates", c.operand(1))
		return
	}
	s32 := typ{'s', 32, false}
	from, corner := c.placeText(source[0]), vector(source[1])
	column, row := c.sourceText(corner[0], s32), c.sourceText(corner[1], s32)
	to, at := c.place(0), c.place(2)
	c.in.run = func(w *warp, lanes uint32) {
		for m := lanes; m != 0; m &= m - 1 {
			lane := bits.TrailingZeros32(m) & 31
			from.to(w)
			box := w.mapAt(lane)
			to.to(w)
			d := delivery{w: w, lane: lane, pc: w.pc, to: int(w.addresses[lane])}
			at.to(w)
			d.at = int(w.addresses[lane])
			w.dispatch(d, box, int(int32(w.r32[column][lane])), int(int32(w.r32[row][lane])))
		}
	}
}

// buildMapFence makes fence.proxy.tensormap::generic.acquire.sys [map], 128, which a map
// wants that the host has written.
func buildMapFence(c *compiler) {
	c.only("proxy", "tensormap::generic", "acquire", "sys")
	if !c.has("acquire") || !c.has("sys") || !c.count(2, 2) || c.operand(1) != "128" {
		c.fail("want an acquire of 128 bytes of the system")
		return
	}
	from := c.place(0)
	c.in.run = func(w *warp, lanes uint32) {
		from.to(w)
		w.resolve(generic, lanes)
		for m := lanes; m != 0; m &= m - 1 {
			w.maps = append(w.maps, w.addresses[bits.TrailingZeros32(m)&31])
		}
	}
}

// mapAt reads the map at a lane's address.
func (w *warp) mapAt(lane int) *TensorMap {
	w.resolve(generic, 1<<lane)
	at := w.addresses[lane]
	if at%tensorMapAlign != 0 {
		w.fault(Misaligned, lane, "a tensor map at %#x: want a multiple of %d", at, tensorMapAlign)
	}
	var raw [tensorMapBytes]byte
	for i := 0; i < len(raw); i += 16 {
		w.addresses[lane] = at + uint64(i)
		copy(raw[i:], w.global(&access{space: global, bytes: 16, many: true}, lane))
	}
	box, is := decodeTensorMap(raw[:])
	if !is {
		w.fault(Unwritten, lane, "no tensor map was written at %#x", at)
	}
	if !slices.Contains(w.maps, at) {
		w.fault(Unfenced, lane, "the tensor map at %#x is used with no fence.proxy.tensormap before", at)
	}
	return &box
}

// dispatch checks a copy, reads what it brings and starts it.
func (w *warp) dispatch(d delivery, box *TensorMap, column, row int) {
	b, n := w.block, box.bytes()
	switch {
	case len(b.warps) > engine:
		w.fault(BarrierFault, d.lane, "bulk copies in blocks of more than %d warps are not simulated", engine)
	case 2*box.BoxColumns != lineBytes:
		w.fault(Misaligned, d.lane, "a box of %d columns: only lines of %d bytes are simulated", box.BoxColumns, lineBytes)
	case d.to%lineBytes != 0 || d.at%objectBytes != 0:
		w.fault(Misaligned, d.lane, "a box to %#x and its mbarrier at %#x: want multiples of %d and %d", d.to, d.at, lineBytes, objectBytes)
	case d.to < reserved || d.to+n > len(b.shared):
		w.fault(OutOfBounds, d.lane, "shared address %#x of a box of %d bytes: the block has %d from %#x on", d.to, n, len(b.shared)-reserved, reserved)
	}
	o := w.object(d.lane, d.at, false)
	if b.plain.any(d.at, objectBytes) {
		w.fault(Unfenced, d.lane, "the mbarrier at %#x was made with no fence.mbarrier_init or fence.proxy.async after it", d.at)
	}
	o.coming++
	w.keepObjects(d.to, n, d.lane)
	d.data = w.boxed(d, box, column, row)
	for at := d.to; at < d.to+n; at += 16 {
		w.vacate(at, d.lane)
	}
	b.deliveries = append(b.deliveries, d)
}

// boxed is what a box brings, in the order of shared memory.
func (w *warp) boxed(d delivery, box *TensorMap, column, row int) []byte {
	data := make([]byte, box.bytes())
	first, end := max(column, 0), min(column+int(box.BoxColumns), int(box.Columns))
	for r := range int(box.BoxRows) {
		if row+r < 0 || row+r >= int(box.Rows) || first >= end {
			continue
		}
		line := w.line(box.Address+uint64(row+r)*box.Stride+2*uint64(first), 2*(end-first), d.lane)
		for i := 0; i < len(line); {
			at := r*lineBytes + 2*(first-column) + i
			n := min(16-at%16, len(line)-i)
			copy(data[(d.to+at)^(d.to+at)>>3&0x70-d.to:], line[i:i+n])
			i += n
		}
	}
	return data
}

// line is some bytes of global memory that a copy reads.
func (w *warp) line(at uint64, bytes, lane int) []byte {
	b := w.block
	in := b.areaOf(at)
	if in == nil || at+uint64(bytes) > in.start+uint64(len(in.bytes)) {
		w.fault(OutOfBounds, lane, "global address %#x of %d bytes of a box: %s", at, bytes, b.grid.memory.near(at))
	}
	offset := int(at - in.start)
	if b.grid.sim.Races {
		w.checkGlobal(&access{space: global, bytes: bytes, many: true}, in, offset, lane)
	}
	b.stats.GlobalBytes += int64(bytes)
	b.stats.GlobalSectors += int64((at+uint64(bytes)+31)/32 - at/32)
	b.stats.GlobalRequests++
	return in.bytes[offset : offset+bytes]
}

var bulkWrite = &access{space: shared, bytes: 16, write: true, many: true}

// vacate checks 16 bytes that a copy is to fill, and takes what they hold.
func (w *warp) vacate(at, lane int) {
	b := w.block
	if by := b.lent[at>>4]; by != 0 {
		w.fault(InFlight, lane, "a bulk copy to shared word %#x while a wgmma of warp %d reads it: no wait_group between", at, firstLane(by))
	}
	if b.plain.any(at, 16) {
		w.fault(Unfenced, lane, "a bulk copy to shared memory at %#x, which was written with no fence.proxy.async after it", at)
	}
	if b.grid.sim.Races {
		w.checkShared(bulkWrite, at, lane)
	}
	for i := range b.shared[at : at+16] {
		b.shared[at+i] = poison
	}
	b.filled.unset(at, 16)
	w.setFlying(bulkWrite, at, lane, flying)
}

// deliver ends a copy; false where none is under way.
func (b *block) deliver() bool {
	if len(b.deliveries) == 0 {
		return false
	}
	i := 0
	if b.random != nil {
		i = b.random.IntN(len(b.deliveries))
	}
	d := b.deliveries[i]
	b.deliveries = slices.Delete(b.deliveries, i, i+1)
	copy(b.shared[d.to:], d.data)
	b.moment++
	for at := d.to; at < d.to+len(d.data); at += 16 {
		b.filled.set(at, 16)
		b.arrivedAt(at, d)
	}
	o := b.objects[d.at]
	if o == nil {
		d.w.pc = d.pc
		d.w.fault(InFlight, d.lane, "the mbarrier at %#x is gone before a copy has come to it", d.at)
	}
	o.bytes, o.coming = o.bytes-len(d.data), o.coming-1
	o.latest[engine], o.came = b.moment, b.moment
	here := d.w.pc
	d.w.pc = d.pc
	d.w.end(o, d.lane, d.at)
	d.w.pc = here
	return true
}

// arrivedAt marks cells as written by the copy engine now.
func (b *block) arrivedAt(at int, d delivery) {
	if !b.grid.sim.Races {
		return
	}
	shift := b.kernel.cell[shared]
	m := mark{clock: b.moment, block: b.number, pc: uint16(min(d.pc, 1<<16-1)), warp: engine, lane: manyLanes}
	for i := at >> shift; i<<shift < at+16; i++ {
		b.cells[i] = cell{write: m}
	}
}
