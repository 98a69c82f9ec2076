package main

import "fmt"

// A tile function is
//
//	func(k int, a, b, c unsafe.Pointer, ldc int, alpha float32, add int, next unsafe.Pointer)
//
// c[mr,32] = alpha a b (+ c): a is a panel [k][mr], b a panel [k][32] of words
// of 32 bits, each a float32 or a pair of bfloat16; c has rows ldc bytes apart.
// An element has one accumulator and k ascends, so its bits do not depend on mr.
// With add -1 the accumulators begin with c, and alpha is 1.
// On its way it brings 16 bytes a word from next on into the second cache.

var tileArgs = []arg{{"k", "int"}, {"a", "unsafe.Pointer"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"ldc", "int"}, {"alpha", "float32"}, {"add", "int"}, {"next", "unsafe.Pointer"}}

const (
	tileCols   = 32
	rows512    = 14 // 28 accumulators, 2 vectors of b, 2 of a
	rows256    = 6  // 12 accumulators of 8, for 16 columns at a time
	tileUnroll = 4
	nextLine   = 64 // bytes of next for each tileUnroll words
	// unroll256 is the words of a tile with AVX2, which brings in half a line of next for
	// tileUnroll of them: with as few it would ask for each line twice.
	unroll256   = 2 * tileUnroll
	panelStride = 4 * tileCols
	onward      = -1 // add: the sums begin with c
	// panelAhead is how far a tile of several rows reads ahead in its panel of
	// b. With 8 rows that takes a weight from memory at 0.94 of the speed of
	// reading alone, instead of 0.47; one row is faster without.
	panelAhead = 16 << 10
	// panelAhead256 is that of a tile with AVX2, whose panels wait in the second cache.
	// With 2 or 8 KiB Zen 3 is as fast, with 16 KiB 4% slower: that is half the lines of
	// its first cache that a tile of 16 columns uses.
	panelAhead256 = 4 << 10
)

func emitTiles(f *file) {
	for mr := 1; mr <= rows512; mr++ {
		tile512(f, fmt.Sprintf("tileF32x%d", mr), mr, func(b, a, c int) {
			f.op("VFMADD231PS Z%d, Z%d, Z%d", b, a, c)
		})
	}
	for mr := 1; mr <= rows512; mr++ {
		tile512(f, fmt.Sprintf("tileBF16x%d", mr), mr, f.dotPairs)
	}
	for mr := 1; mr <= rows256; mr++ {
		tile256(f, mr)
	}
}

