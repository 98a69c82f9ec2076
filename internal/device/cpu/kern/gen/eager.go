package main

import "fmt"

// An eager tile is a tile of AVX-512 for a product of so few rows that memory has
// to give a panel of b in the time of two or three of them: it brings 64 bytes a
// word from next on into the second cache, where the others bring 16, and takes its
// own panel from there.

const (
	eagerRows  = 7 // those of the lowest panel where there is more than one
	eagerBytes = 64
	eagerAhead = 2 << 10 // from the second cache to the first
)

func emitEager(f *file) {
	for mr := eagerRows; mr <= rows512; mr++ {
		eager512(f, fmt.Sprintf("eagerF32x%d", mr), mr, func(b, a, c int) { f.op("VFMADD231PS Z%d, Z%d, Z%d", b, a, c) })
	}
	for mr := eagerRows; mr <= rows512; mr++ {
		eager512(f, fmt.Sprintf("eagerBF16x%d", mr), mr, f.dotPairs)
	}
}

func eager512(f *file, name string, mr int, multiply func(b, a, c int)) {
	fr := f.function(name, fmt.Sprintf("is an eager tile of %d rows with AVX-512.", mr), tileArgs, nil)
	loadTileArgs(f, fr)
	f.clearSums(2 * mr)
	loop, done := f.label("word"), f.label("done")
	f.op("TESTQ CX, CX")
	f.op("JEQ %s", done)
	f.op("PCALIGN $64")
	f.mark(loop)
	f.op("PREFETCHT1 (R9)")
	f.op("PREFETCHT0 %d(DI)", eagerAhead)
	f.op("PREFETCHT0 %d(DI)", eagerAhead+64)
	f.op("VMOVUPS (DI), Z28")
	f.op("VMOVUPS 64(DI), Z29")
	for i := range mr {
		f.op("VBROADCASTSS %d(SI), Z%d", 4*i, 30+i%2)
		multiply(28, 30+i%2, 2*i)
		multiply(29, 30+i%2, 2*i+1)
	}
	f.op("ADDQ $%d, R9", eagerBytes)
	f.op("ADDQ $%d, DI", panelStride)
	f.op("ADDQ $%d, SI", 4*mr)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.mark(done)
	f.op("VBROADCASTSS %s, Z31", fr.slot("alpha"))
	storeTile(f, fr, mr, []string{"Z%d", "Z%d"}, "Z31", 64)
	f.ret()
}
