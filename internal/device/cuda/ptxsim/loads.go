package ptxsim

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strings"
)

func memoryOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){
		"ld": buildLoad, "ldu": buildLoad, "st": buildStore,
		"atom": buildAtomic, "red": buildAtomic,
		"prefetch": func(*compiler) {}, "prefetchu": func(*compiler) {}, "discard": func(*compiler) {}, "applypriority": func(*compiler) {},
		"isspacep": buildIsSpace,
	}
}

// place is an address operand: a register, or none, and an offset.
type place struct {
	wide   bool
	reg    int // -1 for none
	offset uint64
}

// place reads "[%rd1+8]", "[name]" and "[name+8]".
func (c *compiler) place(i int) place {
	text := strings.TrimSuffix(strings.TrimPrefix(c.operand(i), "["), "]")
	return c.placeText(strings.TrimSpace(text))
}

func (c *compiler) placeText(text string) place {
	name, plus, _ := strings.Cut(text, "+")
	p := place{reg: -1}
	if plus != "" {
		n, err := parseNumber(strings.TrimSpace(plus), 64)
		c.keep(err)
		p.offset = n
	}
	name = strings.TrimSpace(name)
	if d, _ := c.raw.scope.find(name); d != nil {
		p.wide = d.class == word64
		p.reg = c.register(name, d.class, false)
		return p
	}
	if v := c.variable(name); v != nil {
		p.offset += v.address()
		return p
	}
	n, err := parseNumber(name, 64)
	if err != nil {
		c.fail("address %q is not known", name)
	}
	p.offset += n
	return p
}

// to puts the lanes' addresses into the warp.
func (p place) to(w *warp) {
	switch {
	case p.reg < 0:
		fill(&w.addresses, p.offset)
	case p.wide:
		for i, v := range &w.r64[p.reg] {
			w.addresses[i] = v + p.offset
		}
	default:
		for i, v := range &w.r32[p.reg] {
			w.addresses[i] = uint64(v + uint32(p.offset))
		}
	}
}

// spaceOf reads the space of an instruction's modifiers.
func (c *compiler) spaceOf() space {
	for _, m := range c.raw.mods {
		switch name, _, _ := strings.Cut(m, "::"); name {
		case "global", "const":
			return global
		case "shared":
			return shared
		case "local":
			return local
		case "param":
			return param
		}
	}
	return generic
}

// grain makes the race checker's cells of a space no larger than an access.
func (c *compiler) grain(s space, size int) {
	fit := uint(bits.TrailingZeros(uint(size)))
	for _, t := range []space{global, shared} {
		if s == t || s == generic {
			c.kernel.cell[t] = min(c.kernel.cell[t], fit)
		}
	}
}

// cacheHints do not matter here.
var memoryModifiers = []string{"global", "const", "shared", "shared::cta", "local", "param", "v2", "v4", "nc", "weak", "volatile", "relaxed", "acquire", "release",
	"cta", "gpu", "sys", "ca", "cg", "cs", "cv", "lu", "wb", "wt",
	"L1::no_allocate", "L1::evict_first", "L1::evict_last", "L1::evict_normal", "L1::evict_unchanged", "L2::64B", "L2::128B", "L2::256B"}

func (c *compiler) strong() bool {
	return c.has("volatile") || c.has("relaxed") || c.has("acquire") || c.has("release")
}

// registersOf resolves the members of a vector of a memory type; registers may
// be wider than it.
func (c *compiler) registersOf(i int, t typ, write bool) (all []int, wide []bool) {
	for _, m := range vector(c.operand(i)) {
		of := c.classOf(m, t.class())
		r := typ{t.kind, map[class]int{word32: 32, word64: 64, predicate: 1}[of], false}
		if t.bits < 32 && of == word32 {
			r.bits = t.bits
		}
		if write {
			all = append(all, c.resultText(m, r))
		} else {
			all = append(all, c.sourceText(m, r))
		}
		wide = append(wide, of == word64)
	}
	return all, wide
}

