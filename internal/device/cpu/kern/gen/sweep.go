package main

import "fmt"

// A sweep takes a panel of a over several panels of b, and a low-rank product with
// it: where K is short, a call for each tile, the sums' way to c and back between the
// two products and rows of c that come too late are a twentieth of the time. The
// low-rank sums come first and wait in work, so that each element has the bits of a
// tile and then another that adds to it.

// sweepRows are the heights of panels that an x of 169 rows or more has.
var sweepRows = []int{rows512 - 1, rows512}

// sweepAhead is how far a sweep reads ahead in b: from the second cache to the first.
const sweepAhead = 2 << 10

var sweepArgs = []arg{
	{"k", "int"}, {"a", "unsafe.Pointer"}, {"b", "unsafe.Pointer"}, {"bStep", "int"},
	{"lowK", "int"}, {"lowA", "unsafe.Pointer"}, {"lowB", "unsafe.Pointer"}, {"lowStep", "int"},
	{"c", "unsafe.Pointer"}, {"ldc", "int"}, {"panels", "int"}, {"alpha", "float32"}, {"add", "int"},
	{"half", "int"}, {"work", "unsafe.Pointer"}, {"every", "int"}, {"next", "unsafe.Pointer"}, {"nextLeft", "int"}, {"behind", "unsafe.Pointer"},
}

func emitSweeps(f *file) {
	for _, mr := range sweepRows {
		sweep512(f, fmt.Sprintf("sweepF32x%d", mr), mr, false, func(b, a, c int) { f.op("VFMADD231PS Z%d, Z%d, Z%d", b, a, c) })
	}
	for _, mr := range sweepRows {
		sweep512(f, fmt.Sprintf("sweepBF16x%d", mr), mr, true, f.dotPairs)
	}
}

// sweep512 has the accumulators of row i in Z(2i) and Z(2i+1). Where rounds says so it can
// write them as bfloat16.
func sweep512(f *file, name string, mr int, rounds bool, multiply func(b, a, c int)) {
	fr := f.function(name, fmt.Sprintf("is c = alpha (a b + lowA lowB), or c += that if add is not 0, for %d rows and so many panels of b. If half is not 0, c is bfloat16 and add 0.", mr), sweepArgs, nil)
	for _, m := range [][2]string{{"b", "R12"}, {"lowB", "R13"}, {"c", "DX"}, {"ldc", "BX"}, {"panels", "R11"}, {"work", "R10"}, {"next", "R9"}, {"every", "R15"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	panel, whole := f.label("panel"), f.label("whole")
	step := func(s int) { step512(f, mr, s, multiply) }
	f.mark(panel)
	f.clearSums(2 * mr)
	f.op("MOVQ %s, CX", fr.slot("lowK"))
	f.op("TESTQ CX, CX")
	f.op("JEQ %s", whole)
	f.sweepLow(fr, mr, step)
	f.clearSums(2 * mr)
	f.mark(whole)
	f.op("MOVQ %s, CX", fr.slot("k"))
	f.op("MOVQ %s, SI", fr.slot("a"))
	f.op("MOVQ R12, DI")
	f.op("MOVQ DX, R8")
	// R15 is the words from a row of c to the next, less those of a round.
	tileLoop(f, mr, tileUnroll, nextLine, "R15", func(s int) {
		f.op("PREFETCHT0 %d(DI)", panelStride*s+sweepAhead)
		f.op("PREFETCHT0 %d(DI)", panelStride*s+64+sweepAhead)
		step(s)
	})
	f.sweepStore(fr, mr, rounds)
	f.op("ADDQ %s, R12", fr.slot("bStep"))
	f.sweepNext(fr)
	f.op("DECQ R11")
	f.op("JNZ %s", panel)
	f.ret()
}

// sweepLow leaves the low-rank sums of a panel in work.
func (f *file) sweepLow(fr frame, mr int, step func(int)) {
	word := f.label("word")
	f.op("MOVQ %s, SI", fr.slot("lowA"))
	f.op("MOVQ R13, DI")
	f.op("ADDQ %s, R13", fr.slot("lowStep"))
	f.op("PCALIGN $64")
	f.mark(word)
	step(0)
	f.op("ADDQ $%d, DI", panelStride)
	f.op("ADDQ $%d, SI", 4*mr)
	f.op("DECQ CX")
	f.op("JNZ %s", word)
	for i := range 2 * mr {
		f.op("VMOVUPS Z%d, %d(R10)", i, 64*i)
	}
}

// sweepStore writes a panel's rows of c and goes on to the next panel's.
func (f *file) sweepStore(fr frame, mr int, rounds bool) {
	add, low, store, wide, done := f.label("add"), f.label("low"), f.label("store"), f.label("wide"), f.label("stored")
	f.op("MOVQ DX, R8")
	f.op("VBROADCASTSS %s, Z31", fr.slot("alpha"))
	f.op("CMPQ %s, $0", fr.slot("add"))
	f.op("JNE %s", add)
	f.op("CMPL %s, $0x%08x", fr.slot("alpha"), floatBits(1))
	f.op("JEQ %s", low)
	for i := range 2 * mr {
		f.op("VMULPS Z31, Z%d, Z%d", i, i)
	}
	f.op("JMP %s", low)
	f.mark(add)
	for i := range mr {
		f.op("VFMADD213PS (R8), Z31, Z%d", 2*i)
		f.op("VFMADD213PS 64(R8), Z31, Z%d", 2*i+1)
		f.op("ADDQ BX, R8")
	}
	f.op("MOVQ DX, R8")
	f.mark(low)
	f.op("CMPQ %s, $0", fr.slot("lowK"))
	f.op("JEQ %s", store)
	for i := range 2 * mr {
		f.op("VFMADD231PS %d(R10), Z31, Z%d", 64*i, i)
	}
	f.mark(store)
	if rounds {
		f.op("CMPQ %s, $0", fr.slot("half"))
		f.op("JEQ %s", wide)
		for i := range mr {
			f.convertTwo(2*i, 2*i+1, 2*i)
			f.op("VMOVDQU64 Z%d, (R8)", 2*i)
			f.op("ADDQ BX, R8")
		}
		f.op("ADDQ $%d, DX", panelStride/2)
		f.op("JMP %s", done)
		f.mark(wide)
	}
	for i := range mr {
		f.op("VMOVUPS Z%d, (R8)", 2*i)
		f.op("VMOVUPS Z%d, 64(R8)", 2*i+1)
		f.op("ADDQ BX, R8")
	}
	f.op("ADDQ $%d, DX", panelStride)
	f.mark(done)
}

// sweepNext turns to what comes behind the next panel of a, once that is brought in.
func (f *file) sweepNext(fr frame) {
	same := f.label("same")
	f.op("DECQ %s", fr.slot("nextLeft"))
	f.op("JNE %s", same)
	f.op("MOVQ %s, R9", fr.slot("behind"))
	f.mark(same)
}
