package ptxsim

import (
	"encoding/binary"
	"slices"
)

func matrixOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){"ldmatrix": buildLdmatrix, "stmatrix": buildStmatrix, "mma": buildMma}
}

// wholeWarp asks for all lanes, and faults where the warp has not 32.
func wholeWarp(w *warp, _ uint32) uint32 {
	if w.live != everyLane {
		w.fault(BarrierFault, -1, "an instruction of the whole warp without lanes %s", lanesText(^w.live))
	}
	return everyLane
}

// buildLdmatrix makes ldmatrix.sync.aligned.m8n8.x{1,2,4}[.trans].shared.b16:
// row r of matrix m is the 16 bytes at the address of lane 8m+r; lane l gets
// the elements 2(l%4) and 2(l%4)+1 of row l/4, with .trans of column l/4.
func buildLdmatrix(c *compiler) {
	c.only("sync", "aligned", "m8n8", "x1", "x2", "x4", "trans", "shared", "shared::cta")
	t := c.last()
	from, trans := c.place(1), c.has("trans")
	to, _ := c.registersOf(0, typ{'b', 32, false}, true)
	if n := map[bool]int{c.has("x1"): 1, c.has("x2"): 2, c.has("x4"): 4}[true]; n != len(to) || t.bits != 16 {
		c.fail("%d registers of %d bits: this form is not simulated", len(to), t.bits)
		return
	}
	a := &access{space: c.spaceOf(), bytes: 16, many: true}
	lanes := uint32(1)<<(8*len(to)) - 1
	c.in.kind, c.in.need = collective, wholeWarp
	c.in.run = func(w *warp, _ uint32) {
		from.to(w)
		rows := w.touch(a, lanes)
		for m, r := range to {
			d := &w.r32[r]
			for l := range width {
				row, column := l/4, l%4*2
				if trans {
					low := binary.LittleEndian.Uint16(rows[8*m+column][2*row:])
					high := binary.LittleEndian.Uint16(rows[8*m+column+1][2*row:])
					d[l] = uint32(high)<<16 | uint32(low)
					continue
				}
				d[l] = binary.LittleEndian.Uint32(rows[8*m+row][2*column:])
			}
		}
	}
}

// buildStmatrix is ldmatrix the other way round.
func buildStmatrix(c *compiler) {
	c.only("sync", "aligned", "m8n8", "x1", "x2", "x4", "trans", "shared", "shared::cta")
	to, trans := c.place(0), c.has("trans")
	from, _ := c.registersOf(1, typ{'b', 32, false}, false)
	if n := map[bool]int{c.has("x1"): 1, c.has("x2"): 2, c.has("x4"): 4}[true]; n != len(from) || c.last().bits != 16 {
		c.fail("this form is not simulated")
		return
	}
	a := &access{space: c.spaceOf(), bytes: 16, write: true, many: true}
	lanes := uint32(1)<<(8*len(from)) - 1
	c.in.kind, c.in.need = collective, wholeWarp
	c.in.run = func(w *warp, _ uint32) {
		to.to(w)
		rows := w.touch(a, lanes)
		for m, r := range from {
			for l, v := range &w.r32[r] {
				row, column := l/4, l%4*2
				if trans {
					binary.LittleEndian.PutUint16(rows[8*m+column][2*row:], uint16(v))
					binary.LittleEndian.PutUint16(rows[8*m+column+1][2*row:], uint16(v>>16))
					continue
				}
				binary.LittleEndian.PutUint32(rows[8*m+row][2*column:], v)
			}
		}
	}
}

// shape is a form of mma: rows, columns and depth of the product, and the
// registers of each operand.
type shape struct {
	m, n, k int
}

// buildMma makes mma.sync.aligned.mMnNkK.row.col with float accumulators.
func buildMma(c *compiler) {
	types := c.types()
	shapes := map[string]shape{"m16n8k16": {16, 8, 16}, "m16n8k8": {16, 8, 8}, "m16n8k4": {16, 8, 4}}
	s, known := shapes[firstOf(c.raw.mods, "m16n8k16", "m16n8k8", "m16n8k4")]
	if !known || len(types) != 4 || !c.has("row") || !c.has("col") || types[1] != types[2] || types[0].bits != 32 || types[3].bits != 32 || !c.count(4, 4) {
		c.fail("this form is not simulated")
		return
	}
	t := types[1]
	if t.kind == 's' || t.kind == 'u' || t.kind == 't' && s.k == 16 || t.kind != 't' && s.k == 4 {
		c.fail("this form is not simulated")
		return
	}
	b32 := typ{'b', 32, false}
	a, _ := c.registersOf(1, b32, false)
	b, _ := c.registersOf(2, b32, false)
	e, _ := c.registersOf(3, b32, false)
	d, _ := c.registersOf(0, b32, true)
	perWord := 32 / t.bits
	if len(a) != s.m*s.k/width/perWord || len(b) != s.n*s.k/width/perWord || len(e) != 4 || len(d) != 4 {
		c.fail("wrong number of registers")
		return
	}
	decode := t.decoder()
	c.in.kind, c.in.need = collective, wholeWarp
	c.in.run = func(w *warp, _ uint32) {
		w.block.stats.Products++
		var left [16][16]float32
		var right [16][8]float32
		gatherLeft(&left, w, a, t, decode)
		gatherRight(&right, w, b, t, decode)
		w.multiplyTile(d, e, &left, s.k, &right, w.block.grid.sim.Arithmetic.Mma)
	}
}

