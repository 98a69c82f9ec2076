package ptxsim

import "math/bits"

// logic builds a bitwise operation, of predicates too.
func logic(f func(a, b uint64) uint64, of32 func(a, b uint32) uint32) func(c *compiler) {
	return func(c *compiler) {
		t := c.last()
		if t.kind != 'p' {
			c.words(typ{'b', t.bits, false}, f, of32)
			return
		}
		if !c.count(3, 3) {
			return
		}
		a, b, d := c.truth(1), c.truth(2), c.result(0, t)
		c.in.run = func(w *warp, lanes uint32) {
			w.setPredicate(d, lanes, uint32(f(uint64(a(w)), uint64(b(w)))))
		}
	}
}

// truth returns the lanes for which an operand holds: a predicate, its
// negation or a constant.
func (c *compiler) truth(i int) func(w *warp) uint32 {
	text := c.operand(i)
	if d, _ := c.raw.scope.find(text); d == nil && text != "" && text[0] != '!' {
		bits, err := parseNumber(text, 32)
		c.keep(err)
		all := uint32(0)
		if bits != 0 {
			all = everyLane
		}
		return func(*warp) uint32 { return all }
	}
	if text != "" && text[0] == '!' {
		p := c.register(text[1:], predicate, false)
		return func(w *warp) uint32 { return ^w.p[p] }
	}
	p := c.register(text, predicate, false)
	return func(w *warp) uint32 { return w.p[p] }
}

func (w *warp) setPredicate(d int, lanes, yes uint32) { w.p[d] = w.p[d]&^lanes | yes&lanes }

func buildNot(c *compiler) {
	t := c.last()
	if t.kind == 'p' {
		a, d := c.truth(1), c.result(0, t)
		c.in.run = func(w *warp, lanes uint32) { w.setPredicate(d, lanes, ^a(w)) }
		return
	}
	c.unary(t, func(v uint32) uint32 { return uint32(t.cut(uint64(^v))) }, func(v uint64) uint64 { return ^v })
}

func buildCnot(c *compiler) {
	c.unary(c.last(), func(v uint32) uint32 { return one(v == 0) }, func(v uint64) uint64 { return uint64(one(v == 0)) })
}

func one(yes bool) uint32 {
	if yes {
		return 1
	}
	return 0
}

// shift builds a shift by an amount of 32 bits; amounts beyond the width are
// clamped to it. Whole is the shift of a word of 32 bits.
func (c *compiler) shift(t typ, f func(v uint64, n uint32) uint64, whole func(v, n uint32) uint32) {
	if !c.count(3, 3) {
		return
	}
	a, n, d := c.source(1, t), c.source(2, typ{'u', 32, false}), c.result(0, t)
	clamp := func(n uint32) uint32 { return min(n, uint32(t.bits)) }
	switch t.bits {
	case 64:
		c.in.run = map2(func(v uint64, n uint32) uint64 { return f(v, clamp(n)) }, d, a, n)
	case 32: // a shift by more than its bits is what clamping makes of it
		c.in.run = map2(whole, d, a, n)
	default:
		c.in.run = map2(func(v, n uint32) uint32 { return uint32(t.cut(f(t.extend(uint64(v)), clamp(n)))) }, d, a, n)
	}
}

func buildShl(c *compiler) {
	c.shift(c.last(), func(v uint64, n uint32) uint64 { return v << n }, func(v, n uint32) uint32 { return v << n })
}

func buildShr(c *compiler) {
	t := c.last()
	if t.signed() {
		c.shift(t, func(v uint64, n uint32) uint64 { return uint64(int64(v) >> n) }, func(v, n uint32) uint32 { return uint32(int32(v) >> n) })
		return
	}
	c.shift(t, func(v uint64, n uint32) uint64 { return v >> n }, func(v, n uint32) uint32 { return v >> n })
}

