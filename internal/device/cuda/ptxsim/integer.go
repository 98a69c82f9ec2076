package ptxsim

import "math/bits"

func integerOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){
		"add": arithmetic(intAdd, floatAdd), "sub": arithmetic(intSub, floatSub),
		"mul": arithmetic(intMul, floatMul), "mad": arithmetic(intMad, floatFma), "fma": arithmetic(nil, floatFma),
		"div": arithmetic(intDiv, floatDiv), "rem": arithmetic(intRem, nil),
		"abs": arithmetic(intAbs, floatAbs), "neg": arithmetic(intNeg, floatNeg),
		"min": arithmetic(intMin, floatMin), "max": arithmetic(intMax, floatMax),
		"and": logic(func(a, b uint64) uint64 { return a & b }),
		"or":  logic(func(a, b uint64) uint64 { return a | b }),
		"xor": logic(func(a, b uint64) uint64 { return a ^ b }),
		"not": buildNot, "cnot": buildCnot,
		"shl": buildShl, "shr": buildShr, "shf": buildShf,
		"bfe": buildBfe, "bfi": buildBfi, "prmt": buildPrmt, "lop3": buildLop3,
		"popc": countBits(func(v uint64, _ int) uint32 { return uint32(bits.OnesCount64(v)) }),
		"clz":  countBits(func(v uint64, n int) uint32 { return uint32(bits.LeadingZeros64(v) - 64 + n) }),
		"brev": func(c *compiler) { c.unary(c.last(), bits.Reverse32, bits.Reverse64) },
		"sad":  buildSad, "dp4a": buildDp4a, "mul24": buildMul24, "mad24": buildMul24, "bfind": buildBfind,
	}
}

// arithmetic picks by the last type.
func arithmetic(integer, float func(c *compiler, t typ)) func(c *compiler) {
	return func(c *compiler) {
		t := c.last()
		build := integer
		if t.float() {
			build = float
		}
		if build == nil {
			c.fail("this type is not simulated")
			return
		}
		build(c, t)
	}
}

// extend reads the lower bits of a word as the type says.
func (t typ) extend(v uint64) uint64 {
	shift := 64 - t.bits
	if t.signed() {
		return uint64(int64(v<<shift) >> shift)
	}
	return v << shift >> shift
}

// cut keeps the bits of the type.
func (t typ) cut(v uint64) uint64 { return v << (64 - t.bits) >> (64 - t.bits) }

// ints builds an operation of two integers given on extended values.
func (c *compiler) ints(t typ, f func(a, b uint64) uint64) {
	narrow := func(a, b uint32) uint32 { return uint32(t.cut(f(t.extend(uint64(a)), t.extend(uint64(b))))) }
	switch {
	case t.bits == 32 && t.signed():
		narrow = func(a, b uint32) uint32 { return uint32(f(uint64(int32(a)), uint64(int32(b)))) }
	case t.bits == 32:
		narrow = func(a, b uint32) uint32 { return uint32(f(uint64(a), uint64(b))) }
	}
	c.binary(t, narrow, f)
}

func intAdd(c *compiler, t typ) {
	c.only("sat")
	if !c.count(3, 3) {
		return
	}
	switch {
	case c.has("sat"):
		c.ints(t, func(a, b uint64) uint64 { return uint64(min(max(int64(a)+int64(b), -1<<31), 1<<31-1)) })
	case t.bits == 32:
		c.in.run = add32(c.result(0, t), c.source(1, t), c.source(2, t))
	case t.bits == 64:
		c.in.run = add64(c.result(0, t), c.source(1, t), c.source(2, t))
	default:
		c.ints(t, func(a, b uint64) uint64 { return a + b })
	}
}

// add32 and add64 are written out: they are the most frequent instructions.
func add32(d, a, b int) runner {
	plain := map2(func(a, b uint32) uint32 { return a + b }, d, a, b)
	return func(w *warp, lanes uint32) {
		if lanes != everyLane {
			plain(w, lanes)
			return
		}
		d, a, b := &w.r32[d], &w.r32[a], &w.r32[b]
		for i := range d {
			d[i] = a[i] + b[i]
		}
	}
}

func add64(d, a, b int) runner {
	plain := map2(func(a, b uint64) uint64 { return a + b }, d, a, b)
	return func(w *warp, lanes uint32) {
		if lanes != everyLane {
			plain(w, lanes)
			return
		}
		d, a, b := &w.r64[d], &w.r64[a], &w.r64[b]
		for i := range d {
			d[i] = a[i] + b[i]
		}
	}
}

func intSub(c *compiler, t typ) {
	c.only("sat")
	if c.has("sat") {
		c.ints(t, func(a, b uint64) uint64 { return uint64(min(max(int64(a)-int64(b), -1<<31), 1<<31-1)) })
		return
	}
	c.ints(t, func(a, b uint64) uint64 { return a - b })
}

// high is the upper half of a product.
func (t typ) high(a, b uint64) uint64 {
	if t.bits < 64 {
		return a * b >> t.bits
	}
	h, _ := bits.Mul64(a, b)
	if t.signed() {
		h -= uint64(int64(a)>>63)&b + uint64(int64(b)>>63)&a
	}
	return h
}