func buildLoad(c *compiler) {
	c.only(memoryModifiers...)
	t, s := c.last(), c.spaceOf()
	if !c.count(2, 2) {
		return
	}
	if s == param {
		c.loadParam(t)
		return
	}
	from := c.place(1)
	to, wide := c.registersOf(0, t, true)
	size := t.bits / 8
	c.grain(s, size)
	a := &access{space: s, bytes: size * len(to), atomic: c.strong()}
	if t == (typ{'f', 32, false}) || t.bits == 32 && !wide[0] {
		c.in.run = func(w *warp, lanes uint32) {
			from.to(w)
			memory := w.touch(a, lanes)
			for m := lanes; m != 0; m &= m - 1 {
				i := bits.TrailingZeros32(m) & 31
				b := memory[i]
				for j, r := range to {
					w.r32[r][i] = binary.LittleEndian.Uint32(b[4*j:])
				}
			}
		}
		return
	}
	// An integer is extended to its register.
	fit := typ{t.kind, c.bitsOf(vector(c.operand(0))[0], t), false}
	c.in.run = func(w *warp, lanes uint32) {
		from.to(w)
		memory := w.touch(a, lanes)
		for m := lanes; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			for j, r := range to {
				v := t.extend(read(memory[i][j*size:], size))
				if wide[j] {
					w.r64[r][i] = v
				} else {
					w.r32[r][i] = uint32(fit.cut(v))
				}
			}
		}
	}
}

func read(b []byte, size int) uint64 {
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

func write(b []byte, size int, v uint64) {
	switch size {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	default:
		binary.LittleEndian.PutUint64(b, v)
	}
}

// loadParam reads from an argument.
func (c *compiler) loadParam(t typ) {
	text := strings.Trim(c.operand(1), "[] ")
	name, plus, _ := strings.Cut(text, "+")
	v := c.kernel.params[name]
	if v == nil {
		c.fail("parameter %q is not known", name)
		return
	}
	offset := 0
	if plus != "" {
		n, err := parseNumber(plus, 32)
		c.keep(err)
		offset = int(n)
	}
	to, wide := c.registersOf(0, t, true)
	size := t.bits / 8
	if offset+size*len(to) > v.size {
		c.fail("%d bytes at %d of a parameter of %d", size*len(to), offset, v.size)
		return
	}
	c.in.run = func(w *warp, lanes uint32) {
		for j, r := range to {
			at := v.offset + offset + j*size
			bits := t.extend(w.block.grid.args[at/8] >> (8 * (at & 7)))
			for i := range width {
				if lanes>>i&1 == 0 {
					continue
				}
				if wide[j] {
					w.r64[r][i] = bits
				} else {
					w.r32[r][i] = uint32(t.cut(bits))
				}
			}
		}
	}
}

func buildStore(c *compiler) {
	c.only(memoryModifiers...)
	t, s := c.last(), c.spaceOf()
	if !c.count(2, 2) {
		return
	}
	if s == param {
		c.fail("calls are not simulated")
		return
	}
	to := c.place(0)
	from, wide := c.registersOf(1, t, false)
	size := t.bits / 8
	c.grain(s, size)
	a := &access{space: s, bytes: size * len(from), write: true, atomic: c.strong()}
	put := func(w *warp, lane int, b []byte) {
		for j, r := range from {
			if wide[j] {
				write(b[j*size:], size, w.r64[r][lane])
			} else {
				write(b[j*size:], size, uint64(w.r32[r][lane]))
			}
		}
	}
	c.in.run = func(w *warp, lanes uint32) {
		to.to(w)
		memory := w.touch(a, lanes)
		if w.block.collision {
			w.agree(lanes, func(lane int) []byte {
				b := make([]byte, a.bytes)
				put(w, lane, b)
				return b
			})
		}
		for m := lanes; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			put(w, i, memory[i])
		}
	}
}

