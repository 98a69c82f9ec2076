package ptxsim

import "math"

// Rounding modes of conversions.
const (
	nearestEven = iota
	towardZero
	down
	up
	nearestAway
)

// layout is a float format of at most 32 bits.
type layout struct {
	exponent, fraction int
}

var (
	singleLayout = layout{8, 23}
	brainLayout  = layout{8, 7}
	halfLayout   = layout{5, 10}
	tf32Layout   = layout{8, 10}
)

// encode rounds a number to the format once. Beyond the largest number it
// yields infinity, or the largest where the mode rounds toward 0; NaN becomes
// the canonical one, all bits but the sign.
func (l layout) encode(v float64, mode int) uint32 {
	sign := uint32(0)
	if math.Signbit(v) {
		sign = 1 << (l.exponent + l.fraction)
	}
	infinity := uint32(1<<l.exponent-1) << l.fraction
	switch {
	case v != v:
		return infinity | (1<<l.fraction - 1)
	case math.IsInf(v, 0):
		return sign | infinity
	case v == 0:
		return sign
	}
	bias := 1<<(l.exponent-1) - 1
	_, e := math.Frexp(v) // |v| in [2^(e-1), 2^e)
	quantum := max(e-1, 1-bias) - l.fraction
	n := roundInteger(math.Ldexp(math.Abs(v), -quantum), modeOf(mode, sign != 0))
	// A subnormal number's n is its bits; for a normal one the hidden bit
	// carries into the exponent.
	bits := uint32(n)
	if quantum > 1-bias-l.fraction {
		bits += uint32(quantum-(1-bias-l.fraction)) << l.fraction
	}
	if bits >= infinity {
		bits = infinity
		if m := modeOf(mode, sign != 0); m == towardZero || m == down {
			bits--
		}
	}
	return sign | bits
}

// modeOf turns a mode into the one for the magnitude of a signed number.
func modeOf(mode int, negative bool) int {
	if !negative {
		return mode
	}
	switch mode {
	case down:
		return up
	case up:
		return down
	}
	return mode
}

func roundInteger(v float64, mode int) float64 {
	switch mode {
	case towardZero:
		return math.Trunc(v)
	case down:
		return math.Floor(v)
	case up:
		return math.Ceil(v)
	case nearestAway:
		return math.Round(v)
	}
	return math.RoundToEven(v)
}

// decode reads a number of the format.
func (l layout) decode(v uint32) float64 {
	sign := 1.0
	if v>>(l.exponent+l.fraction)&1 != 0 {
		sign = -1
	}
	e := int(v>>l.fraction) & (1<<l.exponent - 1)
	f := float64(v & (1<<l.fraction - 1))
	bias := 1<<(l.exponent-1) - 1
	switch {
	case e == 1<<l.exponent-1 && f != 0:
		return math.NaN()
	case e == 1<<l.exponent-1:
		return sign * math.Inf(1)
	case e == 0:
		return sign * math.Ldexp(f, 1-bias-l.fraction)
	}
	return sign * math.Ldexp(f+float64(int(1)<<l.fraction), e-bias-l.fraction)
}

// toBrain rounds float32 bits to bfloat16, to nearest even.
func toBrain(v uint32) uint32 {
	if v&0x7fffffff > 0x7f800000 {
		return 0x7fff
	}
	return (v + 0x7fff + v>>16&1) >> 16
}
