package main

import "math"

// emitFinishRows is for 16 rows at most, two registers of float64. It takes the logarithm in the steps of package math's, whose bits it has: with
// x = 2^k (1+f) and 1+f in [sqrt(2)/2, sqrt(2)), s = f/(2+f) and R a polynomial of s^2, it is
// k ln(2) - ((f^2/2 - (s (f^2/2+R) + k low)) - f), low being what ln(2) has more than k's factor.
func emitFinishRows(f *file) {
	fr := f.function("finishRows", "writes at most 16 rows of n sums, rowBytes apart, times 1/sum in bfloat16 to the addresses that out lists, and lse = largest + log(sum) to lse[16]; lse[16:32] becomes 1/sum.",
		[]arg{{"o", "unsafe.Pointer"}, {"rowBytes", "int"}, {"out", "unsafe.Pointer"}, {"n", "int"}, {"rows", "int"}, {"largest", "unsafe.Pointer"}, {"sums", "unsafe.Pointer"}, {"lse", "unsafe.Pointer"}}, nil)
	for _, m := range [][2]string{{"o", "SI"}, {"rowBytes", "R10"}, {"out", "DX"}, {"n", "CX"}, {"rows", "R8"}, {"largest", "BX"}, {"sums", "R12"}, {"lse", "DI"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("MOVQ $-1, AX")
	f.op("BZHIQ R8, AX, AX")
	for half := range 2 {
		f.op("KMOVW AX, K1")
		f.op("SHRQ $8, AX")
		f.op("VMOVUPD.Z %d(R12), K1, Z0", 64*half)
		f.op("VMOVUPS.Z %d(BX), K1, Z1", 32*half) // of which 8 count
		f.inverse(64 + 32*half)
		f.logarithm()
		f.op("VCVTPS2PD Y1, Z1")
		f.op("VADDPD Z0, Z1, Z0")
		f.op("VCVTPD2PS Z0, Y0")
		f.op("VMOVUPS Y0, %d(DI)", 32*half)
	}
	f.op("ADDQ $64, DI")
	row, step := f.label("row"), f.label("step")
	f.mark(row)
	f.op("MOVQ (DX), R9")
	f.op("VBROADCASTSS (DI), Z1")
	f.op("XORQ AX, AX")
	f.mark(step)
	f.op("VMULPS (SI)(AX*4), Z1, Z0")
	f.convertOne(0, 0)
	f.op("VMOVUPS Y0, (R9)(AX*2)")
	f.op("ADDQ $16, AX")
	f.op("CMPQ AX, CX")
	f.op("JLT %s", step)
	f.op("ADDQ R10, SI")
	f.op("ADDQ $8, DX")
	f.op("ADDQ $4, DI")
	f.op("DECQ R8")
	f.op("JNZ %s", row)
	f.ret()
}

// inverse stores 1/x of 8 float64 in register 0, or 0 where x is.
func (f *file) inverse(at int) {
	f.op("VPXORQ Z2, Z2, Z2")
	f.op("VMOVUPD %s, Z3", f.double(1))
	f.op("VDIVPD Z0, Z3, Z3")
	f.op("VCMPPD $0, Z2, Z0, K2")
	f.op("VMOVAPD Z2, K2, Z3")
	f.op("VCVTPD2PS Z3, Y3")
	f.op("VMOVUPS Y3, %d(DI)", at)
}

// logarithm replaces 8 float64 that are not negative, in register 0. It leaves 1 alone.
func (f *file) logarithm() {
	const k, m, s, s2, s4, t1, t2, r = 2, 3, 4, 5, 6, 7, 8, 9
	f.op("VGETEXPPD Z0, Z%d", k)
	f.op("VGETMANTPD $0, Z0, Z%d", m) // in [1, 2)
	f.op("VMULPD %s, Z%d, Z%d", f.double(0.5), m, s)
	f.op("VCMPPD $6, %s, Z%d, K2", f.double(math.Sqrt2/2), s) // not less or equal
	f.op("VMOVAPD Z%d, K2, Z%d", s, m)
	f.op("VADDPD %s, Z%d, K2, Z%[2]d", f.double(1), k)
	f.op("VSUBPD %s, Z%d, Z%[2]d", f.double(1), m) // f
	f.op("VADDPD %s, Z%d, Z%d", f.double(2), m, s)
	f.op("VDIVPD Z%d, Z%d, Z%[1]d", s, m)
	f.op("VMULPD Z%d, Z%[1]d, Z%d", s, s2)
	f.op("VMULPD Z%d, Z%[1]d, Z%d", s2, s4)
	// Package math's L1 to L7.
	f.series(t1, s4, 6.666666666666735130e-01, 2.857142874366239149e-01, 1.818357216161805012e-01, 1.479819860511658591e-01)
	f.series(t2, s4, 3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01)
	f.op("VMULPD Z%d, Z%d, Z%[2]d", s2, t1)
	f.op("VMULPD Z%d, Z%d, Z%[2]d", s4, t2)
	f.op("VADDPD Z%d, Z%d, Z%d", t2, t1, r)
	f.op("VMULPD %s, Z%d, Z0", f.double(0.5), m)
	f.op("VMULPD Z%d, Z0, Z0", m) // f^2/2
	f.op("VADDPD Z0, Z%d, Z%[1]d", r)
	f.op("VMULPD Z%d, Z%d, Z%[2]d", r, s)
	f.op("VMULPD %s, Z%d, Z%d", f.double(1.90821492927058770002e-10), k, r)
	f.op("VADDPD Z%d, Z%d, Z%[2]d", r, s)
	f.op("VSUBPD Z%d, Z0, Z0", s)
	f.op("VSUBPD Z%d, Z0, Z0", m)
	f.op("VMULPD %s, Z%d, Z%[2]d", f.double(6.93147180369123816490e-01), k)
	f.op("VSUBPD Z0, Z%d, Z0", k)
}

// series is c[0] + x (c[1] + x (c[2] ...)) of float64, each step rounded.
func (f *file) series(dst, x int, c ...float64) {
	last := len(c) - 1
	f.op("VMOVUPD %s, Z%d", f.double(c[last]), dst)
	for i := last - 1; i >= 0; i-- {
		f.op("VMULPD Z%d, Z%d, Z%[2]d", x, dst)
		f.op("VADDPD %s, Z%d, Z%[2]d", f.double(c[i]), dst)
	}
}
