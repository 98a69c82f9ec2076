package ptxsim

import "math"

// buildCvt makes cvt.to.from.
func buildCvt(c *compiler) {
	types := c.types()
	if len(types) != 2 {
		c.fail("want two types")
		return
	}
	c.only("rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "ftz", "sat", "relu", "satfinite")
	to, from := types[0], types[1]
	if to.pair {
		c.cvtPair(to, from)
		return
	}
	if !c.count(2, 2) {
		return
	}
	a := c.cvtSource(1, from)
	f := c.conversion(to, from)
	if f == nil {
		c.fail("this conversion is not simulated")
		return
	}
	c.cvtResult(to, from, a, f)
}

// cvtSource allows a register wider than the type.
func (c *compiler) cvtSource(i int, t typ) func(w *warp, lane int) uint64 {
	if c.classOf(c.operand(i), t.class()) == word64 {
		a := c.source(i, typ{t.kind, 64, false})
		return func(w *warp, lane int) uint64 { return w.r64[a][lane] }
	}
	a := c.source(i, typ{t.kind, 32, false})
	return func(w *warp, lane int) uint64 { return uint64(w.r32[a][lane]) }
}

// cvtResult writes to a register that may be wider than the type: integers are
// extended by their sign.
func (c *compiler) cvtResult(to, from typ, a func(w *warp, lane int) uint64, f func(uint64) uint64) {
	of := c.classOf(c.operand(0), to.class())
	d := c.result(0, typ{to.kind, map[class]int{word32: 32, word64: 64}[of], false})
	fit := typ{to.kind, c.bitsOf(c.operand(0), to), false}
	c.in.run = func(w *warp, lanes uint32) {
		for i := range width {
			if lanes>>i&1 == 0 {
				continue
			}
			v := f(a(w, i))
			if of == word64 {
				w.r64[d][i] = v
			} else {
				w.r32[d][i] = uint32(fit.cut(v))
			}
		}
	}
}

// conversion returns the function of bits to bits.
func (c *compiler) conversion(to, from typ) func(uint64) uint64 {
	switch {
	case to.float() && from.float():
		return c.floatToFloat(to, from)
	case to.float():
		return c.intToFloat(to, from)
	case from.float():
		return c.floatToInt(to, from)
	}
	sat := c.has("sat")
	return func(v uint64) uint64 {
		v = from.extend(v)
		if sat {
			v = to.clamp(v, from.signed())
		}
		return to.extend(v)
	}
}

// clamp saturates an integer to the type's range.
func (t typ) clamp(v uint64, signed bool) uint64 {
	least, most := int64(0), uint64(1)<<t.bits-1
	if t.bits == 64 {
		most = math.MaxUint64
	}
	if t.signed() {
		most >>= 1
		least = -int64(most) - 1
	}
	if signed && int64(v) < 0 {
		return uint64(max(int64(v), least))
	}
	return min(v, most)
}

func (c *compiler) number(t typ) func(uint64) float64 {
	if t.bits == 64 {
		return math.Float64frombits
	}
	read := c.reader(t)
	return func(v uint64) float64 { return read(uint32(v)) }
}

func (c *compiler) floatToFloat(to, from typ) func(uint64) uint64 {
	read := c.number(from)
	for mod, round := range map[string]func(float64) float64{"rni": math.RoundToEven, "rzi": math.Trunc, "rmi": math.Floor, "rpi": math.Ceil} {
		if c.has(mod) {
			inner := read
			read = func(v uint64) float64 { return round(inner(v)) }
		}
	}
	if to.bits == 64 {
		return func(v uint64) uint64 { return math.Float64bits(read(v)) }
	}
	if to.kind == 't' { // kept in the upper 19 bits
		mode := c.rounding()
		return func(v uint64) uint64 { return uint64(tf32Layout.encode(read(v), mode)) << 13 }
	}
	write := c.writer(to)
	if to.kind == 'h' && from == (typ{'f', 32, false}) && c.rounding() == nearestEven && !c.has("relu") {
		return func(v uint64) uint64 { return uint64(toBrain(uint32(v))) }
	}
	return func(v uint64) uint64 { return uint64(write(read(v))) }
}

func (c *compiler) intToFloat(to, from typ) func(uint64) uint64 {
	if to.bits == 64 {
		return func(v uint64) uint64 {
			v = from.extend(v)
			if from.signed() {
				return math.Float64bits(float64(int64(v)))
			}
			return math.Float64bits(float64(v))
		}
	}
	write := c.writer(to)
	return func(v uint64) uint64 {
		v = from.extend(v)
		if to.layout() == singleLayout && c.rounding() == nearestEven {
			// Go rounds once, from 64 bits too.
			if from.signed() {
				return uint64(math.Float32bits(float32(int64(v))))
			}
			return uint64(math.Float32bits(float32(v)))
		}
		if from.signed() {
			return uint64(write(float64(int64(v))))
		}
		return uint64(write(float64(v)))
	}
}

// floatToInt saturates; NaN becomes 0.
func (c *compiler) floatToInt(to, from typ) func(uint64) uint64 {
	read := c.number(from)
	round := math.RoundToEven
	switch {
	case c.has("rzi"):
		round = math.Trunc
	case c.has("rmi"):
		round = math.Floor
	case c.has("rpi"):
		round = math.Ceil
	}
	least, most := 0.0, math.Ldexp(1, to.bits)
	if to.signed() {
		least, most = -math.Ldexp(1, to.bits-1), math.Ldexp(1, to.bits-1)
	}
	return func(bits uint64) uint64 {
		v := round(read(bits))
		switch {
		case v != v:
			return 0
		case v <= least:
			return to.extend(uint64(int64(least)))
		case v >= most && to.signed():
			return 1<<(to.bits-1) - 1
		case v >= most:
			return to.extend(math.MaxUint64)
		case to.signed():
			return uint64(int64(v))
		}
		return uint64(v)
	}
}

// cvtPair makes cvt.rn.bf16x2.f32 d, a, b: a becomes the upper half.
func (c *compiler) cvtPair(to, from typ) {
	if from != (typ{'f', 32, false}) || !c.count(3, 3) {
		c.fail("this conversion is not simulated")
		return
	}
	f := c.floatToFloat(typ{to.kind, 16, false}, from)
	a, b, d := c.source(1, from), c.source(2, from), c.result(0, to)
	c.in.run = map2(func(a, b uint32) uint32 { return uint32(f(uint64(a))<<16 | f(uint64(b))) }, d, a, b)
}
