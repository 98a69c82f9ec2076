package main

import "math"

// emitFlashFinish divides 16 rows of sums by the sums of their weights.
//
// The logarithm of m 2^e, with m in [3/4, 3/2), is e ln(2) + 2 atanh(z) with
// z = (m-1)/(m+1), at most 1/5: six terms of its series leave 2e-10.
func emitFlashFinish(f *file) {
	fr := f.function("flashFinish", "writes 16 rows of cols sums, stride bytes apart and with the sum of the weights behind them, over that sum to the addresses that out lists, and lse = scale*reference + log(sum 2^flashRoom) and 1/sum to lse[16] and lse[16:].",
		[]arg{{"o", "unsafe.Pointer"}, {"reference", "unsafe.Pointer"}, {"out", "unsafe.Pointer"}, {"lse", "unsafe.Pointer"}, {"rows", "int"}, {"cols", "int"}, {"stride", "int"}, {"sum", "int"}, {"scale", "float32"}}, nil)
	for _, m := range [][2]string{{"o", "SI"}, {"reference", "AX"}, {"out", "DX"}, {"lse", "DI"}, {"rows", "R8"}, {"cols", "R9"}, {"stride", "R10"}, {"sum", "R13"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("VPBROADCASTD R10, Z0")
	f.op("VPMULLD %s, Z0, Z0", f.dwords("counting", func(i int) uint32 { return uint32(i) }))
	f.op("KXNORW K2, K2, K2")
	f.op("LEAQ (SI)(R13*1), BX")
	f.op("VGATHERDPS (BX)(Z0*1), K2, Z1") // the sums
	f.op("VMOVUPS (AX), Z2")
	f.op("VMOVUPS %s, Z3", f.wide(math.Inf(-1)))
	f.op("VMOVUPS %s, Z4", f.wide(1))
	f.op("VCMPPS $0, Z3, Z2, K3") // sees nothing
	f.op("VCMPPS $3, Z2, Z2, K4") // NaN
	f.op("VDIVPS Z1, Z4, Z5")
	f.op("VPXORQ Z6, Z6, Z6")
	f.op("VMOVAPS Z6, K3, Z5")
	f.op("VMOVAPS Z2, K4, Z5")
	f.op("VMOVUPS Z5, 64(DI)")
	f.op("VGETMANTPS $3, Z1, Z6") // in [3/4, 3/2)
	f.op("VDIVPS Z6, Z1, Z7")
	f.op("VGETEXPPS Z7, Z7") // a power of two
	f.op("VADDPS %s, Z7, Z7", f.wide(flashRoom))
	f.op("VADDPS Z4, Z6, Z8")
	f.op("VSUBPS Z4, Z6, Z6")
	f.op("VDIVPS Z8, Z6, Z6")
	f.op("VMULPS Z6, Z6, Z8")
	f.op("VMOVUPS %s, Z9", f.wide(2.0/11))
	for _, n := range []float64{9, 7, 5, 3, 1} {
		f.op("VFMADD213PS %s, Z8, Z9", f.wide(2/n))
	}
	f.op("VMULPS Z6, Z9, Z9")
	f.op("VFMADD231PS %s, Z7, Z9", f.wide(math.Ln2))
	f.op("VBROADCASTSS %s, Z10", fr.slot("scale"))
	f.op("VFMADD231PS Z2, Z10, Z9")
	f.op("VMOVAPS Z3, K3, Z9")
	f.op("VMOVUPS Z9, (DI)")
	row, col, done := f.label("row"), f.label("col"), f.label("done")
	f.op("TESTQ DX, DX")
	f.op("JEQ %s", done)
	f.mark(row)
	f.op("VBROADCASTSS 64(DI), Z0")
	f.op("MOVQ (DX), BX")
	f.op("MOVQ R9, CX")
	f.op("XORQ AX, AX")
	f.mark(col)
	f.tailMask(avx512, "CX", 16, 2)
	f.op("VMULPS (SI)(AX*1), Z0, Z1")
	f.op("VMOVUPS Z1, K2, (BX)(AX*1)")
	f.op("ADDQ $64, AX")
	f.op("SUBQ $16, CX")
	f.op("JGT %s", col)
	f.op("ADDQ $4, DI")
	f.op("ADDQ $8, DX")
	f.op("ADDQ R10, SI")
	f.op("DECQ R8")
	f.op("JNZ %s", row)
	f.mark(done)
	f.ret()
}