func loadTileArgs(f *file, fr frame) {
	for _, m := range [][2]string{{"k", "CX"}, {"a", "SI"}, {"b", "DI"}, {"c", "DX"}, {"ldc", "BX"}, {"next", "R9"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
}

// tile512 has the accumulators of row i in Z(2i) and Z(2i+1).
func tile512(f *file, name string, mr int, multiply func(b, a, c int)) {
	fr := f.function(name, fmt.Sprintf("is a tile of %d rows with AVX-512.", mr), tileArgs, nil)
	loadTileArgs(f, fr)
	f.op("MOVQ DX, R8")
	beginTile(f, fr, mr, []string{"Z%d", "Z%d"}, "VPXORQ", 64)
	tileLoop(f, mr, tileUnroll, nextLine, rowBits(mr, tileUnroll), func(step int) {
		for at := 0; at < panelStride && mr > 1; at += 64 {
			f.op("PREFETCHT0 %d(DI)", panelStride*step+at+panelAhead)
		}
		step512(f, mr, step, multiply)
	})
	f.op("VBROADCASTSS %s, Z31", fr.slot("alpha"))
	storeTile(f, fr, mr, []string{"Z%d", "Z%d"}, "Z31", 64)
	f.ret()
}

// clearSums zeroes the first n accumulators.
func (f *file) clearSums(n int) {
	for i := range n {
		f.op("VPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
}

// step512 is a word of K.
func step512(f *file, mr, step int, multiply func(b, a, c int)) {
	f.stepOf(mr, step, multiply, func(row int) string { return fmt.Sprintf("%d(SI)", 4*(mr*step+row)) })
}

// stepOf is step512 of an a whose words lie at such places.
func (f *file) stepOf(mr, step int, multiply func(b, a, c int), at func(row int) string) {
	f.op("VMOVUPS %d(DI), Z28", panelStride*step)
	f.op("VMOVUPS %d(DI), Z29", panelStride*step+64)
	for i := range mr {
		f.op("VBROADCASTSS %s, Z%d", at(i), 30+i%2)
		multiply(28, 30+i%2, 2*i)
		multiply(29, 30+i%2, 2*i+1)
	}
}

// tile256 does columns 0 to 15, then 16 to 31.
func tile256(f *file, mr int) {
	name := fmt.Sprintf("tileAVX2x%d", mr)
	fr := f.function(name, fmt.Sprintf("is a tile of %d rows with AVX2.", mr), tileArgs, nil)
	loadTileArgs(f, fr)
	for half := range 2 {
		if half == 1 {
			for _, m := range [][2]string{{"k", "CX"}, {"a", "SI"}, {"b", "DI"}, {"c", "DX"}} {
				f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
			}
			f.op("ADDQ $64, DI")
			f.op("ADDQ $64, DX")
		}
		f.op("MOVQ DX, R8")
		beginTile(f, fr, mr, []string{"Y%d", "Y%d"}, "VXORPS", 32)
		every := ""
		if half == 0 {
			every = rowBits(mr, unroll256)
		}
		tileLoop(f, mr, unroll256, nextLine, every, func(step int) {
			if mr > 1 {
				f.op("PREFETCHT0 %d(DI)", panelStride*step+panelAhead256)
			}
			step256(f, mr, step)
		})
		f.op("VBROADCASTSS %s, Y15", fr.slot("alpha"))
		storeTile(f, fr, mr, []string{"Y%d", "Y%d"}, "Y15", 32)
	}
	f.ret()
}

// step256 is a word of K with 16 columns.
func step256(f *file, mr, step int) {
	f.op("VMOVUPS %d(DI), Y12", panelStride*step)
	f.op("VMOVUPS %d(DI), Y13", panelStride*step+32)
	for i := range mr {
		f.op("VBROADCASTSS %d(SI), Y%d", 4*(mr*step+i), 14+i%2)
		f.op("VFMADD231PS Y12, Y%d, Y%d", 14+i%2, 2*i)
		f.op("VFMADD231PS Y13, Y%d, Y%d", 14+i%2, 2*i+1)
	}
}

// rowEvery is how many words of K lie between the rows of c that a tile brings
// into the caches, a power of two: all rows while it multiplies a block of 512 or
// more. All of them at once would take every place that waits for memory, and the
// panels would wait behind them.
func rowEvery(mr int) int {
	every := tileUnroll
	for every*mr <= 256 {
		every *= 2
	}
	return every
}

// rowBits is rowEvery for tileLoop.
func rowBits(mr, unroll int) string { return fmt.Sprintf("$%d", rowEvery(mr)-unroll) }

// tileLoop runs step k times, so many in a round. It brings in nextBytes of what R9 points to
// each time, and the row of c in R8 where the words that are left have none of the bits of
// every: never if that is "".
func tileLoop(f *file, mr, unroll, nextBytes int, every string, step func(step int)) {
	f.wordLoop(unroll, nextBytes, every, f.bringRow, step, func(words int) { f.op("ADDQ $%d, SI", 4*mr*words) })
}

// wordLoop is tileLoop for any a, in which onward goes so many words on; bring brings in the
// row of c.
func (f *file) wordLoop(unroll, nextBytes int, every string, bring func(), step, onward func(int)) {
	many, one, last, done := f.label("many"), f.label("one"), f.label("last"), f.label("done")
	row, back := f.label("row"), f.label("back")
	f.op("SUBQ $%d, CX", unroll)
	f.op("JLT %s", one)
	f.op("PCALIGN $64") // the loop begins a line of code
	f.mark(many)
	f.op("PREFETCHT1 (R9)")
	if every != "" {
		f.op("TESTQ %s, CX", every)
		f.op("JEQ %s", row)
		f.mark(back)
	}
	f.op("ADDQ $%d, R9", nextBytes)
	for s := range unroll {
		step(s)
	}
	f.op("ADDQ $%d, DI", panelStride*unroll)
	onward(unroll)
	f.op("SUBQ $%d, CX", unroll)
	f.op("JGE %s", many)
	f.mark(one)
	f.op("ADDQ $%d, CX", unroll)
	f.op("JEQ %s", done)
	f.mark(last)
	step(0)
	f.op("ADDQ $%d, DI", panelStride)
	onward(1)
	f.op("DECQ CX")
	f.op("JNZ %s", last)
	if every != "" {
		f.op("JMP %s", done)
		f.mark(row)
		bring()
		f.op("ADDQ BX, R8")
		f.op("JMP %s", back)
	}
	f.mark(done)
}

// bringRow brings in the row of c at R8. Go's assembler does not know PREFETCHW.
func (f *file) bringRow() {
	f.op("LONG $0x080d0f41 // PREFETCHW (R8)")
	f.op("LONG $0x480d0f41; BYTE $0x40 // PREFETCHW 64(R8)")
}

// beginTile sets the accumulators, len(reg) for each row, to 0, or to c where add is
// onward.
func beginTile(f *file, fr frame, mr int, reg []string, clear string, width int) {
	fresh, begun := f.label("fresh"), f.label("begun")
	f.op("MOVQ %s, AX", fr.slot("add"))
	f.op("CMPQ AX, $%d", onward)
	f.op("JNE %s", fresh)
	f.op("MOVQ DX, R8")
	for i := range mr {
		for h := range reg {
			f.op("VMOVUPS %d(R8), %s", h*width, fmt.Sprintf(reg[h], len(reg)*i+h))
		}
		f.op("ADDQ BX, R8")
	}
	f.op("JMP %s", begun)
	f.mark(fresh)
	for i := range len(reg) * mr {
		r := fmt.Sprintf(reg[0], i)
		f.op("%s %s, %s, %s", clear, r, r, r)
	}
	f.mark(begun)
}

// storeTile writes two vectors for each row.
func storeTile(f *file, fr frame, mr int, reg []string, alpha string, width int) {
	add, done := f.label("add"), f.label("stored")
	f.op("MOVQ %s, AX", fr.slot("add"))
	f.op("TESTQ AX, AX")
	f.op("JGT %s", add)
	for i := range mr {
		for h := range 2 {
			r := fmt.Sprintf(reg[h], 2*i+h)
			f.op("VMULPS %s, %s, %s", alpha, r, r)
			f.op("VMOVUPS %s, %d(DX)", r, h*width)
		}
		f.op("ADDQ BX, DX")
	}
	f.op("JMP %s", done)
	f.mark(add)
	for i := range mr {
		for h := range 2 {
			r := fmt.Sprintf(reg[h], 2*i+h)
			f.op("VFMADD213PS %d(DX), %s, %s", h*width, alpha, r)
			f.op("VMOVUPS %s, %d(DX)", r, h*width)
		}
		f.op("ADDQ BX, DX")
	}
	f.mark(done)
}
