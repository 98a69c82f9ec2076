package ptxsim

import "math"

func floatOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){
		"rcp":   approx(func(x float64) float64 { return 1 / x }),
		"sqrt":  approx(math.Sqrt),
		"rsqrt": approx(func(x float64) float64 { return 1 / math.Sqrt(x) }),
		"ex2":   approx(math.Exp2),
		"lg2":   approx(math.Log2),
		"sin":   approx(math.Sin),
		"cos":   approx(math.Cos),
		"tanh":  approx(math.Tanh),

		"copysign": buildCopysign, "testp": buildTestp,
	}
}

// canonical is the NaN that arithmetic yields.
const canonical = 0x7fffffff

func f32(v uint32) float32 { return math.Float32frombits(v) }

// bits32 returns a result's bits; every NaN is the canonical one.
func bits32(v float32) uint32 {
	if v != v {
		return canonical
	}
	return math.Float32bits(v)
}

// flush turns subnormal numbers into 0 of their sign.
func flush(v uint32) uint32 {
	if v&0x7f800000 == 0 {
		return v & 0x80000000
	}
	return v
}

func (t typ) layout() layout {
	switch {
	case t.kind == 'h':
		return brainLayout
	case t.kind == 't':
		return tf32Layout
	case t.bits == 16 || t.pair:
		return halfLayout
	}
	return singleLayout
}

// reader and writer turn a lane's bits into a number and back as the
// instruction's modifiers say.
func (c *compiler) reader(t typ) func(uint32) float64 {
	l := t.layout()
	switch {
	case l == singleLayout && c.has("ftz"):
		return func(v uint32) float64 { return float64(f32(flush(v))) }
	case l == singleLayout:
		return func(v uint32) float64 { return float64(f32(v)) }
	case l == brainLayout:
		return func(v uint32) float64 { return float64(f32(v << 16)) }
	}
	return l.decode
}

func (c *compiler) writer(t typ) func(float64) uint32 {
	l, mode := t.layout(), c.rounding()
	write := func(v float64) uint32 { return l.encode(v, mode) }
	if l == singleLayout && mode == nearestEven {
		write = func(v float64) uint32 { return bits32(float32(v)) }
	}
	if c.has("sat") {
		inner := write
		write = func(v float64) uint32 { return inner(saturate(v)) }
	}
	if c.has("relu") {
		inner := write
		write = func(v float64) uint32 {
			if v <= 0 {
				v = 0
			}
			return inner(v)
		}
	}
	if c.has("ftz") && l == singleLayout {
		inner := write
		write = func(v float64) uint32 { return flush(inner(v)) }
	}
	return write
}

func (c *compiler) rounding() int {
	switch {
	case c.has("rz"):
		return towardZero
	case c.has("rm"):
		return down
	case c.has("rp"):
		return up
	case c.has("rna"):
		return nearestAway
	}
	return nearestEven
}

// saturate clamps to 0 to 1; NaN becomes 0.
func saturate(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return min(v, 1)
}

// float1, float2 and float3 build operations on numbers of any format, and on
// pairs of narrow ones.
func (c *compiler) float1(t typ, f func(a float64) float64) {
	read, write := c.reader(t), c.writer(t)
	narrow := func(a uint32) uint32 { return write(f(read(a))) }
	if t.pair {
		whole := narrow
		narrow = func(a uint32) uint32 { return whole(a&0xffff) | whole(a>>16)<<16 }
	}
	c.unary(t, narrow, func(a uint64) uint64 { return math.Float64bits(f(math.Float64frombits(a))) })
}

func (c *compiler) float2(t typ, f func(a, b float64) float64) {
	read, write := c.reader(t), c.writer(t)
	narrow := func(a, b uint32) uint32 { return write(f(read(a), read(b))) }
	if t.pair {
		whole := narrow
		narrow = func(a, b uint32) uint32 { return whole(a&0xffff, b&0xffff) | whole(a>>16, b>>16)<<16 }
	}
	c.binary(t, narrow, func(a, b uint64) uint64 {
		return math.Float64bits(f(math.Float64frombits(a), math.Float64frombits(b)))
	})
}

