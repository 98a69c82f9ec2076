package ptxsim

import (
	"math"
	"strings"
)

func moveOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){
		"mov": buildMov, "cvt": buildCvt, "cvta": buildCvta,
		"setp": buildSetp, "set": buildSet, "selp": buildSelp, "slct": buildSlct,
	}
}

func buildMov(c *compiler) {
	t := c.last()
	if !c.count(2, 2) {
		return
	}
	to, from := c.operand(0), c.operand(1)
	switch {
	case strings.HasPrefix(from, "{"):
		c.pack(to, vector(from), t)
	case strings.HasPrefix(to, "{"):
		c.unpack(vector(to), from, t)
	case t.kind == 'p':
		a, d := c.truth(1), c.result(0, t)
		c.in.run = func(w *warp, lanes uint32) { w.setPredicate(d, lanes, a(w)) }
	case t.bits == 64:
		c.in.soft = true
		a, d := c.source(1, t), c.result(0, t)
		c.in.run = func(w *warp, lanes uint32) { move(&w.r64[d], &w.r64[a], lanes) }
	default:
		c.in.soft = true
		a, d := c.source(1, t), c.result(0, t)
		c.in.run = func(w *warp, lanes uint32) { move(&w.r32[d], &w.r32[a], lanes) }
	}
}

func move[T word](d, a *[width]T, lanes uint32) {
	if lanes == everyLane {
		*d = *a
		return
	}
	for i := range width {
		if lanes>>i&1 != 0 {
			d[i] = a[i]
		}
	}
}

// part is the type of one of n members of a register.
func part(t typ, n int) typ { return typ{'b', t.bits / n, false} }

// pack makes mov.b64 d, {a, b}: the first member is the lowest.
func (c *compiler) pack(to string, members []string, t typ) {
	p := part(t, len(members))
	var from []int
	for _, m := range members {
		from = append(from, c.sourceText(m, p))
	}
	d := c.resultText(to, t)
	c.in.run = func(w *warp, lanes uint32) {
		for i := range width {
			if lanes>>i&1 == 0 {
				continue
			}
			v := uint64(0)
			for j, r := range from {
				v |= p.cut(uint64(w.r32[r][i])) << (j * p.bits)
			}
			if t.bits == 64 {
				w.r64[d][i] = v
			} else {
				w.r32[d][i] = uint32(v)
			}
		}
	}
}

func (c *compiler) unpack(members []string, from string, t typ) {
	p := part(t, len(members))
	a := c.sourceText(from, t)
	var to []int
	for _, m := range members {
		to = append(to, c.resultText(m, p))
	}
	c.in.run = func(w *warp, lanes uint32) {
		for i := range width {
			if lanes>>i&1 == 0 {
				continue
			}
			var v uint64
			if t.bits == 64 {
				v = w.r64[a][i]
			} else {
				v = uint64(w.r32[a][i])
			}
			for j, r := range to {
				w.r32[r][i] = uint32(p.cut(v >> (j * p.bits)))
			}
		}
	}
}

// buildCvta makes cvta: between generic addresses and those of a space.
func buildCvta(c *compiler) {
	t := c.last()
	offset := uint64(0)
	switch {
	case c.has("shared"), c.has("shared::cta"):
		offset = sharedAt
	case c.has("local"):
		offset = localAt
	}
	if c.has("to") {
		offset = -offset
	}
	if t.bits == 32 {
		c.fail("addresses of 32 bits are not simulated")
		return
	}
	c.unary(t, nil, func(a uint64) uint64 { return a + offset })
}

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

// comparison returns the test of a name for a type.
func (c *compiler) comparison(name string, t typ) func(a, b uint64) bool {
	if !t.float() {
		return integerComparison(name, t)
	}
	read := c.number(t)
	loose := strings.HasSuffix(name, "u") && name != "lu"
	if loose {
		name = strings.TrimSuffix(name, "u")
	}
	tests := map[string]func(a, b float64) bool{
		"eq": func(a, b float64) bool { return a == b }, "ne": func(a, b float64) bool { return a != b && a == a && b == b },
		"lt": func(a, b float64) bool { return a < b }, "le": func(a, b float64) bool { return a <= b },
		"gt": func(a, b float64) bool { return a > b }, "ge": func(a, b float64) bool { return a >= b },
		"num": func(a, b float64) bool { return a == a && b == b }, "nan": func(a, b float64) bool { return a != a || b != b },
	}
	test := tests[name]
	if test == nil {
		return nil
	}
	return func(x, y uint64) bool {
		a, b := read(x), read(y)
		return test(a, b) || loose && (a != a || b != b)
	}
}

func integerComparison(name string, t typ) func(a, b uint64) bool {
	less := func(a, b uint64) bool { return t.less(t.extend(a), t.extend(b)) }
	switch name {
	case "eq":
		return func(a, b uint64) bool { return a == b }
	case "ne":
		return func(a, b uint64) bool { return a != b }
	case "lt", "lo":
		return less
	case "le", "ls":
		return func(a, b uint64) bool { return !less(b, a) }
	case "gt", "hi":
		return func(a, b uint64) bool { return less(b, a) }
	case "ge", "hs":
		return func(a, b uint64) bool { return !less(a, b) }
	}
	return nil
}

