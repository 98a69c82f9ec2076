package ptxsim

import "math/bits"

type word interface{ uint32 | uint64 }

// map1 makes a runner of a function of one register.
func map1[D, A word](f func(A) D, d, a int) runner {
	return func(w *warp, lanes uint32) {
		d, a := regs[D](w, d), regs[A](w, a)
		if lanes == everyLane {
			for i := range d {
				d[i] = f(a[i])
			}
			return
		}
		for m := lanes; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			d[i] = f(a[i])
		}
	}
}

// map2 makes a runner of a function of two registers.
func map2[D, A, B word](f func(A, B) D, d, a, b int) runner {
	return func(w *warp, lanes uint32) {
		d, a, b := regs[D](w, d), regs[A](w, a), regs[B](w, b)
		if lanes == everyLane {
			for i := range d {
				d[i] = f(a[i], b[i])
			}
			return
		}
		for m := lanes; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			d[i] = f(a[i], b[i])
		}
	}
}

// map3 makes a runner of a function of three registers.
func map3[D, A, B, C word](f func(A, B, C) D, d, a, b, c int) runner {
	return func(w *warp, lanes uint32) {
		d, a, b, c := regs[D](w, d), regs[A](w, a), regs[B](w, b), regs[C](w, c)
		if lanes == everyLane {
			for i := range d {
				d[i] = f(a[i], b[i], c[i])
			}
			return
		}
		for m := lanes; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			d[i] = f(a[i], b[i], c[i])
		}
	}
}

// test2 makes a runner that gathers a predicate.
func test2[A, B word](f func(A, B) bool, put func(w *warp, lanes, true uint32), a, b int) runner {
	return func(w *warp, lanes uint32) {
		a, b := regs[A](w, a), regs[B](w, b)
		var yes uint32
		for m := lanes; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			if f(a[i], b[i]) {
				yes |= 1 << i
			}
		}
		put(w, lanes, yes)
	}
}

// unary builds d = f(a) for one type, functions given for both files.
func (c *compiler) unary(t typ, f32 func(uint32) uint32, f64 func(uint64) uint64) {
	if !c.count(2, 2) {
		return
	}
	a, d := c.source(1, t), c.result(0, t)
	if t.bits == 64 {
		c.in.run = need(c, f64, func() runner { return map1(f64, d, a) })
		return
	}
	c.in.run = need(c, f32, func() runner { return map1(f32, d, a) })
}

// binary builds d = f(a, b).
func (c *compiler) binary(t typ, f32 func(a, b uint32) uint32, f64 func(a, b uint64) uint64) {
	if !c.count(3, 3) {
		return
	}
	a, b, d := c.source(1, t), c.source(2, t), c.result(0, t)
	if t.bits == 64 {
		c.in.run = need(c, f64, func() runner { return map2(f64, d, a, b) })
		return
	}
	c.in.run = need(c, f32, func() runner { return map2(f32, d, a, b) })
}

// ternary builds d = f(a, b, e).
func (c *compiler) ternary(t typ, f32 func(a, b, e uint32) uint32, f64 func(a, b, e uint64) uint64) {
	if !c.count(4, 4) {
		return
	}
	a, b, e, d := c.source(1, t), c.source(2, t), c.source(3, t), c.result(0, t)
	if t.bits == 64 {
		c.in.run = need(c, f64, func() runner { return map3(f64, d, a, b, e) })
		return
	}
	c.in.run = need(c, f32, func() runner { return map3(f32, d, a, b, e) })
}

// need refuses an instruction whose function for its type is missing.
func need[F any](c *compiler, f F, make func() runner) runner {
	if isNil(f) {
		c.fail("this type is not simulated")
		return nil
	}
	return make()
}

func isNil(f any) bool {
	switch f := f.(type) {
	case func(uint32) uint32:
		return f == nil
	case func(uint64) uint64:
		return f == nil
	case func(a, b uint32) uint32:
		return f == nil
	case func(a, b uint64) uint64:
		return f == nil
	case func(a, b, e uint32) uint32:
		return f == nil
	case func(a, b, e uint64) uint64:
		return f == nil
	}
	return false
}