// buildShf makes shf.{l,r}.{clamp,wrap}.b32 d, a, b, c: a shift of the 64 bits
// b:a.
func buildShf(c *compiler) {
	c.only("l", "r", "clamp", "wrap")
	left, clamp := c.has("l"), c.has("clamp")
	f := func(a, b, n uint32) uint32 {
		if clamp {
			n = min(n, 32)
		} else {
			n &= 31
		}
		v := uint64(b)<<32 | uint64(a)
		if left {
			return uint32(v << n >> 32)
		}
		return uint32(v >> n)
	}
	c.ternary(c.last(), f, nil)
}

func buildBfe(c *compiler) {
	t := c.last()
	f := func(v uint64, pos, n uint32) uint64 { return t.field(v, pos&0xff, n&0xff) }
	if !c.count(4, 4) {
		return
	}
	u := typ{'u', 32, false}
	a, p, n, d := c.source(1, t), c.source(2, u), c.source(3, u), c.result(0, t)
	if t.bits == 64 {
		c.in.run = map3(f, d, a, p, n)
		return
	}
	c.in.run = map3(func(v, p, n uint32) uint32 { return uint32(f(uint64(v), p, n)) }, d, a, p, n)
}

// field extracts bits as bfe's pseudocode does: above the field stands its
// sign, which for a field past the top is the top bit.
func (t typ) field(v uint64, pos, n uint32) uint64 {
	top := uint32(t.bits - 1)
	sign := uint64(0)
	if t.signed() && n > 0 {
		sign = v >> min(pos+n-1, top) & 1
	}
	if have := min(n, top+1-min(pos, top+1)); have < uint32(t.bits) {
		inside := uint64(1)<<have - 1
		return t.cut(v>>pos&inside | -sign&^inside)
	}
	return v
}

// buildBfi makes bfi.b32 f, a, b, c, d: n lower bits of a into b from pos on.
func buildBfi(c *compiler) {
	t := c.last()
	f := func(a, b uint64, pos, n uint32) uint64 {
		pos, n = pos&0xff, n&0xff
		for i := uint32(0); i < n && pos+i < uint32(t.bits); i++ {
			b = b&^(1<<(pos+i)) | a>>i&1<<(pos+i)
		}
		return b
	}
	if !c.count(5, 5) {
		return
	}
	u := typ{'u', 32, false}
	a, b, p, n, d := c.source(1, t), c.source(2, t), c.source(3, u), c.source(4, u), c.result(0, t)
	c.in.run = func(w *warp, lanes uint32) {
		for i := range width {
			if lanes>>i&1 == 0 {
				continue
			}
			pos, n := w.r32[p][i], w.r32[n][i]
			if t.bits == 64 {
				w.r64[d][i] = f(w.r64[a][i], w.r64[b][i], pos, n)
			} else {
				w.r32[d][i] = uint32(f(uint64(w.r32[a][i]), uint64(w.r32[b][i]), pos, n))
			}
		}
	}
}

// buildPrmt makes prmt.b32 d, a, b, selector.
func buildPrmt(c *compiler) {
	mode := ""
	if n := len(c.raw.mods); n > 1 {
		mode = c.raw.mods[n-1]
	}
	c.only("f4e", "b4e", "rc8", "ecl", "ecr", "rc16")
	f := func(a, b, s uint32) uint32 {
		v := uint64(b)<<32 | uint64(a)
		var d uint32
		for i := range uint32(4) {
			pick := prmtPick(mode, s, i)
			byteOf := uint32(v>>(8*(pick&7))) & 0xff
			if pick&8 != 0 {
				byteOf = byteOf >> 7 * 0xff
			}
			d |= byteOf << (8 * i)
		}
		return d
	}
	c.ternary(typ{'b', 32, false}, f, nil)
}