// buildAtomic makes atom.space.op.type d, [a], b[, c] and red without d.
func buildAtomic(c *compiler) {
	returns := c.raw.base == "atom"
	t, s := c.last(), c.spaceOf()
	op := ""
	for _, m := range c.raw.mods {
		switch m {
		case "add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec":
			op = m
		}
	}
	first := 0
	if returns {
		first = 1
	}
	least := first + 2
	if op == "cas" {
		least++
	}
	c.only(append(memoryModifiers, "add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec", "acq_rel", "noftz")...)
	if !c.count(least, least) {
		return
	}
	f := c.atomicOp(op, t)
	if f == nil {
		c.fail("this operation is not simulated")
		return
	}
	at, b := c.place(first), c.source(first+1, t)
	e, d := b, -1
	if op == "cas" {
		e = c.source(first+2, t)
	}
	if returns {
		d = c.result(0, t)
	}
	size := t.bits / 8
	c.grain(s, size)
	a := &access{space: s, bytes: size, write: true, atomic: true}
	c.in.run = func(w *warp, lanes uint32) {
		at.to(w)
		g := w.block.grid
		g.atomics.Lock()
		defer g.atomics.Unlock()
		w.block.stats.Atomics++
		inShared := w.resolve(s, lanes) == shared
		memory := w.touch(&access{w.resolve(s, lanes), a.bytes, true, true, false}, lanes)
		for i := range width {
			if lanes>>i&1 == 0 {
				continue
			}
			if !inShared {
				w.synchronise(w.addresses[i])
			}
			old := read(memory[i], size)
			if t.bits == 64 {
				write(memory[i], size, f(old, w.r64[b][i], w.r64[e][i]))
			} else {
				write(memory[i], size, f(old, uint64(w.r32[b][i]), uint64(w.r32[e][i])))
			}
			switch {
			case d < 0:
			case t.bits == 64:
				w.r64[d][i] = old
			default:
				w.r32[d][i] = uint32(old)
			}
		}
	}
}

// atomicOp returns the new value of the old one and one or two operands.
func (c *compiler) atomicOp(op string, t typ) func(old, b, e uint64) uint64 {
	if t.float() && op != "exch" {
		return floatAtomic(op, t)
	}
	switch op {
	case "add":
		return func(old, b, _ uint64) uint64 { return old + b }
	case "and":
		return func(old, b, _ uint64) uint64 { return old & b }
	case "or":
		return func(old, b, _ uint64) uint64 { return old | b }
	case "xor":
		return func(old, b, _ uint64) uint64 { return old ^ b }
	case "exch":
		return func(_, b, _ uint64) uint64 { return b }
	case "cas":
		return func(old, b, e uint64) uint64 {
			if old == b {
				return e
			}
			return old
		}
	case "min", "max":
		return func(old, b, _ uint64) uint64 {
			if t.less(t.extend(b), t.extend(old)) == (op == "min") {
				return b
			}
			return old
		}
	case "inc":
		return func(old, b, _ uint64) uint64 {
			if old >= b {
				return 0
			}
			return old + 1
		}
	case "dec":
		return func(old, b, _ uint64) uint64 {
			if old == 0 || old > b {
				return b
			}
			return old - 1
		}
	}
	return nil
}

func floatAtomic(op string, t typ) func(old, b, e uint64) uint64 {
	if op != "add" {
		return nil
	}
	if t.bits == 64 {
		return func(old, b, _ uint64) uint64 {
			return math.Float64bits(math.Float64frombits(old) + math.Float64frombits(b))
		}
	}
	l := t.layout()
	add := func(a, b uint32) uint32 { return l.encode(l.decode(a)+l.decode(b), nearestEven) }
	if t.pair {
		one := add
		add = func(a, b uint32) uint32 { return one(a&0xffff, b&0xffff) | one(a>>16, b>>16)<<16 }
	}
	return func(old, b, _ uint64) uint64 { return uint64(add(uint32(old), uint32(b))) }
}

// buildIsSpace makes isspacep.space p, a.
func buildIsSpace(c *compiler) {
	s := c.spaceOf()
	a, d := c.source(1, typ{'u', 64, false}), c.result(0, typ{'p', 1, false})
	want := map[space]uint64{global: 0, shared: sharedAt >> 56, local: localAt >> 56}[s]
	c.in.run = test2(func(a, _ uint64) bool { return a>>56 == want },
		func(w *warp, lanes, yes uint32) { w.setPredicate(d, lanes, yes) }, a, a)
}
