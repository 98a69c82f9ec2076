// Package half converts between float32 and the two 16-bit floats that weights
// come in: IEEE 754 binary16 (F16) and bfloat16 (BF16).
package half

import "math"

// FromBF16 widens a bfloat16: the upper half of a float32.
func FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// ToBF16 rounds to nearest, ties to even. A NaN stays a NaN, quiet.
func ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromF16 widens an IEEE 754 binary16, exactly.
func FromF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent, mantissa := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero or subnormal: mantissa units of 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(mantissa)*(1.0/(1<<24))))
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | mantissa<<13)
}

// ToF16 rounds to nearest, ties to even; what is too large becomes an
// infinity. A NaN stays a NaN, quiet.
func ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	abs := b & 0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | uint16(abs>>13&0x3ff)
	case abs >= 0x477ff000: // 65520, the first value that rounds to infinity
		return sign | 0x7c00
	case abs < 0x38800000: // 2^-14, below it binary16 is subnormal
		// Adding 0.5 puts the unit of the last place at 2^-24, so the adder rounds.
		return sign | uint16(math.Float32bits(math.Float32frombits(abs)+0.5)-math.Float32bits(0.5))
	}
	return sign | uint16((abs-(127-15)<<23+0xfff+abs>>13&1)>>13)
}
