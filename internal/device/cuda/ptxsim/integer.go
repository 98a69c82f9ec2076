package ptxsim

import "math/bits"

func integerOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){
		"add": arithmetic(intAdd, floatAdd), "sub": arithmetic(intSub, floatSub),
		"mul": arithmetic(intMul, floatMul), "mad": arithmetic(intMad, floatFma), "fma": arithmetic(nil, floatFma),
		"div": arithmetic(intDiv, floatDiv), "rem": arithmetic(intRem, nil),
		"abs": arithmetic(intAbs, floatAbs), "neg": arithmetic(intNeg, floatNeg),
		"min": arithmetic(intMin, floatMin), "max": arithmetic(intMax, floatMax),
		"and": logic(func(a, b uint64) uint64 { return a & b }, func(a, b uint32) uint32 { return a & b }),
		"or":  logic(func(a, b uint64) uint64 { return a | b }, func(a, b uint32) uint32 { return a | b }),
		"xor": logic(func(a, b uint64) uint64 { return a ^ b }, func(a, b uint32) uint32 { return a ^ b }),
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

// words is ints with the function for 32 bits written out, which are the most.
func (c *compiler) words(t typ, f func(a, b uint64) uint64, of32 func(a, b uint32) uint32) {
	if t.bits == 32 {
		c.binary(t, of32, nil)
		return
	}
	c.ints(t, f)
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
	c.words(t, func(a, b uint64) uint64 { return a - b }, func(a, b uint32) uint32 { return a - b })
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
		c.words(t, func(a, b uint64) uint64 { return a * b }, func(a, b uint32) uint32 { return a * b })
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
	if t.bits == 32 && !c.has("hi") {
		narrow = func(a, b, e uint32) uint32 { return a*b + e }
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
