package ptxsim

import (
	"slices"
	"strconv"
	"strings"
)

// Matrix products of four warps (PTX ISA, "Asynchronous Warpgroup Level Matrix
// Instructions") run beside the threads. Each warp makes its 16 rows of the 64.
// From a wgmma.mma_async until a wait_group that covers its group
//
//   - its registers, a left side among them, are its own: no other instruction may
//     touch them;
//   - its operands are being read: nobody may write there.
//
// The product is made at the wait, out of what shared memory holds then. What
// threads wrote there needs a fence.proxy.async by the writer before the
// barrier, which is stricter than the manual: it takes a fence anywhere on the
// way from the write to the product.

func wgmmaOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){"wgmma": buildWgmma}
}

// depth is the number of terms of a wgmma of 16-bit numbers.
const depth = 16

// products are a warp's wgmma instructions under way.
type products struct {
	open   uint32 // number of the group that the next one joins
	flying []wgmma
	issued int // since the start
	fenced bool
	// By register: how many products under way have it, and whether another
	// instruction has touched it since the last wgmma.fence.
	busy    []int
	touched []bool
	// plain are what the warp's lanes have written to shared memory since their
	// last fence of the proxies.
	plain []span
}

// span is what a lane has written.
type span struct{ lane, at, bytes int }

// wgmma is one instruction under way.
type wgmma struct {
	*wgmmaForm
	a, b  operand
	add   bool // to what the registers hold
	group uint32
	pc    int
}

// wgmmaForm is what is known of an instruction when it is compiled.
type wgmmaForm struct {
	columns          int
	d                []int
	left             []int // registers of A, as mma.m16n8k16 has them; nil for a descriptor
	acrossA, acrossB bool
}

// issue is what the warps of a warpgroup must agree on.
type issue struct {
	pc   int
	a, b uint64
	add  bool
}

func (p *products) reset(registers int) {
	if p.busy == nil {
		p.busy, p.touched = make([]int, registers), make([]bool, registers)
	}
	clear(p.busy)
	clear(p.touched)
	p.open, p.issued, p.fenced = 0, 0, false
	p.flying, p.plain = p.flying[:0], p.plain[:0]
}

func buildWgmma(c *compiler) {
	c.kernel.proxies = true
	c.in.kind, c.in.need = collective, wholeWarp
	switch {
	case c.has("fence"):
		c.only("fence", "sync", "aligned")
		c.in.run = func(w *warp, _ uint32) {
			w.wgmma.fenced = true
			clear(w.wgmma.touched)
		}
	case c.has("commit_group"):
		c.only("commit_group", "sync", "aligned")
		c.in.run = func(w *warp, _ uint32) { w.wgmma.open++ }
	case c.has("wait_group"):
		c.only("wait_group", "sync", "aligned")
		n, err := parseNumber(c.operand(0), 32)
		c.keep(err)
		c.in.run = func(w *warp, _ uint32) { w.finish(uint32(n)) }
	case c.has("mma_async"):
		buildMmaAsync(c)
	default:
		c.fail("this instruction is not simulated")
	}
}

// buildMmaAsync makes wgmma.mma_async.sync.aligned.m64nNk16.f32.bf16.bf16 {d},
// a-descriptor, b-descriptor, scale-d, 1, 1, trans-a, trans-b, or, with registers
// {a} in place of the first descriptor, without trans-a.
func buildMmaAsync(c *compiler) {
	shape := ""
	for _, m := range c.raw.mods {
		if strings.HasPrefix(m, "m64n") {
			shape = m
		}
	}
	c.only("mma_async", "sync", "aligned", shape)
	digits, is := strings.CutSuffix(strings.TrimPrefix(shape, "m64n"), "k16")
	n, err := strconv.Atoi(digits)
	half := typ{'h', 16, false}
	if !is || err != nil || n < 8 || n > 256 || n%8 != 0 || !slices.Equal(c.types(), []typ{{'f', 32, false}, half, half}) {
		c.fail("this form is not simulated")
		return
	}
	inRegisters := strings.HasPrefix(c.operand(1), "{")
	operands := 8
	if inRegisters {
		operands = 7
	}
	if !c.count(operands, operands) {
		return
	}
	if c.operand(4) != "1" || c.operand(5) != "1" {
		c.fail("scales other than 1 are not simulated")
		return
	}
	for _, o := range c.raw.operands[6:] {
		if o != "0" && o != "1" {
			c.fail("%q: want 0 or 1 for a side's direction", o)
			return
		}
	}
	f := &wgmmaForm{columns: n, acrossA: c.operand(6) == "1", acrossB: c.operand(operands-1) == "1"}
	f.d, _ = c.registersOf(0, typ{'f', 32, false}, true)
	c.in.results = [classes][]int{} // not before the wait
	b64 := typ{'b', 64, false}
	a := -1
	if inRegisters {
		f.left, _ = c.registersOf(1, typ{'b', 32, false}, false)
	} else {
		a = c.source(1, b64)
	}
	if len(f.d) != n/2 || inRegisters && len(f.left) != 4 {
		c.fail("%d registers of the result and %d of a side: want %d and 4", len(f.d), len(f.left), n/2)
		return
	}
	b, add := c.source(2, b64), c.truth(3)
	c.kernel.accumulators = append(append(c.kernel.accumulators, f.d...), f.left...)
	c.in.accumulates = true
	c.in.run = func(w *warp, _ uint32) {
		w.block.stats.Products++
		left := uint64(0)
		if a >= 0 {
			left = w.uniform(a)
		}
		w.start64(f, left, w.uniform(b), add(w)&1 != 0)
	}
}