// prmtPick is the byte that prmt puts at place i, by the manual's table.
func prmtPick(mode string, s, i uint32) uint32 {
	n := s & 3
	switch mode {
	case "f4e":
		return n + i
	case "b4e":
		return (n + 8 - i) & 7
	case "rc8":
		return n
	case "ecl":
		return max(i, n)
	case "ecr":
		return min(i, n)
	case "rc16":
		return n&1*2 + i&1
	}
	return s >> (4 * i) & 0xf
}

// buildLop3 makes lop3.b32 d, a, b, c, table.
func buildLop3(c *compiler) {
	t := c.last()
	if !c.count(5, 5) {
		return
	}
	table, err := c.immediate(c.operand(4), t)
	c.keep(err)
	c.raw.operands = c.raw.operands[:4]
	c.ternary(t, func(a, b, e uint32) uint32 {
		var d uint32
		for i := range 8 {
			if table>>i&1 == 0 {
				continue
			}
			d |= flip(a, i&4 == 0) & flip(b, i&2 == 0) & flip(e, i&1 == 0)
		}
		return d
	}, nil)
}

func flip(v uint32, yes bool) uint32 {
	if yes {
		return ^v
	}
	return v
}

// countBits builds a function to a result of 32 bits.
func countBits(f func(v uint64, bits int) uint32) func(c *compiler) {
	return func(c *compiler) {
		t := c.last()
		a, d := c.source(1, t), c.result(0, typ{'u', 32, false})
		if t.bits == 64 {
			c.in.run = map1(func(v uint64) uint32 { return f(v, 64) }, d, a)
			return
		}
		c.in.run = map1(func(v uint32) uint32 { return f(uint64(v), 32) }, d, a)
	}
}

// buildBfind makes bfind: the place of the highest bit unlike the sign.
func buildBfind(c *compiler) {
	t := c.last()
	c.only("shiftamt")
	amount := c.has("shiftamt")
	a, d := c.source(1, t), c.result(0, typ{'u', 32, false})
	f := func(v uint64) uint32 {
		if t.signed() && int64(v) < 0 {
			v = ^v
		}
		n := uint32(bits.Len64(t.cut(v))) - 1
		if amount && n != ^uint32(0) {
			return uint32(t.bits) - 1 - n
		}
		return n
	}
	if t.bits == 64 {
		c.in.run = map1(f, d, a)
		return
	}
	c.in.run = map1(func(v uint32) uint32 { return f(t.extend(uint64(v))) }, d, a)
}

func buildSad(c *compiler) {
	t := c.last()
	f := func(a, b, e uint64) uint64 {
		if t.less(a, b) {
			a, b = b, a
		}
		return a - b + e
	}
	c.ternary(t, func(a, b, e uint32) uint32 {
		return uint32(t.cut(f(t.extend(uint64(a)), t.extend(uint64(b)), uint64(e))))
	}, f)
}

// buildDp4a makes dp4a.atype.btype d, a, b, c.
func buildDp4a(c *compiler) {
	types := c.types()
	if len(types) != 2 {
		c.fail("want two types")
		return
	}
	ta, tb := typ{types[0].kind, 8, false}, typ{types[1].kind, 8, false}
	c.ternary(types[0], func(a, b, e uint32) uint32 {
		for i := range 4 {
			e += uint32(ta.extend(uint64(a>>(8*i))) * tb.extend(uint64(b>>(8*i))))
		}
		return e
	}, nil)
}

func buildMul24(c *compiler) {
	t := c.last()
	c.only("lo", "hi")
	narrow := typ{t.kind, 24, false}
	shift := 0
	if c.has("hi") {
		shift = 16
	}
	f := func(a, b uint32) uint32 {
		return uint32(narrow.extend(uint64(a)) * narrow.extend(uint64(b)) >> shift)
	}
	if c.raw.base == "mad24" {
		c.ternary(t, func(a, b, e uint32) uint32 { return f(a, b) + e }, nil)
		return
	}
	c.binary(t, f, nil)
}
