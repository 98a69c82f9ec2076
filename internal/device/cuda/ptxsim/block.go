package ptxsim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// block is a block of threads; it is used again for the next one of its grid.
type block struct {
	grid    *grid
	kernel  *Kernel
	number  uint32
	at      [3]int
	threads int
	warps   []*warp
	stats   Stats

	shared      []byte
	filled      bitset // shared bytes that were written
	cells       []cell
	local       []byte
	localFilled bitset

	barriers [16]rendezvous
	random   *rand.Rand // nil for the plain order
	ran      int

	last      *area // that was touched
	fenced    bool
	acquired  numbers
	collision bool
	slices    [width][]byte
	banks     banks

	objects    map[int]*phaser // mbarriers by address
	deliveries []delivery      // bulk copies under way
	moment     uint32          // of the last one that has ended

	// Of kernels with wgmma: what threads wrote with no fence of the proxies
	// since, the warps whose products read each 16 bytes, and the products that
	// the warps of each warpgroup have started.
	plain  bitset
	lent   []uint32
	issues [8][]issue
}

// rendezvous is a barrier with the warps that are there.
type rendezvous struct {
	threads, expected int
	warps             uint32     // that wait
	latest            [32]uint32 // moments that what follows comes after
}

// poison fills memory that nobody has written: a NaN in every float format.
const poison = 0xff

func newBlock(g *grid) *block {
	k := g.kernel
	b := &block{grid: g, kernel: k, threads: g.block[0] * g.block[1] * g.block[2]}
	size := max(reserved+k.SharedBytes, k.dynamic+g.dynamic)
	b.shared, b.filled = make([]byte, size), makeBitset(size)
	if g.sim.Races {
		b.cells = make([]cell, size>>k.cell[shared]+16)
	}
	if k.proxies {
		b.plain, b.lent = makeBitset(size), make([]uint32, size/16+1)
	}
	b.local, b.localFilled = make([]byte, k.LocalBytes*(b.threads+width)), makeBitset(k.LocalBytes*(b.threads+width))
	for i := range (b.threads + width - 1) / width {
		b.warps = append(b.warps, newWarp(b, i, k))
	}
	return b
}

// run runs one block of the grid.
func (b *block) run(i int) (err error) {
	b.at, b.number = b.grid.place(i), b.grid.base+uint32(i)
	for i := range b.shared {
		b.shared[i] = poison
	}
	clear(b.filled)
	clear(b.localFilled)
	clear(b.acquired)
	b.barriers, b.ran, b.fenced, b.collision = [16]rendezvous{}, 0, false, false
	b.objects, b.deliveries, b.moment = nil, b.deliveries[:0], 0
	clear(b.plain)
	clear(b.lent)
	for i := range b.issues {
		b.issues[i] = b.issues[i][:0]
	}
	if seed := b.grid.sim.Seed; seed != 0 {
		b.random = rand.New(rand.NewPCG(seed, uint64(b.number)))
	}
	defer func() {
		if f := recover(); f != nil {
			fault, is := f.(*Fault)
			if !is {
				panic(f)
			}
			err = fault
		}
	}()
	for _, w := range b.warps {
		w.start()
	}
	for b.turn() {
	}
	for _, w := range b.warps {
		if w.wgmma.issued != len(b.issues[w.id/4]) {
			w.fault(Deadlock, -1, "the warp has ended with %d products of the %d that others of its warpgroup started", w.wgmma.issued, len(b.issues[w.id/4]))
		}
	}
	b.unmet()
	return nil
}

// turn lets each warp run a while; false when all have ended.
func (b *block) turn() bool {
	limit := b.grid.sim.Limit
	if limit == 0 {
		limit = 1 << 26
	}
	moved, alive := false, false
	for i := range b.warps {
		w, budget := b.warps[i], 1<<14
		if b.random != nil {
			w, budget = b.warps[b.random.IntN(len(b.warps))], 1+b.random.IntN(48)
		}
		if w.live == 0 || w.parked {
			continue
		}
		b.ran += w.step(budget)
		moved = true
		if b.ran > limit {
			w.fault(Limit, -1, "the block has run %d", b.ran)
		}
	}
	for _, w := range b.warps {
		alive = alive || w.live != 0
		moved = moved || w.live != 0 && !w.parked
	}
	if b.random != nil && b.random.IntN(4) == 0 {
		moved = b.deliver() || moved
	}
	if alive && !moved && !b.deliver() {
		b.stuck()
	}
	return alive
}

// arrived notes a warp at a barrier and lets all go when the last one comes.
func (b *block) arrived(w *warp) {
	b.stats.Barriers++
	a := w.waiting
	if a.id >= uint32(len(b.barriers)) || a.count%width != 0 {
		w.fault(BarrierFault, -1, "barrier %d for %d threads: want a number below 16 and whole warps", a.id, a.count)
	}
	r := &b.barriers[a.id]
	expected := len(b.warps) * width
	if a.count > 0 {
		expected = int(a.count)
	}
	if r.threads > 0 && r.expected != expected {
		w.fault(BarrierFault, -1, "barrier %d for %d threads: others wait there for %d", a.id, expected, r.expected)
	}
	r.expected, r.threads = expected, r.threads+width
	for i, t := range w.known {
		r.latest[i] = max(r.latest[i], t)
	}
	if a.waits {
		r.warps |= 1 << w.id
	} else {
		w.tick()
	}
	if r.threads < r.expected {
		return
	}
	for i, other := range b.warps {
		if r.warps>>i&1 != 0 {
			other.parked = false
			other.after(&r.latest)
			other.tick()
		}
	}
	*r = rendezvous{}
}

// after orders what the warp does next behind other warps' moments.
func (w *warp) after(latest *[32]uint32) {
	for i, t := range latest {
		w.known[i] = max(w.known[i], t)
	}
}

// stuck tells who waits for whom.
func (b *block) stuck() {
	var at []string
	var first *warp
	for _, w := range b.warps {
		if w.live == 0 {
			at = append(at, fmt.Sprintf("warp %d has ended", w.id))
			continue
		}
		if first == nil {
			first = w
		}
		at = append(at, fmt.Sprintf("warp %d %s", w.id, w.waits()))
	}
	first.fault(Deadlock, -1, "%s", strings.Join(at, "; "))
}