// compare parses the modifiers of setp and set: a comparison, maybe a boolean
// operation with a third predicate.
func (c *compiler) compare(t typ) (test func(a, b uint64) bool, join func(yes, other uint32) uint32) {
	for _, m := range c.raw.mods {
		switch m {
		case "and":
			join = func(a, b uint32) uint32 { return a & b }
		case "or":
			join = func(a, b uint32) uint32 { return a | b }
		case "xor":
			join = func(a, b uint32) uint32 { return a ^ b }
		case "ftz":
		default:
			if _, is := parseType(m); is {
				continue
			}
			if test = c.comparison(m, t); test == nil {
				c.fail("comparison %q is not simulated", m)
			}
		}
	}
	if test == nil {
		c.fail("want a comparison")
	}
	return test, join
}

// lanesWhere gathers the lanes for which a comparison of two registers holds.
func lanesWhere(t typ, test func(a, b uint64) bool, a, b int) func(w *warp, lanes uint32) uint32 {
	return func(w *warp, lanes uint32) uint32 {
		var yes uint32
		for i := range width {
			if lanes>>i&1 == 0 {
				continue
			}
			var x, y uint64
			if t.bits == 64 {
				x, y = w.r64[a][i], w.r64[b][i]
			} else {
				x, y = uint64(w.r32[a][i]), uint64(w.r32[b][i])
			}
			if test(x, y) {
				yes |= 1 << i
			}
		}
		return yes
	}
}

// buildSetp makes setp.cmp[.op].type p[|q], a, b[, c].
func buildSetp(c *compiler) {
	t := c.last()
	test, join := c.compare(t)
	if !c.count(3, 4) {
		return
	}
	a, b := c.source(1, t), c.source(2, t)
	other := func(*warp) uint32 { return 0 }
	if join != nil {
		other = c.truth(3)
	}
	first, second, both := strings.Cut(c.operand(0), "|")
	d, q := c.resultText(first, typ{'p', 1, false}), -1
	if both {
		q = c.resultText(second, typ{'p', 1, false})
	}
	where := lanesWhere(t, test, a, b)
	c.in.run = func(w *warp, lanes uint32) {
		yes := where(w, lanes)
		no := ^yes
		if join != nil {
			o := other(w)
			yes, no = join(yes, o), join(no, o)
		}
		w.setPredicate(d, lanes, yes)
		if q >= 0 {
			w.setPredicate(q, lanes, no)
		}
	}
}

// buildSet makes set.cmp.dtype.stype: all ones or 1.0 where it holds.
func buildSet(c *compiler) {
	types := c.types()
	if len(types) != 2 || !c.count(3, 3) {
		c.fail("this form is not simulated")
		return
	}
	test, _ := c.compare(types[1])
	value := uint32(math.MaxUint32)
	if types[0].float() {
		value = math.Float32bits(1)
	}
	a, b, d := c.source(1, types[1]), c.source(2, types[1]), c.result(0, types[0])
	where := lanesWhere(types[1], test, a, b)
	c.in.run = func(w *warp, lanes uint32) {
		yes := where(w, lanes)
		for i := range width {
			if lanes>>i&1 != 0 {
				w.r32[d][i] = value & -(yes >> i & 1)
			}
		}
	}
}

// buildSelp makes selp.type d, a, b, p.
func buildSelp(c *compiler) {
	t := c.last()
	if !c.count(4, 4) {
		return
	}
	a, b, p, d := c.source(1, t), c.source(2, t), c.truth(3), c.result(0, t)
	c.in.run = func(w *warp, lanes uint32) {
		yes := p(w)
		if t.bits == 64 {
			choose(&w.r64[d], &w.r64[a], &w.r64[b], lanes, yes)
		} else {
			choose(&w.r32[d], &w.r32[a], &w.r32[b], lanes, yes)
		}
	}
}

func choose[T word](d, a, b *[width]T, lanes, yes uint32) {
	for i := range width {
		switch {
		case lanes>>i&1 == 0:
		case yes>>i&1 != 0:
			d[i] = a[i]
		default:
			d[i] = b[i]
		}
	}
}

// buildSlct makes slct.type.{s32,f32} d, a, b, c: a where c >= 0.
func buildSlct(c *compiler) {
	types := c.types()
	if len(types) != 2 || types[0].bits > 32 {
		c.fail("this form is not simulated")
		return
	}
	sign := func(v uint32) bool { return int32(v) >= 0 }
	if types[1].float() {
		sign = func(v uint32) bool { return f32(v) >= 0 }
	}
	c.ternary(types[0], func(a, b, e uint32) uint32 {
		if sign(e) {
			return a
		}
		return b
	}, nil)
}