// uniform is a value that all lanes must have.
func (w *warp) uniform(r int) uint64 {
	for lane, v := range &w.r64[r] {
		if v != w.r64[r][0] {
			w.fault(BarrierFault, lane, "the lanes of a warpgroup have different matrix descriptors")
		}
	}
	return w.r64[r][0]
}

// registers are all that a product has.
func (f *wgmmaForm) registers() []int { return slices.Concat(f.d, f.left) }

// hold finds the instructions that touch registers of products, so that each
// can be held to the order that those ask for.
func (k *Kernel) hold() {
	if len(k.accumulators) == 0 {
		return
	}
	is := map[int]bool{}
	for _, r := range k.accumulators {
		is[r] = true
	}
	for i := range k.code {
		in := &k.code[i]
		if in.accumulates {
			continue
		}
		for _, r := range slices.Concat(in.sources[word32], in.results[word32]) {
			if is[r] && !slices.Contains(in.held, r) {
				in.held = append(in.held, r)
			}
		}
	}
}

// touchHeld notes that an instruction touches registers of products.
func (w *warp) touchHeld(in *instruction) {
	for _, r := range in.held {
		if w.wgmma.busy[r] > 0 {
			w.fault(InFlight, -1, "a register of a wgmma (%s) that was not waited for", w.block.kernel.code[w.latest(r)].where())
		}
		w.wgmma.touched[r] = true
	}
}

// latest is the place of the first product under way that has a register.
func (w *warp) latest(r int) int {
	for _, p := range w.wgmma.flying {
		if slices.Contains(p.registers(), r) {
			return p.pc
		}
	}
	return w.pc
}

// start64 begins a product.
func (w *warp) start64(f *wgmmaForm, a, b uint64, add bool) {
	w.agreeOn(issue{w.pc, a, b, add})
	if !w.wgmma.fenced {
		w.fault(Unfenced, -1, "the first wgmma without a wgmma.fence before it")
	}
	for _, r := range f.registers() {
		if w.wgmma.touched[r] {
			w.fault(Unfenced, -1, "a register was touched after the last wgmma.fence")
		}
		w.wgmma.busy[r]++
	}
	for _, r := range f.d {
		if add && w.wgmma.busy[r] == 1 && w.written[word32][r] != everyLane {
			w.unwritten(everyLane &^ w.written[word32][r])
		}
	}
	p := wgmma{wgmmaForm: f, b: w.operandOf(b, f.acrossB), add: add, group: w.wgmma.open, pc: w.pc}
	if f.left == nil {
		p.a = w.operandOf(a, f.acrossA)
	}
	p.chunks(w, func(at int) { w.lend(at) })
	w.wgmma.flying = append(w.wgmma.flying, p)
}

// agreeOn faults where a warp of the four starts another product than the first
// that came here.
func (w *warp) agreeOn(i issue) {
	g := w.id / 4
	if g*4+4 > len(w.block.warps) {
		w.fault(BarrierFault, -1, "a wgmma by fewer than four warps")
	}
	all := &w.block.issues[g]
	if w.wgmma.issued == len(*all) {
		*all = append(*all, i)
	} else if first := (*all)[w.wgmma.issued]; first != i {
		w.fault(BarrierFault, -1, "the warps of a warpgroup start different products: another is at %s", w.block.kernel.code[first.pc].where())
	}
	w.wgmma.issued++
}

