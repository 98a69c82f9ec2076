package ptxsim

import (
	"math"
	"strings"
)

// comparison tells whether something holds of two values, or, written out for integers
// that fill their registers, in which lanes it does.
type comparison struct {
	holds func(a, b uint64) bool
	of32  func(a, b *[width]uint32) uint32
	of64  func(a, b *[width]uint64) uint32
}

// comparison returns the test of a name for a type, an empty one for no such name.
func (c *compiler) comparison(name string, t typ) comparison {
	switch {
	case t.float():
		return comparison{holds: c.floatComparison(name, t)}
	case t.bits == 32:
		return comparison{of32: whole[uint32](name, t)}
	case t.bits == 64:
		return comparison{of64: whole[uint64](name, t)}
	}
	return comparison{holds: integerComparison(name, t)}
}

func (t comparison) none() bool { return t.holds == nil && t.of32 == nil && t.of64 == nil }

// whole compares all lanes. With the highest bit flipped signed numbers have the order
// of unsigned ones.
func whole[T word](name string, t typ) func(a, b *[width]T) uint32 {
	flip := T(0)
	if t.signed() {
		flip = 1 << (t.bits - 1)
	}
	equal := func(a, b *[width]T) (yes uint32) {
		for i := range a {
			yes |= one(a[i] == b[i]) << i
		}
		return yes
	}
	less := func(a, b *[width]T) (yes uint32) {
		for i := range a {
			yes |= one(a[i]^flip < b[i]^flip) << i
		}
		return yes
	}
	switch name {
	case "eq":
		return equal
	case "ne":
		return func(a, b *[width]T) uint32 { return ^equal(a, b) }
	case "lt", "lo":
		return less
	case "le", "ls":
		return func(a, b *[width]T) uint32 { return ^less(b, a) }
	case "gt", "hi":
		return func(a, b *[width]T) uint32 { return less(b, a) }
	case "ge", "hs":
		return func(a, b *[width]T) uint32 { return ^less(a, b) }
	}
	return nil
}

func (c *compiler) floatComparison(name string, t typ) func(a, b uint64) bool {
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
func (c *compiler) compare(t typ) (test comparison, join func(yes, other uint32) uint32) {
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
			if test = c.comparison(m, t); test.none() {
				c.fail("comparison %q is not simulated", m)
			}
		}
	}
	if test.none() {
		c.fail("want a comparison")
	}
	return test, join
}

// lanesWhere gathers the lanes for which a comparison of two registers holds, among
// them lanes that are not asked for.
func lanesWhere(t typ, test comparison, a, b int) func(w *warp) uint32 {
	switch {
	case test.of32 != nil:
		return func(w *warp) uint32 { return test.of32(&w.r32[a], &w.r32[b]) }
	case test.of64 != nil:
		return func(w *warp) uint32 { return test.of64(&w.r64[a], &w.r64[b]) }
	}
	return func(w *warp) uint32 {
		var yes uint32
		for i := range width {
			var x, y uint64
			if t.bits == 64 {
				x, y = w.r64[a][i], w.r64[b][i]
			} else {
				x, y = uint64(w.r32[a][i]), uint64(w.r32[b][i])
			}
			if test.holds(x, y) {
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
		yes := where(w)
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
		yes := where(w)
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
