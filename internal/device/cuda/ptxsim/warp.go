package ptxsim

import (
	"math/bits"
	"strings"
)

// width is the number of lanes of a warp.
const width = 32

const everyLane = 1<<width - 1

// warp is a warp's registers and place.
type warp struct {
	block *block
	id    int

	r32     [][width]uint32
	r64     [][width]uint64
	p       []uint32
	written [classes][]uint32 // lanes that hold a value, by register: parts of all
	all     []uint32

	groups  []group // by place, lowest first
	live    uint32  // lanes that have not ended
	started uint32  // lanes that the block has in this warp
	pc      int     // of the instruction under way

	waiting arrival // at a barrier, when parked
	parked  bool
	awaits  bool // parked, for an mbarrier's phase

	// known is the latest moment of every warp of the block that this one's
	// accesses come after (a vector clock); its own entry is its time.
	known []uint32

	addresses [width]uint64
	async     copies
	maps      []uint64 // tensor maps that are fit for use
	wgmma     products
}

// regs32 and regs64 pick a register, for functions over both files.
func regs[T uint32 | uint64](w *warp, i int) *[width]T {
	var none T
	if _, is := any(none).(uint32); is {
		return any(&w.r32[i]).(*[width]T)
	}
	return any(&w.r64[i]).(*[width]T)
}

func newWarp(b *block, id int, k *Kernel) *warp {
	w := &warp{block: b, id: id, known: make([]uint32, 32)}
	w.r32 = make([][width]uint32, k.files.size[word32])
	w.r64 = make([][width]uint64, k.files.size[word64])
	w.p = make([]uint32, k.files.size[predicate])
	w.all = make([]uint32, k.files.first(int(classes)))
	for c := range w.written {
		w.written[c] = w.all[k.files.first(c):k.files.first(c+1)]
	}
	for c, at := range k.files.constants {
		switch c.class {
		case word32:
			fill(&w.r32[at], uint32(c.bits))
		case word64:
			fill(&w.r64[at], c.bits)
		}
	}
	return w
}

func fill[T uint32 | uint64](r *[width]T, v T) {
	for i := range r {
		r[i] = v
	}
}

// start puts the warp at the kernel's first instruction, nothing written.
func (w *warp) start() {
	clear(w.all)
	b := w.block
	first := w.id * width
	lanes := min(b.threads-first, width)
	w.started = everyLane >> (width - lanes)
	w.live = w.started
	w.groups = append(w.groups[:0], group{0, w.live})
	w.parked, w.awaits, w.maps = false, false, w.maps[:0]
	clear(w.known)
	w.known[w.id] = 1
	w.async.reset()
	if b.kernel.proxies {
		w.wgmma.reset(len(w.r32))
	}
	for name, at := range b.kernel.files.specials {
		w.setSpecial(name, at)
	}
}

// step runs until the warp ends, parks at a barrier or has run so many
// instructions; it returns how many it has run.
func (w *warp) step(budget int) int {
	code := w.block.kernel.code
	ran := 0
	for ran < budget {
		i := w.ready(code)
		if i < 0 {
			return ran
		}
		ran += w.follow(i, code, budget-ran)
		if w.parked || w.live == 0 {
			return ran
		}
	}
	return ran
}

// ready picks the first group that does not wait for others, -1 for none: the
// warp has ended, or waits for an mbarrier. It is a fault when all lanes wait for others.
func (w *warp) ready(code []instruction) int {
	if len(w.groups) == 0 {
		return -1
	}
	w.awaits = false
	for i, g := range w.groups {
		in := &code[g.pc]
		if in.kind == await {
			if w.pc = g.pc; in.met(w, g.lanes) {
				return i
			}
			w.awaits = true
			continue
		}
		if in.kind != collective && in.kind != barrier {
			return i
		}
		w.pc = g.pc
		need := w.live
		if in.need != nil {
			need = in.need(w, g.lanes)
		}
		if need&w.live&^g.lanes == 0 {
			return i
		}
	}
	if w.awaits {
		w.parked = true
		return -1
	}
	var places []string
	for _, g := range w.groups {
		places = append(places, code[g.pc].where()+" (lanes "+lanesText(g.lanes)+")")
	}
	w.pc = w.groups[0].pc
	w.fault(Deadlock, -1, "lanes of one warp wait for each other at %s", strings.Join(places, " and "))
	return -1
}

// follow runs a group until it meets another, waits or branches apart.
func (w *warp) follow(i int, code []instruction, budget int) int {
	ran := 0
	for {
		g := &w.groups[i]
		in := &code[g.pc]
		w.pc = g.pc
		lanes := g.lanes
		if in.kind == await && !in.met(w, lanes) {
			return ran
		}
		if in.guard >= 0 {
			lanes = w.guarded(in, lanes)
		}
		ran++
		if lanes != 0 {
			w.block.stats.Instructions++
		}
		switch in.kind {
		case plain, collective, await:
			if lanes != 0 {
				if in.need != nil && len(w.groups) == 1 {
					in.need(w, lanes) // ready asks where there are several
				}
				w.do(in, lanes)
			}
			g.pc++
		case branch:
			if w.branch(i, in, lanes) {
				return ran
			}
		case exit:
			if w.exit(i, lanes) {
				return ran
			}
		case barrier:
			g.pc++
			if lanes == 0 {
				break
			}
			if w.live != w.started {
				w.fault(BarrierFault, -1, "a barrier after lanes %s have ended", lanesText(w.started&^w.live))
			}
			if lanes != w.live {
				w.fault(BarrierFault, -1, "a barrier that lanes %s skip", lanesText(w.live&^lanes))
			}
			w.do(in, lanes)
			w.waiting = in.arrive(w)
			w.parked = w.waiting.waits
			w.block.arrived(w)
			return ran
		}
		if len(w.groups) > 1 {
			w.settle()
			return ran
		}
		if ran >= budget {
			return ran
		}
	}
}

// do checks the registers, runs and notes what is written.
func (w *warp) do(in *instruction, lanes uint32) {
	good, written := lanes, w.all
	for _, r := range in.reads {
		good &= written[r]
	}
	if good != lanes && !in.soft {
		w.unwritten(lanes &^ good)
	}
	for _, r := range in.writes {
		written[r] = written[r]&^lanes | good
	}
	if in.held != nil {
		w.touchHeld(in)
	}
	if in.run != nil {
		in.run(w, lanes)
	}
}

func (w *warp) unwritten(lanes uint32) {
	w.fault(Unwritten, bits.TrailingZeros32(lanes), "a register is read before it is written")
}

func (w *warp) guarded(in *instruction, lanes uint32) uint32 {
	if missing := lanes &^ w.written[predicate][in.guard]; missing != 0 {
		w.unwritten(missing)
	}
	if in.negate {
		return lanes &^ w.p[in.guard]
	}
	return lanes & w.p[in.guard]
}

// tick starts a new moment of the warp: its accesses so far come before what
// follows for all its lanes.
func (w *warp) tick() { w.known[w.id]++ }
