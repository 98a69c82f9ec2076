package main

// emitRopeHeads writes rope for all heads of a row: a head of 32 has one register of each
// half, which is less than a call.
func emitRopeHeads(f *file) {
	fr := f.function("ropeHalfAVX512", "is y1 = x1*cos - x2*sign*sin and y2 = x2*cos + x1*sign*sin for so many heads of 2n elements, whose halves are 1 and 2. y is bfloat16 and n a multiple of 16.",
		[]arg{{"y", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"cos", "unsafe.Pointer"}, {"sin", "unsafe.Pointer"}, {"n", "int"}, {"heads", "int"}, {"sign", "float32"}}, nil)
	for _, m := range [][2]string{{"y", "DI"}, {"x", "SI"}, {"cos", "R8"}, {"sin", "R9"}, {"n", "CX"}, {"heads", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("VBROADCASTSS %s, Z31", fr.slot("sign"))
	head, some, done := f.label("head"), f.label("some"), f.label("done")
	f.op("TESTQ CX, CX")
	f.op("JEQ %s", done)
	f.op("LEAQ (SI)(CX*4), DX") // x2
	f.op("LEAQ (DI)(CX*2), BX") // y2
	f.mark(head)
	f.op("XORQ AX, AX")
	f.mark(some)
	f.op("VMOVUPS (SI)(AX*4), Z0")
	f.op("VMOVUPS (DX)(AX*4), Z1")
	f.op("VMOVUPS (R8)(AX*4), Z2")
	f.op("VMULPS (R9)(AX*4), Z31, Z3")
	f.op("VMULPS Z3, Z1, Z4")
	f.op("VFMSUB231PS Z0, Z2, Z4")
	f.op("VMULPS Z3, Z0, Z5")
	f.op("VFMADD231PS Z1, Z2, Z5")
	f.convertOne(4, 4)
	f.convertOne(5, 5)
	f.op("VMOVDQU Y4, (DI)(AX*2)")
	f.op("VMOVDQU Y5, (BX)(AX*2)")
	f.op("ADDQ $%d, AX", avx512.width)
	f.op("CMPQ AX, CX")
	f.op("JLT %s", some)
	for _, m := range [][2]string{{"SI", "8"}, {"DX", "8"}, {"DI", "4"}, {"BX", "4"}} {
		f.op("LEAQ (%s)(CX*%s), %[1]s", m[0], m[1])
	}
	f.op("DECQ R10")
	f.op("JNZ %s", head)
	f.mark(done)
	f.ret()
}
