package main

import (
	"fmt"
	"slices"
)

// A wide tile is a tile of float32 whose panel of b is pairs of bfloat16, as a
// weight lies in memory: each pair is widened in registers, its low half before its
// high half, so that the sums have the bits of the tile on the widened panel. k is
// even. It brings as many bytes as b has from next on into the second cache.

// wideWhole is the most rows whose sums of all 32 columns stay in registers.
const wideWhole = 2

func emitWideTiles(f *file) {
	for mr := 1; mr <= rows256; mr++ {
		fr := f.function(fmt.Sprintf("wideAVX2x%d", mr), fmt.Sprintf("is a tile of %d rows and pairs of bfloat16 with AVX2.", mr), tileArgs, nil)
		if mr <= wideWhole {
			wideTile(f, fr, mr, 4, 0)
		} else {
			wideTile(f, fr, mr, 2, 0)
			wideTile(f, fr, mr, 2, panelStride/2)
		}
		f.ret()
	}
}

// wideTile does some vectors of columns, at bytes from the first on.
func wideTile(f *file, fr frame, mr, vectors, at int) {
	loadTileArgs(f, fr)
	if at > 0 {
		f.op("ADDQ $%d, DI", at)
		f.op("ADDQ $%d, DX", at)
		f.op("ADDQ $%d, R9", at)
	}
	beginWide(f, fr, mr, vectors)
	loop, done := f.label("pair"), f.label("done")
	f.op("SHRQ $1, CX")
	f.op("JEQ %s", done)
	f.op("PCALIGN $64")
	f.mark(loop)
	for line := 0; line < vectors*32; line += 64 {
		f.op("PREFETCHT1 %d(R9)", line)
	}
	f.op("ADDQ $%d, R9", panelStride)
	if vectors == 4 {
		wideWholeStep(f, mr)
	} else {
		wideHalfStep(f, mr)
	}
	f.op("ADDQ $%d, DI", panelStride)
	f.op("ADDQ $%d, SI", 8*mr)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.mark(done)
	storeWide(f, fr, mr, vectors)
}

// wideWholeStep is a pair of words with 32 columns: sums in 0 to 7, x in 8 to 11.
func wideWholeStep(f *file, mr int) {
	for w := range 2 {
		for i := range mr {
			f.op("VBROADCASTSS %d(SI), Y%d", 4*(mr*w+i), 8+2*w+i)
		}
	}
	for v := range 4 {
		low, high := 12, 13
		f.op("VMOVDQU %d(DI), Y%d", 32*v, high)
		f.op("VPSLLD $16, Y%d, Y%d", high, low)
		f.op("VPAND Y15, Y%d, Y%d", high, high)
		for w, b := range []int{low, high} {
			for i := range mr {
				f.op("VFMADD231PS Y%d, Y%d, Y%d", b, 8+2*w+i, 4*i+v)
			}
		}
	}
}

// wideHalfStep is a pair of words with 16 columns: sums in 0 to 11, b in 12 and 13.
func wideHalfStep(f *file, mr int) {
	for w := range 2 {
		for v := range 2 {
			if w == 0 {
				f.op("VMOVDQU %d(DI), Y%d", 32*v, 12+v)
				f.op("VPSLLD $16, Y%d, Y%d", 12+v, 12+v)
			} else {
				f.op("VMOVDQU %s, Y%d", highHalf(f), 12+v)
				f.op("VPAND %d(DI), Y%d, Y%d", 32*v, 12+v, 12+v)
			}
		}
		for i := range mr {
			x := 14 + i%2
			f.op("VBROADCASTSS %d(SI), Y%d", 4*(mr*w+i), x)
			f.op("VFMADD231PS Y12, Y%d, Y%d", x, 2*i)
			f.op("VFMADD231PS Y13, Y%d, Y%d", x, 2*i+1)
		}
	}
}

// highHalf masks the second of a pair.
func highHalf(f *file) string { return f.dwords("high_half", func(int) uint32 { return 0xffff0000 }) }

// beginWide sets the sums to 0, or to c where add is onward.
func beginWide(f *file, fr frame, mr, vectors int) {
	beginTile(f, fr, mr, slices.Repeat([]string{"Y%d"}, vectors), "VXORPS", 32)
	if vectors == 4 {
		f.op("VMOVDQU %s, Y15", highHalf(f))
	}
}

// storeWide writes alpha times the sums, or adds that.
func storeWide(f *file, fr frame, mr, vectors int) {
	add, done := f.label("add"), f.label("stored")
	f.op("VBROADCASTSS %s, Y15", fr.slot("alpha"))
	f.op("MOVQ %s, AX", fr.slot("add"))
	f.op("TESTQ AX, AX")
	f.op("JGT %s", add)
	each := func(scale func(at, reg int)) {
		for i := range mr {
			for v := range vectors {
				scale(32*v, vectors*i+v)
				f.op("VMOVUPS Y%d, %d(DX)", vectors*i+v, 32*v)
			}
			f.op("ADDQ BX, DX")
		}
	}
	each(func(_, reg int) { f.op("VMULPS Y15, Y%d, Y%d", reg, reg) })
	f.op("JMP %s", done)
	f.mark(add)
	each(func(at, reg int) { f.op("VFMADD213PS %d(DX), Y15, Y%d", at, reg) })
	f.mark(done)
}
