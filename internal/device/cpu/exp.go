package cpu

import (
	"math"
	"unsafe"
)

// Limits of float32: below expMin the result rounds to 0, above expMax to +Inf.
const (
	expMin = -104.0
	expMax = 88.8
)

// roundMagic brings the nearest integer of x into the low bits of x+roundMagic.
const roundMagic = 3 << 51

// exp is e^x: for float32 a polynomial, within 1 ulp, for float64 math.Exp.
func exp[E float](x E) E {
	if unsafe.Sizeof(x) == 4 {
		return E(exp32(float32(x)))
	}
	return E(math.Exp(float64(x)))
}

// exp32 splits x*log2(e) into an integer and a rest in [-1/2, 1/2] and sums
// the Taylor series of 2^rest in float64, whose error (6e-9 relative) is a
// tenth of float32's rounding.
func exp32(x float32) float32 {
	switch {
	case x < expMin:
		return 0
	case x > expMax:
		return float32(math.Inf(1))
	case x != x:
		return x
	}
	t := float64(x) * math.Log2E
	shifted := t + roundMagic
	f := t - (shifted - roundMagic)
	// Coefficients ln(2)^i / i!.
	p := 1.5252733804059841e-05
	p = p*f + 1.5403530393381608e-04
	p = p*f + 1.3333558146428443e-03
	p = p*f + 9.6181291076284772e-03
	p = p*f + 5.5504108664821580e-02
	p = p*f + 2.4022650695910071e-01
	p = p*f + 6.9314718055994531e-01
	p = p*f + 1
	n := int64(int32(math.Float64bits(shifted)))
	return float32(p * math.Float64frombits(uint64(n+1023)<<52))
}
