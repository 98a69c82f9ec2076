package main

// A product down to few words of K that joins c under a mask: two rows at a time, whose
// sums do not go to memory before they join. They have the bits of a tile's.

var lowKeptArgs = []arg{{"k", "int"}, {"a", "unsafe.Pointer"}, {"rows", "int"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"ldc", "int"}, {"mask", "unsafe.Pointer"}, {"maskRow", "int"}, {"scale", "float32"}}

func emitLowKept(f *file) {
	f.lowKept("lowKeptF32", func(b, a, c int) { f.op("VFMADD231PS Z%d, Z%d, Z%d", b, a, c) })
	f.lowKept("lowKeptBF16", f.dotPairs)
}

func (f *file) lowKept(name string, multiply func(b, a, c int)) {
	fr := f.function(name, "is c += scale a b where the mask has a 1, for a panel of a of so many rows and 32 columns.", lowKeptArgs, nil)
	for _, m := range [][2]string{{"a", "SI"}, {"rows", "R10"}, {"c", "DX"}, {"ldc", "BX"}, {"mask", "R11"}, {"maskRow", "R12"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("VBROADCASTSS %s, Z31", fr.slot("scale"))
	f.op("MOVQ R10, R13")
	f.op("SHLQ $2, R13")
	pair, one, done := f.label("pair"), f.label("one"), f.label("done")
	f.mark(pair)
	f.op("SUBQ $2, R10")
	f.op("JLT %s", one)
	f.lowRows(fr, 2, multiply)
	f.op("JMP %s", pair)
	f.mark(one)
	f.op("ADDQ $2, R10")
	f.op("JEQ %s", done)
	f.lowRows(fr, 1, multiply)
	f.mark(done)
	f.ret()
}

// lowRows does n rows and goes on to the next.
func (f *file) lowRows(fr frame, n int, multiply func(b, a, c int)) {
	f.clearSums(2 * n)
	f.op("MOVQ SI, R8")
	f.op("MOVQ %s, DI", fr.slot("b"))
	f.op("MOVQ %s, CX", fr.slot("k"))
	word := f.label("word")
	f.mark(word)
	f.op("VMOVUPS (DI), Z28")
	f.op("VMOVUPS 64(DI), Z29")
	for i := range n {
		f.op("VBROADCASTSS %d(R8), Z%d", 4*i, 26+i)
		multiply(28, 26+i, 2*i)
		multiply(29, 26+i, 2*i+1)
	}
	f.op("ADDQ $%d, DI", panelStride)
	f.op("ADDQ R13, R8")
	f.op("DECQ CX")
	f.op("JNZ %s", word)
	for i := range n {
		for half := range 2 {
			f.op("KMOVW %d(R11), K%d", 2*half, 1+half)
			f.op("VMOVUPS %d(DX), Z30", 64*half)
			f.op("VFMADD231PS Z%d, Z31, K%d, Z30", 2*i+half, 1+half)
			f.op("VMOVUPS Z30, %d(DX)", 64*half)
		}
		f.op("ADDQ BX, DX")
		f.op("ADDQ R12, R11")
	}
	f.op("ADDQ $%d, SI", 4*n)
}
