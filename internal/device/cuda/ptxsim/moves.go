package ptxsim

import (
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
