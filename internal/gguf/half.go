package gguf

import (
	"encoding/binary"
	"math"
)

// loadF16 reads an IEEE 754 binary16, exactly.
func loadF16(b []byte) float32 {
	h := binary.LittleEndian.Uint16(b)
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

// storeF16 rounds to nearest, ties to even; what is too large becomes an
// infinity. A NaN stays a NaN, quiet.
func storeF16(b []byte, x float32) { binary.LittleEndian.PutUint16(b, f16(x)) }

func f16(x float32) uint16 {
	b := math.Float32bits(x)
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

// storeBF16 rounds to nearest, ties to even. A NaN stays a NaN, quiet.
func storeBF16(dst []byte, x float32) {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		binary.LittleEndian.PutUint16(dst, uint16(b>>16)|0x40)
		return
	}
	binary.LittleEndian.PutUint16(dst, uint16((b+0x7fff+b>>16&1)>>16))
}
