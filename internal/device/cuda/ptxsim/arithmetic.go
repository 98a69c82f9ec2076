package ptxsim

import "math"

// Arithmetic is what manuals leave open and cards do in ways of their own. The zero
// value is the simplest: terms one after the other, functions correctly rounded.
type Arithmetic struct {
	// Mma and Wgmma are how the two matrix instructions add.
	Mma, Wgmma Sums
	// Approximate puts functions that approximate off by as much as the manual allows,
	// each result by an amount of its own.
	Approximate bool
}

// Sums is how a matrix instruction adds a row's products to what it holds.
type Sums struct {
	// Terms are added at once, in no order; 0: one after the other in float32.
	Terms int
	// Bits are those that a summand keeps below the largest one's first; what lies
	// lower is cut off, and so is what does not fit in the result.
	Bits int
}

// The sums as they were measured on an A100 and an H100 (https://arxiv.org/abs/2512.07004,
// https://doi.org/10.7717/peerj-cs.330).
var (
	AmpereSums = Sums{Terms: 8, Bits: 24}
	HopperSums = Sums{Terms: 16, Bits: 25}
)

// add is a sum with a column's products, k of them.
func (s Sums) add(sum float32, left []float32, right *[16][8]float32, column int) float32 {
	for k := 0; k < len(left); k += s.Terms {
		sum = s.group(sum, left[k:min(k+s.Terms, len(left))], right, k, column)
	}
	return sum
}

// group is the sum with the products of some terms, from k on.
func (s Sums) group(sum float32, left []float32, right *[16][8]float32, k, column int) float32 {
	var products [17]float64
	products[0] = float64(sum)
	top, plain := math.MinInt, products[0]
	if sum != 0 {
		top = exponent(sum)
	}
	for i, a := range left {
		b := right[k+i][column]
		products[i+1] = float64(a) * float64(b)
		plain += products[i+1]
		if products[i+1] != 0 {
			top = max(top, exponent(a)+exponent(b))
		}
	}
	if plain-plain != 0 || top == math.MinInt { // no number, or nothing but zeros
		return float32(plain)
	}
	scale, total := math.Ldexp(1, s.Bits-top), int64(0)
	for _, p := range products[:len(left)+1] {
		total += int64(p * scale)
	}
	return cutOff(float64(total) / scale)
}

// exponent is that of a number's first bit.
func exponent(x float32) int {
	if e := int(math.Float32bits(x) >> 23 & 0xff); e > 0 {
		return e - 127
	}
	_, e := math.Frexp(float64(x))
	return e - 1
}

// cutOff rounds toward 0.
func cutOff(v float64) float32 {
	r := float32(v)
	if math.Abs(float64(r)) > math.Abs(v) {
		return math.Float32frombits(math.Float32bits(r) - 1)
	}
	return r
}

// approximations have the most units in the last place that a function's float32 result may
// be off by (PTX ISA, the functions' pages): where the manual bounds the relative error,
// the whole units that this allows every number.
var approximations = map[string]int{"rcp": 1, "sqrt": 1, "rsqrt": 1, "ex2": 2, "lg2": 2, "div": 2}

// approximated makes an instruction's float32 result one that a card may have.
func (c *compiler) approximated(t typ) {
	most, exactly := approximations[c.raw.base], c.in.run
	if c.err != nil || most == 0 || t != (typ{'f', 32, false}) || !c.has("approx") && !c.has("full") {
		return
	}
	a, d, base := c.in.sources[word32][0], c.in.results[word32][0], c.raw.base
	c.in.run = func(w *warp, lanes uint32) {
		from := w.r32[a]
		exactly(w, lanes)
		if !w.block.grid.sim.Arithmetic.Approximate {
			return
		}
		for l, v := range &w.r32[d] {
			if one := base == "ex2" && flush(from[l])<<1 == 0; lanes>>l&1 != 0 && !one { // the manual has 1 for 0
				w.r32[d][l] = off(v, most, base == "lg2")
			}
		}
	}
}

// off is a result up to so many units in the last place away, or a logarithm below 1
// by up to 2^-22: always as far for the same one. Zeros, infinities, what is no number
// and what would become one of them stay.
func off(v uint32, most int, logarithm bool) uint32 {
	x, size := f32(v), v&0x7fffffff
	if size <= 0x00800000+uint32(most) || size >= 0x7f800000-uint32(most) {
		return v
	}
	n := int(v*2654435761>>16)%(2*most+1) - most
	if logarithm && x > -1 && x < 1 {
		return bits32(x + float32(n)*0x1p-23)
	}
	return v + uint32(n)
}