func intMul(c *compiler, t typ) {
	c.only("lo", "hi", "wide")
	switch {
	case c.has("wide"):
		c.wide(t, false)
	case c.has("hi"):
		c.ints(t, t.high)
	default:
		c.ints(t, func(a, b uint64) uint64 { return a * b })
	}
}

// wide builds mul.wide and mad.wide, whose result has twice the bits.
func (c *compiler) wide(t typ, plus bool) {
	if t.bits > 32 {
		c.fail("this width is not simulated")
		return
	}
	double := typ{t.kind, 2 * t.bits, false}
	a, b := c.source(1, t), c.source(2, t)
	sum := -1
	if plus {
		sum = c.source(3, double)
	}
	d := c.result(0, double)
	f := func(a, b uint32) uint64 { return t.extend(uint64(a)) * t.extend(uint64(b)) }
	switch {
	case t.bits == 32 && plus:
		c.in.run = map3(func(a, b uint32, e uint64) uint64 { return f(a, b) + e }, d, a, b, sum)
	case t.bits == 32:
		c.in.run = map2(f, d, a, b)
	case plus:
		c.in.run = map3(func(a, b, e uint32) uint32 { return uint32(f(a, b)) + e }, d, a, b, sum)
	default:
		c.in.run = map2(func(a, b uint32) uint32 { return uint32(f(a, b)) }, d, a, b)
	}
}

func intMad(c *compiler, t typ) {
	c.only("lo", "hi", "wide")
	f := func(a, b, e uint64) uint64 { return a*b + e }
	if c.has("hi") {
		f = func(a, b, e uint64) uint64 { return t.high(a, b) + e }
	}
	if c.has("wide") {
		c.wide(t, true)
		return
	}
	narrow := func(a, b, e uint32) uint32 {
		return uint32(t.cut(f(t.extend(uint64(a)), t.extend(uint64(b)), t.extend(uint64(e)))))
	}
	c.ternary(t, narrow, f)
}

// intDiv divides; a card yields an unspecified value for 0, here all ones.
func intDiv(c *compiler, t typ) {
	c.only()
	c.ints(t, func(a, b uint64) uint64 {
		switch {
		case b == 0:
			return ^uint64(0)
		case t.signed() && int64(b) == -1:
			return -a
		case t.signed():
			return uint64(int64(a) / int64(b))
		}
		return a / b
	})
}

func intRem(c *compiler, t typ) {
	c.only()
	c.ints(t, func(a, b uint64) uint64 {
		switch {
		case b == 0:
			return a
		case t.signed() && int64(b) == -1:
			return 0
		case t.signed():
			return uint64(int64(a) % int64(b))
		}
		return a % b
	})
}

func intAbs(c *compiler, t typ) {
	abs := func(v uint64) uint64 {
		if int64(v) < 0 {
			return -v
		}
		return v
	}
	c.unary(t, func(v uint32) uint32 { return uint32(t.cut(abs(t.extend(uint64(v))))) }, abs)
}

func intNeg(c *compiler, t typ) {
	c.unary(t, func(v uint32) uint32 { return uint32(t.cut(-uint64(v))) }, func(v uint64) uint64 { return -v })
}

func (t typ) less(a, b uint64) bool {
	if t.signed() {
		return int64(a) < int64(b)
	}
	return a < b
}

func intMin(c *compiler, t typ) {
	c.only()
	c.ints(t, func(a, b uint64) uint64 {
		if t.less(b, a) {
			return b
		}
		return a
	})
}

func intMax(c *compiler, t typ) {
	c.only()
	c.ints(t, func(a, b uint64) uint64 {
		if t.less(a, b) {
			return b
		}
		return a
	})
}

// logic builds a bitwise operation, of predicates too.
func logic(f func(a, b uint64) uint64) func(c *compiler) {
	return func(c *compiler) {
		t := c.last()
		if t.kind != 'p' {
			c.ints(typ{'b', t.bits, false}, f)
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
// clamped to it.
func (c *compiler) shift(t typ, f func(v uint64, n uint32) uint64) {
	if !c.count(3, 3) {
		return
	}
	a, n, d := c.source(1, t), c.source(2, typ{'u', 32, false}), c.result(0, t)
	clamp := func(n uint32) uint32 { return min(n, uint32(t.bits)) }
	if t.bits == 64 {
		c.in.run = map2(func(v uint64, n uint32) uint64 { return f(v, clamp(n)) }, d, a, n)
		return
	}
	c.in.run = map2(func(v, n uint32) uint32 { return uint32(t.cut(f(t.extend(uint64(v)), clamp(n)))) }, d, a, n)
}

func buildShl(c *compiler) {
	c.shift(c.last(), func(v uint64, n uint32) uint64 { return v << n })
}

func buildShr(c *compiler) {
	t := c.last()
	if t.signed() {
		c.shift(t, func(v uint64, n uint32) uint64 { return uint64(int64(v) >> n) })
		return
	}
	c.shift(t, func(v uint64, n uint32) uint64 { return v >> n })
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
	var d uint64
	for i := range uint32(t.bits) {
		bit := sign
		if i < n && pos+i <= top {
			bit = v >> (pos + i) & 1
		}
		d |= bit << i
	}
	return d
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