// chunks visits the shared memory that a warp's rows of a product take.
func (p *wgmma) chunks(w *warp, visit func(at int)) {
	if p.left == nil {
		p.a.chunks(w.id%4*16, 16, func(at, _, _ int) { visit(at) })
	}
	p.b.chunks(0, p.columns, func(at, _, _ int) { visit(at) })
}

// asyncRead is a product's access to a chunk.
var asyncRead = &access{space: shared, bytes: 16, many: true}

// lend checks a chunk that a product is to read and keeps others from writing
// there.
func (w *warp) lend(at int) {
	b := w.block
	if at < reserved || at+16 > len(b.shared) {
		w.fault(OutOfBounds, -1, "shared address %#x of a wgmma: the block has %d from %#x on", at, len(b.shared)-reserved, reserved)
	}
	if b.grid.sim.Races {
		w.checkShared(asyncRead, at, 0)
	}
	if missing := b.filled.missing(at, 16); missing >= 0 {
		w.fault(Unwritten, -1, "shared memory at %#x is read before it is written", missing)
	}
	if b.plain.any(at, 16) {
		w.fault(Unfenced, -1, "shared memory at %#x was written with no fence.proxy.async after it", at)
	}
	b.lent[at>>4] |= 1 << w.id
}

// overwrite checks and notes a plain write to shared memory.
func (w *warp) overwrite(at, bytes, lane int) {
	b := w.block
	for i := at >> 4; i<<4 < at+bytes; i++ {
		if by := b.lent[i]; by != 0 {
			w.fault(InFlight, lane, "shared word %#x is written while a wgmma of warp %d reads it: no wait_group between", at, firstLane(by))
		}
	}
	w.wrotePlain(at, bytes, lane)
}

// wrotePlain notes bytes that no product sees before a fence of the proxies.
func (w *warp) wrotePlain(at, bytes, lane int) {
	w.block.plain.set(at, bytes)
	w.wgmma.plain = append(w.wgmma.plain, span{lane, at, bytes})
}

// proxyFence shows products what the lanes have written so far.
func (w *warp) proxyFence(lanes uint32) {
	kept := w.wgmma.plain[:0]
	for _, s := range w.wgmma.plain {
		if lanes>>s.lane&1 == 0 {
			kept = append(kept, s)
			continue
		}
		w.block.plain.unset(s.at, s.bytes)
	}
	w.wgmma.plain = kept
}

// finish makes the products of all but the last n groups.
func (w *warp) finish(n uint32) {
	b := w.block
	kept := w.wgmma.flying[:0]
	for _, p := range w.wgmma.flying {
		if p.group+n >= w.wgmma.open {
			kept = append(kept, p)
			continue
		}
		w.multiply64(&p)
		p.chunks(w, func(at int) {
			b.lent[at>>4] &^= 1 << w.id
			if b.grid.sim.Races {
				w.checkShared(asyncRead, at, 0) // what comes next comes after the read's end
			}
		})
		for _, r := range p.d {
			w.written[word32][r] = everyLane
		}
		for _, r := range p.registers() {
			w.wgmma.busy[r]--
		}
	}
	w.wgmma.flying = kept
	for _, p := range kept {
		p.chunks(w, func(at int) { b.lent[at>>4] |= 1 << w.id })
	}
	w.tick()
}

// multiply64 makes a warp's 16 rows of a product. Registers 4j to 4j+3 have
// columns 8j to 8j+7 as the accumulators of mma.m16n8k16 have them.
func (w *warp) multiply64(p *wgmma) {
	var left [16][16]float32
	if p.left != nil {
		gatherLeft(&left, w, p.left, typ{'h', 16, false}, nil)
	} else {
		p.a.numbers(w.block.shared, w.id%4*16, 16, func(v, k int, x float32) { left[v&15][k&15] = x })
	}
	for j := 0; j < p.columns; j += 8 {
		var right [16][8]float32
		p.b.numbers(w.block.shared, j, 8, func(v, k int, x float32) { right[k&15][v&7] = x })
		d := p.d[j/2 : j/2+4]
		e := d
		if !p.add {
			e = nil
		}
		w.multiplyTile(d, e, &left, depth, &right, w.block.grid.sim.Arithmetic.Wgmma)
	}
}