func (c *compiler) float3(t typ, f func(a, b, e float64) float64) {
	read, write := c.reader(t), c.writer(t)
	narrow := func(a, b, e uint32) uint32 { return write(f(read(a), read(b), read(e))) }
	if t.pair {
		whole := narrow
		narrow = func(a, b, e uint32) uint32 {
			return whole(a&0xffff, b&0xffff, e&0xffff) | whole(a>>16, b>>16, e>>16)<<16
		}
	}
	c.ternary(t, narrow, func(a, b, e uint64) uint64 {
		return math.Float64bits(f(math.Float64frombits(a), math.Float64frombits(b), math.Float64frombits(e)))
	})
}

// quick tells the form of float32 that needs no modifier.
func (c *compiler) quick(t typ) bool {
	return t == typ{'f', 32, false} && !c.has("ftz") && !c.has("sat") && c.rounding() == nearestEven
}

// directed refuses a directed rounding of 64 bits, which Go lacks.
func (c *compiler) directed(t typ) {
	if t.bits == 64 && c.rounding() != nearestEven {
		c.fail("this rounding of 64 bits is not simulated")
	}
}

// A sum, product or quotient of two float32 numbers computed in float64 and
// rounded to float32 is as if rounded once: 53 >= 2*24+2 bits. A directed
// rounding of a sum may differ in the last bit where float64 was not exact.

func floatAdd(c *compiler, t typ) {
	c.only("rn", "rz", "rm", "rp", "ftz", "sat")
	c.directed(t)
	if c.quick(t) {
		c.binary(t, func(a, b uint32) uint32 { return bits32(f32(a) + f32(b)) }, nil)
		return
	}
	c.float2(t, func(a, b float64) float64 { return a + b })
}

func floatSub(c *compiler, t typ) {
	c.only("rn", "rz", "rm", "rp", "ftz", "sat")
	c.directed(t)
	if c.quick(t) {
		c.binary(t, func(a, b uint32) uint32 { return bits32(f32(a) - f32(b)) }, nil)
		return
	}
	c.float2(t, func(a, b float64) float64 { return a - b })
}

func floatMul(c *compiler, t typ) {
	c.only("rn", "rz", "rm", "rp", "ftz", "sat")
	c.directed(t)
	if c.quick(t) {
		c.binary(t, func(a, b uint32) uint32 { return bits32(f32(a) * f32(b)) }, nil)
		return
	}
	c.float2(t, func(a, b float64) float64 { return a * b })
}

func floatFma(c *compiler, t typ) {
	c.only("rn", "rz", "rm", "rp", "ftz", "sat", "relu")
	c.directed(t)
	if c.quick(t) {
		c.ternary(t, func(a, b, e uint32) uint32 { return bits32(fma32(f32(a), f32(b), f32(e))) }, nil)
		return
	}
	if t.bits == 64 {
		c.float3(t, math.FMA)
		return
	}
	c.float3(t, func(a, b, e float64) float64 { return oddSum(float64(a*b), e) })
}

// fma32 is a*b+e rounded once. The product is exact in float64; the sum is
// rounded to odd, which the second rounding cannot tell from the exact one.
func fma32(a, b, e float32) float32 {
	p := float64(a) * float64(b)
	s := p + float64(e)
	// Only a sum halfway between float32 numbers can be rounded wrongly, or
	// one in the subnormal range, where halfway is elsewhere.
	if bits := math.Float64bits(s); bits&0x1fffffff != 0x10000000 && bits>>52&0x7ff > 1023-126 {
		return float32(s)
	}
	return float32(oddSum(p, float64(e)))
}

// oddSum is a+b; where it is not exact, the neighbour with an odd last bit.
func oddSum(a, b float64) float64 {
	s := a + b
	if math.IsInf(s, 0) || s != s {
		return s
	}
	t := s - a
	rest := (a - (s - t)) + (b - t) // Knuth's TwoSum
	if rest == 0 || math.Float64bits(s)&1 != 0 {
		return s
	}
	if rest > 0 == (s > 0) {
		return math.Float64frombits(math.Float64bits(s) + 1)
	}
	return math.Float64frombits(math.Float64bits(s) - 1)
}

