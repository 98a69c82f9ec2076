package ptxsim

import (
	"fmt"
	"math/bits"
	"strings"
)

// An mbarrier (PTX ISA, "Parallel Synchronization and Communication Instructions:
// mbarrier") is 8 bytes of shared memory that threads arrive at and bulk copies bring
// their bytes to. A phase of it ends when all arrivals and all bytes are there; who waits
// for it then comes behind all of them. A warp that waits in vain is taken off the
// schedule, as the manual lets try_wait be suspended: no instructions are counted for it.
//
// An arrival of one lane counts for all that its warp has done, which is more than the
// manual grants the lanes beside it.

// phaser is an mbarrier.
type phaser struct {
	expected, pending int
	bytes             int        // of copies that are expected and not there (the manual's tx-count)
	coming            int        // copies under way to it
	came, whole, seen uint32     // moments of the last copy, of the last in a phase that has ended, and that somebody has waited for
	phase             uint32     // number of the one under way
	latest, ended     [32]uint32 // moments of its arrivals so far, and of those of the last phase that has ended
}

// mostExpected is the manual's limit of an mbarrier's arrivals, and of its bytes.
const mostExpected = 1<<20 - 1

func mbarrierOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){"mbarrier": buildMbarrier}
}

func buildMbarrier(c *compiler) {
	c.kernel.proxies = true
	u32 := typ{'u', 32, false}
	switch {
	case c.has("init"):
		c.only("init", "shared", "shared::cta")
		at, count := c.place(0), c.source(1, u32)
		c.in.run = func(w *warp, lanes uint32) {
			at.to(w)
			w.eachObject(lanes, func(lane, at int) { w.makeObject(lane, at, int(w.r32[count][lane])) })
		}
	case c.has("inval"):
		c.only("inval", "shared", "shared::cta")
		at := c.place(0)
		c.in.run = func(w *warp, lanes uint32) {
			at.to(w)
			w.eachObject(lanes, w.dropObject)
		}
	case c.has("arrive"):
		buildArrive(c)
	case c.has("try_wait"):
		buildAwait(c)
	default:
		c.fail("this mbarrier is not simulated")
	}
}

// buildArrive makes mbarrier.arrive{.expect_tx}.shared::cta.b64 _, [at]{, bytes}.
func buildArrive(c *compiler) {
	c.only("arrive", "expect_tx", "release", "cta", "shared", "shared::cta")
	operands, bytes := 2, -1
	if c.has("expect_tx") {
		operands = 3
	}
	if !c.count(operands, operands) {
		return
	}
	if c.operand(0) != "_" {
		c.fail("a state that is kept is not simulated: waits are for a phase's parity")
	}
	at := c.place(1)
	if operands == 3 {
		bytes = c.source(2, typ{'u', 32, false})
	}
	c.in.run = func(w *warp, lanes uint32) {
		at.to(w)
		w.eachObject(lanes, func(lane, at int) {
			more := 0
			if bytes >= 0 {
				more = int(w.r32[bytes][lane])
			}
			w.arrive(lane, at, more)
		})
		w.tick()
	}
}

// buildAwait makes mbarrier.try_wait.parity.shared::cta.b64 p, [at], parity. It runs when
// the phase has ended.
func buildAwait(c *compiler) {
	c.only("try_wait", "parity", "acquire", "cta", "shared", "shared::cta")
	if !c.has("parity") || !c.count(3, 4) || c.raw.guard != "" {
		c.fail("want try_wait.parity without a guard")
		return
	}
	at, parity := c.place(1), c.source(2, typ{'u', 32, false}) // a limit of time does not matter here
	p := c.result(0, typ{'p', 1, false})
	c.in.kind = await
	of := func(w *warp, lanes uint32) (*phaser, int, uint32) {
		at.to(w)
		first := firstLane(lanes)
		for m := lanes; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			if w.addresses[i] != w.addresses[first] || w.r32[parity][i] != w.r32[parity][first] {
				w.fault(BarrierFault, i, "lanes that wait for different mbarriers or phases are not simulated")
			}
		}
		place := int(w.addresses[first])
		return w.object(first, place, false), place, w.r32[parity][first]
	}
	c.in.met = func(w *warp, lanes uint32) bool {
		o, _, parity := of(w, lanes)
		return o.phase&1 != parity&1
	}
	c.in.told = func(w *warp, lanes uint32) string {
		o, at, parity := of(w, lanes)
		return fmt.Sprintf("waits for the end of a phase of parity %d of the mbarrier at %#x, which lacks %d of %d arrivals and %d bytes",
			parity, at, o.pending, o.expected, o.bytes)
	}
	c.in.run = func(w *warp, lanes uint32) {
		o, _, _ := of(w, lanes)
		w.setPredicate(p, lanes, lanes)
		w.after(&o.ended)
		o.seen = o.whole
		w.tick()
	}
}

