package main

import "math"

// The limits of exp. Above expMax the result is +Inf. Below the minimum it is
// 0; AVX2, which has no instruction for powers of two, gives up below the
// normal numbers.
const (
	expMax       = 89
	expMinAVX512 = -105
	expMinAVX2   = -86
)

// exp replaces x by e^x: with n the integer nearest to x*log2(e), f the rest in
// [-1/2, 1/2] and the series of 2^f to the seventh power (5e-9 of truncation),
// it is 2^n 2^f. log2(e) comes in two parts, so that f keeps float32's
// precision for large x. NaN stays NaN.
func (e *emitter) exp(x int) {
	n, f, p := firstExp, firstExp+1, firstExp+2
	log2e := float64(float32(math.Log2E))
	lowest := expMinAVX512
	if e.isa == avx2 {
		lowest = expMinAVX2
	}
	// The second source of VMINPS and VMAXPS, the first operand here, comes out
	// where either is NaN.
	e.op("VMINPS", x, e.constantIn(expMax, n), x)
	if e.isa == avx2 {
		e.op("VMOVUPS", e.constant(expMinAVX2), n)
		e.op("VCMPPS", "$1", n, x, scalarRegister) // x < lowest
	}
	e.op("VMAXPS", x, e.constantIn(float64(lowest), n), x)
	e.op("VMULPS", e.constant(log2e), x, n)
	if e.isa == avx2 {
		e.op("VROUNDPS", "$0", n, n)
	} else {
		e.op("VRNDSCALEPS", "$0", n, n)
	}
	e.op("VMOVAPS", x, f)
	e.op("VFMSUB132PS", e.constant(log2e), n, f)
	e.op("VFMADD231PS", e.constant(math.Log2E-log2e), x, f)
	e.op("VMOVUPS", e.constant(series(7)), p)
	for i := 6; i >= 0; i-- {
		e.op("VFMADD213PS", e.constant(series(i)), f, p)
	}
	if e.isa == avx512 {
		e.op("VSCALEFPS", n, p, x)
		return
	}
	e.scaleAVX2(x, n, f, p)
}

// series is the coefficient ln(2)^i/i! of 2^f.
func series(i int) float64 {
	c := 1.0
	for j := 1; j <= i; j++ {
		c *= math.Ln2 / float64(j)
	}
	return c
}

// scaleAVX2 makes x = p 2^n by the exponent field: one power less, then a
// doubling, so that n = 128 overflows to +Inf.
func (e *emitter) scaleAVX2(x, n, f, p int) {
	e.op("VCVTPS2DQ", n, n)
	e.op("VPADDD", e.f.dwords("minusOne", func(int) uint32 { return 0xffffffff }), n, n)
	e.op("VPSLLD", "$23", n, n)
	e.op("VPADDD", n, p, p)
	e.op("VADDPS", p, p, p)
	e.op("VSUBPS", x, x, f) // 0, or NaN
	e.op("VADDPS", f, p, x)
	e.op("VANDNPS", x, scalarRegister, x)
}