func floatDiv(c *compiler, t typ) {
	c.only("rn", "rz", "rm", "rp", "ftz", "approx", "full")
	c.directed(t)
	if c.has("approx") {
		// For a divisor in 2^126 to 2^128 the manual has 0, or NaN for infinity.
		c.float2(t, func(a, b float64) float64 {
			if m := math.Abs(b); m > 0x1p126 && m < 0x1p128 {
				if math.IsInf(a, 0) {
					return math.NaN()
				}
				return math.Copysign(0, a) * math.Copysign(1, b)
			}
			return a / b
		})
		c.approximated(t)
		return
	}
	c.float2(t, func(a, b float64) float64 { return a / b })
	c.approximated(t)
}

func floatAbs(c *compiler, t typ) {
	c.only("ftz")
	sign := signs(t)
	ftz := c.has("ftz")
	c.unary(t, func(v uint32) uint32 {
		if ftz {
			v = flush(v)
		}
		return v &^ sign
	}, func(v uint64) uint64 { return v &^ (1 << 63) })
}

func floatNeg(c *compiler, t typ) {
	c.only("ftz")
	sign := signs(t)
	ftz := c.has("ftz")
	c.unary(t, func(v uint32) uint32 {
		if ftz {
			v = flush(v)
		}
		return v ^ sign
	}, func(v uint64) uint64 { return v ^ 1<<63 })
}

// signs are the sign bits of a register of the type.
func signs(t typ) uint32 {
	switch {
	case t.pair:
		return 0x80008000
	case t.bits == 16:
		return 0x8000
	}
	return 0x80000000
}

func floatMin(c *compiler, t typ) { c.extreme(t, func(a, b float64) bool { return a < b }) }
func floatMax(c *compiler, t typ) { c.extreme(t, func(a, b float64) bool { return a > b }) }

// extreme builds min and max: a NaN gives way to the other number, except with
// .NaN; -0 is below +0.
func (c *compiler) extreme(t typ, first func(a, b float64) bool) {
	c.only("ftz", "NaN")
	keep := c.has("NaN")
	c.float2(t, func(a, b float64) float64 {
		switch {
		case a != a && b != b, keep && (a != a || b != b):
			return math.NaN()
		case a != a:
			return b
		case b != b:
			return a
		case a == 0 && b == 0:
			if first(math.Copysign(1, a), math.Copysign(1, b)) {
				return a
			}
			return b
		case first(a, b):
			return a
		}
		return b
	})
}

// approx builds a function of one number. Where a card approximates, its last
// bits may differ.
func approx(f func(float64) float64) func(c *compiler) {
	return func(c *compiler) {
		c.only("approx", "rn", "rz", "rm", "rp", "ftz")
		t := c.last()
		c.directed(t)
		c.float1(t, f)
		c.approximated(t)
	}
}

func buildCopysign(c *compiler) {
	t := c.last()
	c.binary(t, func(a, b uint32) uint32 { return b&^signs(t) | a&signs(t) },
		func(a, b uint64) uint64 { return b&^(1<<63) | a&(1<<63) })
}

// buildTestp makes testp.{finite,infinite,number,notanumber,normal,subnormal}.
func buildTestp(c *compiler) {
	t := c.last()
	tests := map[string]func(v float64) bool{
		"finite":     func(v float64) bool { return v-v == 0 },
		"infinite":   func(v float64) bool { return math.IsInf(v, 0) },
		"number":     func(v float64) bool { return v == v },
		"notanumber": func(v float64) bool { return v != v },
	}
	test := tests[c.raw.mods[0]]
	if test == nil || t.bits != 32 {
		c.fail("this test is not simulated")
		return
	}
	a, d := c.source(1, t), c.result(0, typ{'p', 1, false})
	c.in.run = test2(func(a, _ uint32) bool { return test(float64(f32(a))) },
		func(w *warp, lanes, yes uint32) { w.setPredicate(d, lanes, yes) }, a, a)
}