// eachObject visits the lanes' places of mbarriers.
func (w *warp) eachObject(lanes uint32, visit func(lane, at int)) {
	for m := lanes; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros32(m) & 31
		visit(lane, int(w.addresses[lane]))
	}
}

// objectBytes is what an mbarrier takes.
const objectBytes = 8

var plainObject = &access{space: shared, bytes: objectBytes, write: true}

func (w *warp) makeObject(lane, at, count int) {
	if w.block.objects[at] != nil {
		w.fault(BarrierFault, lane, "an mbarrier is made at %#x, where there is one", at)
	}
	if count < 1 || count > mostExpected {
		w.fault(BarrierFault, lane, "an mbarrier of %d arrivals: want 1 to %d", count, mostExpected)
	}
	w.shared(plainObject, lane)
	if w.block.objects == nil {
		w.block.objects = map[int]*phaser{}
	}
	w.block.objects[at] = &phaser{expected: count, pending: count}
}

func (w *warp) dropObject(lane, at int) {
	w.object(lane, at, true)
	delete(w.block.objects, at)
	w.shared(plainObject, lane)
}

// object finds the mbarrier of an operation, which must come behind the one that made it.
func (w *warp) object(lane, at int, write bool) *phaser {
	b := w.block
	o := b.objects[at]
	if o == nil {
		w.fault(Unwritten, lane, "no mbarrier was made at %#x", at)
	}
	if b.grid.sim.Races {
		w.checkShared(&access{space: shared, bytes: objectBytes, write: write, atomic: true}, at, lane)
	}
	return o
}

// arrive is a lane's arrival that expects so many bytes more.
func (w *warp) arrive(lane, at, more int) {
	o := w.object(lane, at, true)
	if o.pending == 0 {
		w.fault(BarrierFault, lane, "more arrivals at the mbarrier at %#x than the %d that it is made for", at, o.expected)
	}
	if o.bytes += more; o.bytes > mostExpected {
		w.fault(Transactions, lane, "the mbarrier at %#x expects %d bytes: at most %d", at, o.bytes, mostExpected)
	}
	o.pending--
	for i, t := range w.known {
		o.latest[i] = max(o.latest[i], t)
	}
	w.end(o, lane, at)
}

// end ends the phase of an mbarrier when all is there.
func (w *warp) end(o *phaser, lane, at int) {
	if o.pending > 0 || o.bytes != 0 {
		return
	}
	if o.coming > 0 {
		w.fault(Transactions, lane, "a phase of the mbarrier at %#x ends while %d copies to it are under way: fewer bytes were expected than come", at, o.coming)
	}
	o.phase, o.pending, o.ended, o.whole = o.phase+1, o.expected, o.latest, o.came
	for _, other := range w.block.warps {
		if other.awaits {
			other.parked, other.awaits = false, false
		}
	}
}

// keepObjects faults where a write would destroy an mbarrier.
func (w *warp) keepObjects(at, bytes, lane int) {
	for place := range w.block.objects {
		if at < place+objectBytes && place < at+bytes {
			w.fault(BarrierFault, lane, "the mbarrier at %#x is written over", place)
		}
	}
}

// showObjects is fence.mbarrier_init: it shows copies the mbarriers that the lanes have
// made.
func (w *warp) showObjects(lanes uint32) {
	kept := w.wgmma.plain[:0]
	for _, s := range w.wgmma.plain {
		if lanes>>s.lane&1 == 0 || w.block.objects[s.at] == nil {
			kept = append(kept, s)
			continue
		}
		w.block.plain.unset(s.at, s.bytes)
	}
	w.wgmma.plain = kept
}

// unmet tells of copies that a block leaves behind, and of bytes that never came.
func (b *block) unmet() {
	for at, o := range b.objects {
		switch {
		case o.coming > 0 || o.came > o.seen:
			b.warps[0].fault(Transactions, -1, "the block has ended: nobody has waited for copies to the mbarrier at %#x", at)
		case o.bytes != 0:
			b.warps[0].fault(Transactions, -1, "the block has ended: the mbarrier at %#x expects %d bytes that did not come", at, o.bytes)
		}
	}
}

// waits tells what a warp that does not go on waits for.
func (w *warp) waits() string {
	in := &w.block.kernel.code[w.pc]
	if !w.awaits {
		return fmt.Sprintf("waits at barrier %d (%s)", w.waiting.id, in.where())
	}
	var all []string
	for _, g := range w.groups {
		if in := &w.block.kernel.code[g.pc]; in.kind == await {
			all = append(all, in.told(w, g.lanes)+" ("+in.where()+")")
		}
	}
	return strings.Join(all, " and ")
}