// multiplyTile puts a product of 16 x k by k x 8 into registers d, added to
// those of e or, without e, to nothing.
func (w *warp) multiplyTile(d, e []int, left *[16][16]float32, k int, right *[16][8]float32, sums Sums) {
	for row := range 16 {
		// Rows of the accumulator: lane 4*(row%8)+j has columns 2j, 2j+1 in
		// registers 0 and 1, for the lower 8 rows in 2 and 3.
		base, half := row%8*4, row/8*2
		var sum [8]float32
		if e != nil {
			low, high := &w.r32[e[half]], &w.r32[e[half+1]]
			sum = [8]float32{f32(low[base]), f32(high[base]), f32(low[base+1]), f32(high[base+1]),
				f32(low[base+2]), f32(high[base+2]), f32(low[base+3]), f32(high[base+3])}
		}
		sums.accumulate(&sum, left[row][:k], right)
		low, high := &w.r32[d[half]], &w.r32[d[half+1]]
		for j := range 4 {
			low[base+j], high[base+j] = bits32(sum[2*j]), bits32(sum[2*j+1])
		}
	}
}

func firstOf(mods []string, names ...string) string {
	for _, n := range names {
		if slices.Contains(mods, n) {
			return n
		}
	}
	return ""
}

// decoder reads the first or second number of a word.
func (t typ) decoder() func(v uint32, second bool) float32 {
	switch {
	case t.kind == 'h':
		return func(v uint32, second bool) float32 {
			if second {
				return f32(v & 0xffff0000)
			}
			return f32(v << 16)
		}
	case t.kind == 't':
		// The lower 13 bits are not read.
		return func(v uint32, _ bool) float32 { return f32(v &^ 0x1fff) }
	}
	return func(v uint32, second bool) float32 {
		if second {
			v >>= 16
		}
		return float32(halfLayout.decode(v & 0xffff))
	}
}

// gatherLeft reads A by the manual's figures: with group g=lane/4 and t=lane%4,
// register r holds row g+8(r%2), from column n*t+4n(r/2) on, n numbers a word.
func gatherLeft(m *[16][16]float32, w *warp, a []int, t typ, decode func(uint32, bool) float32) {
	n := 32 / t.bits
	for r, reg := range a {
		if t.kind == 'h' { // written out for speed
			for l, v := range &w.r32[reg] {
				to := m[(l/4+r%2*8)&15][2*(l%4)+8*(r/2):]
				to[0], to[1] = f32(v<<16), f32(v&0xffff0000)
			}
			continue
		}
		for l, v := range &w.r32[reg] {
			row, column := l/4+r%2*8, n*(l%4)+4*n*(r/2)
			m[row][column] = decode(v, false)
			if n == 2 {
				m[row][column+1] = decode(v, true)
			}
		}
	}
}

// gatherRight reads B: register r holds rows from n*t+4n*r on, of column g.
func gatherRight(m *[16][8]float32, w *warp, b []int, t typ, decode func(uint32, bool) float32) {
	n := 32 / t.bits
	for r, reg := range b {
		if t.kind == 'h' {
			for l, v := range &w.r32[reg] {
				row, column := 2*(l%4)+8*r, l/4&7
				m[row&15][column], m[(row+1)&15][column] = f32(v<<16), f32(v&0xffff0000)
			}
			continue
		}
		for l, v := range &w.r32[reg] {
			row, column := n*(l%4)+4*n*r, l/4
			m[row][column] = decode(v, false)
			if n == 2 {
				m[row+1][column] = decode(v, true)
			}
		}
	}
}

// accumulate adds a row's products, by default one after the other in float32. A card
// adds groups of them with its own rounding: results are compared with a tolerance.
func (s Sums) accumulate(sum *[8]float32, left []float32, right *[16][8]float32) {
	if s.Terms > 0 {
		for column := range sum {
			sum[column] = s.add(sum[column], left, right, column)
		}
		return
	}
	s0, s1, s2, s3, s4, s5, s6, s7 := sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]
	for k, a := range left {
		b := &right[k&15]
		s0 += float32(a * b[0])
		s1 += float32(a * b[1])
		s2 += float32(a * b[2])
		s3 += float32(a * b[3])
		s4 += float32(a * b[4])
		s5 += float32(a * b[5])
		s6 += float32(a * b[6])
		s7 += float32(a * b[7])
	}
	*sum = [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
}
