package main

const (
	amxRows  = 16 // of a tile
	amxBytes = 64 // of a row of a tile
)

// Tiles 0 to 3 are the accumulators: those of the first 16 rows, then of the
// others. 4 and 5 are a's, 6 and 7 b's.
var amxArgs = []arg{{"config", "unsafe.Pointer"}, {"steps", "int"}, {"a", "unsafe.Pointer"}, {"aStep", "int"}, {"b", "unsafe.Pointer"}, {"bStep", "int"}, {"c", "unsafe.Pointer"}, {"ldc", "int"}, {"panels", "int"}, {"add", "int"}, {"next", "unsafe.Pointer"}}

func emitAMX(f *file) {
	amxTile(f, "amxLow", "of at most 16 rows", 1)
	amxTile(f, "amxTall", "of 17 to 32 rows", 2)
	amxScale(f)
	amxRowsOf(f)
	amxHalfRowsOf(f)
	amxColumnsOf(f)
	amxHalfColumnsOf(f)
	amxPeak(f)
	amxFew(f)
	amxThin(f)
	amxTurn(f)
	keepLeft(f)
	amxTurned(f)
	emitSpan(f)
}

// amxTile writes panels of 32 columns side by side. The tiles' state lives from
// the configuration at the start to the release at the end, between which
// nothing can move the goroutine to another thread.
func amxTile(f *file, name, rows string, high int) {
	fr := f.function(name, "is c = a b, or c += a b, on AMX tiles "+rows+".", amxArgs, nil)
	for _, m := range [][2]string{{"config", "AX"}, {"a", "R11"}, {"b", "R12"}, {"c", "DX"}, {"ldc", "BX"}, {"next", "R9"}, {"panels", "R13"}, {"aStep", "R15"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.loadConfig("AX")
	f.op("MOVQ $%d, R8", amxBytes)
	f.op("MOVQ $%d, R10", panelStride)
	panel, fresh, begin, loop, store := f.label("panel"), f.label("fresh"), f.label("begin"), f.label("step"), f.label("store")
	f.mark(panel)
	f.op("MOVQ R11, SI")
	f.op("MOVQ R12, DI")
	f.op("MOVQ %s, CX", fr.slot("steps"))
	f.op("MOVQ BX, AX")
	f.op("SHLQ $4, AX")
	f.op("ADDQ DX, AX") // row 16 of c
	f.amxClaim(high)
	f.op("CMPQ %s, $0", fr.slot("add"))
	f.op("JEQ %s", fresh)
	f.amxCorners(high, func(t int, base string, at int) { f.loadTile(base, "BX", at, t) })
	f.op("JMP %s", begin)
	f.mark(fresh)
	f.amxCorners(high, func(t int, _ string, _ int) { f.zeroTile(t) })
	f.mark(begin)
	f.op("TESTQ CX, CX")
	f.op("JEQ %s", store)
	f.mark(loop)
	for at := 0; at < amxRows*panelStride; at += 64 {
		if high == 1 {
			f.op("PREFETCHT0 %d(DI)", at+panelAhead)
		} else if at < amxRows*16 {
			f.op("PREFETCHT1 %d(R9)", at)
		}
	}
	f.loadTile("DI", "R10", 0, 6)
	f.loadTile("SI", "R8", 0, 4)
	f.loadTile("DI", "R10", 64, 7)
	f.dotTiles(4, 6, 0)
	if high == 2 {
		f.loadTile("SI", "R8", amxRows*amxBytes, 5)
	}
	f.dotTiles(4, 7, 1)
	if high == 2 {
		f.dotTiles(5, 6, 2)
		f.dotTiles(5, 7, 3)
		f.op("ADDQ $%d, R9", amxRows*16)
	}
	f.op("ADDQ R15, SI")
	f.op("ADDQ $%d, DI", amxRows*panelStride)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.mark(store)
	f.amxCorners(high, func(t int, base string, at int) { f.storeTileAt(t, base, "BX", at) })
	f.op("ADDQ $%d, DX", panelStride)
	f.op("ADDQ %s, R12", fr.slot("bStep"))
	f.op("DECQ R13")
	f.op("JNZ %s", panel)
	f.releaseTiles()
	f.back()
}

// amxClaim brings c in for writing, where the sums are long enough to hide it.
func (f *file) amxClaim(high int) {
	const longSteps = 8
	short := f.label("short")
	f.op("CMPQ CX, $%d", longSteps)
	f.op("JLT %s", short)
	f.op("MOVQ DX, SI")
	for range amxRows * high {
		// Go's assembler does not know PREFETCHW.
		f.op("BYTE $0x0f; BYTE $0x0d; BYTE $0x0e // PREFETCHW (SI)")
		f.op("BYTE $0x0f; BYTE $0x0d; BYTE $0x4e; BYTE $0x40 // PREFETCHW 64(SI)")
		f.op("ADDQ BX, SI")
	}
	f.op("MOVQ R11, SI")
	f.mark(short)
}

// amxCorners does something with each accumulator and its place in c.
func (f *file) amxCorners(high int, do func(t int, base string, at int)) {
	for t := range 2 * high {
		do(t, []string{"DX", "AX"}[t/2], 64*(t%2))
	}
}

// amxScale applies what the tiles leave out.
func amxScale(f *file) {
	fr := f.function("scaleTile", "is c = alpha t, or c += alpha t, for rows of 32 float32; those of t follow each other.",
		[]arg{{"c", "unsafe.Pointer"}, {"t", "unsafe.Pointer"}, {"rows", "int"}, {"ldc", "int"}, {"alpha", "float32"}, {"add", "int"}}, nil)
	for _, m := range [][2]string{{"c", "DX"}, {"t", "SI"}, {"rows", "CX"}, {"ldc", "BX"}, {"add", "AX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("VBROADCASTSS %s, Z2", fr.slot("alpha"))
	row, store := f.label("row"), f.label("store")
	f.mark(row)
	f.op("VMULPS (SI), Z2, Z0")
	f.op("VMULPS 64(SI), Z2, Z1")
	f.op("TESTQ AX, AX")
	f.op("JEQ %s", store)
	f.op("VADDPS (DX), Z0, Z0")
	f.op("VADDPS 64(DX), Z1, Z1")
	f.mark(store)
	f.op("VMOVUPS Z0, (DX)")
	f.op("VMOVUPS Z1, 64(DX)")
	f.op("ADDQ $%d, SI", panelStride)
	f.op("ADDQ BX, DX")
	f.op("DECQ CX")
	f.op("JNZ %s", row)
	f.ret()
}

// amxRowsOf packs a panel of A from rows.
func amxRowsOf(f *file) {
	fr := f.function("leftRowsAMX", "rounds n float32 of each row, whose addresses rows lists, to bfloat16, 32 of them at dst + 64*row + 64*lanes*block, filled up with zeros.",
		[]arg{{"dst", "unsafe.Pointer"}, {"rows", "unsafe.Pointer"}, {"n", "int"}, {"lanes", "int"}}, nil)
	for _, m := range [][2]string{{"dst", "R11"}, {"rows", "R8"}, {"lanes", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("MOVQ R10, R13")
	f.op("SHLQ $6, R13")
	row, whole, rest, done := f.label("row"), f.label("whole"), f.label("rest"), f.label("done")
	f.mark(row)
	f.op("MOVQ R11, DI")
	f.op("MOVQ (R8), SI")
	f.op("MOVQ %s, CX", fr.slot("n"))
	f.op("SUBQ $32, CX")
	f.op("JLT %s", rest)
	f.mark(whole)
	f.op("VMOVUPS (SI), Z0")
	f.op("VMOVUPS 64(SI), Z1")
	f.convertTwo(0, 1, 2)
	f.op("VMOVUPS Z2, (DI)")
	f.op("ADDQ $128, SI")
	f.op("ADDQ R13, DI")
	f.op("SUBQ $32, CX")
	f.op("JGE %s", whole)
	f.mark(rest)
	f.op("ADDQ $32, CX")
	f.op("JEQ %s", done)
	f.op("MOVQ $0xffffffff, R12")
	f.op("BZHIQ CX, R12, R12")
	f.op("KMOVQ R12, K1")
	f.op("KSHIFTRQ $16, K1, K2")
	f.op("VMOVUPS.Z (SI), K1, Z0")
	f.op("VMOVUPS.Z 64(SI), K2, Z1")
	f.convertTwo(0, 1, 2)
	f.op("VMOVUPS Z2, (DI)")
	f.mark(done)
	f.op("ADDQ $%d, R11", amxBytes)
	f.op("ADDQ $8, R8")
	f.op("DECQ R10")
	f.op("JNZ %s", row)
	f.ret()
}

// amxHalfRowsOf packs a panel of A from rows that need no rounding.
func amxHalfRowsOf(f *file) {
	fr := f.function("leftHalfAMX", "copies n bfloat16, a multiple of 32, of each row, whose addresses rows lists: 32 of them at dst + 64*row + 64*lanes*block.",
		[]arg{{"dst", "unsafe.Pointer"}, {"rows", "unsafe.Pointer"}, {"n", "int"}, {"lanes", "int"}}, nil)
	for _, m := range [][2]string{{"dst", "R11"}, {"rows", "R8"}, {"lanes", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("MOVQ R10, R13")
	f.op("SHLQ $6, R13")
	row, block := f.label("row"), f.label("block")
	f.mark(row)
	f.op("MOVQ R11, DI")
	f.op("MOVQ (R8), SI")
	f.op("MOVQ %s, CX", fr.slot("n"))
	f.mark(block)
	f.op("VMOVDQU64 (SI), Z0")
	f.op("VMOVDQU64 Z0, (DI)")
	f.op("ADDQ $64, SI")
	f.op("ADDQ R13, DI")
	f.op("SUBQ $32, CX")
	f.op("JG %s", block)
	f.op("ADDQ $%d, R11", amxBytes)
	f.op("ADDQ $8, R8")
	f.op("DECQ R10")
	f.op("JNZ %s", row)
	f.ret()
}

// amxColumnsOf packs a part of a panel of A from columns.
func amxColumnsOf(f *file) {
	fr := f.function("leftColumnsAMX", "rounds cols of at most 16 columns of n rows of float32 to bfloat16, 32 of a column at dst + 64*column + dstStride*block, filled up with zeros.", columnsArgs, nil)
	loadColumnsArgs(f, fr)
	f.tailMask(avx512, "R9", 16, 1)
	block, turn := f.label("block"), f.label("turn")
	f.op("MOVQ $%d, R12", amxBytes)
	f.mark(block)
	f.op("VMOVUPS %s, Z31", f.dwords("interleave", func(i int) uint32 { return uint32(i) | uint32(16+i)<<16 }))
	f.clearSums(16)
	for i := range 16 {
		last := f.label("last")
		f.op("VPXORQ Z17, Z17, Z17")
		f.op("CMPQ CX, $%d", 2*i+1)
		f.op("JLT %s", turn)
		f.op("VMOVUPS.Z (SI), K1, Z16")
		f.op("JEQ %s", last)
		f.op("VMOVUPS.Z (SI)(R8*1), K1, Z17")
		f.mark(last)
		f.convertTwo(16, 17, i)
		f.op("VPERMW Z%d, Z31, Z%d", i, i)
		f.op("LEAQ (SI)(R8*2), SI")
	}
	f.mark(turn)
	columns := f.transpose(avx512)
	f.op("MOVQ DI, R13")
	f.op("MOVQ R9, R15")
	next := f.label("next")
	f.storeColumns(columns, avx512, "R12", "R15", next)
	f.mark(next)
	f.op("LEAQ (R13)(R10*1), DI")
	f.op("SUBQ $32, CX")
	f.op("JGT %s", block)
	f.ret()
}

// amxHalfColumnsOf packs a part of a panel of A from columns that need no rounding.
func amxHalfColumnsOf(f *file) {
	fr := f.function("leftColumnsHalfAMX", "copies 16 columns of n rows of bfloat16, 32 of a column at dst + 64*column + dstStride*block, filled up with zeros.",
		[]arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"srcStride", "int"}, {"dstStride", "int"}}, nil)
	for _, m := range [][2]string{{"dst", "DI"}, {"src", "SI"}, {"n", "CX"}, {"srcStride", "R8"}, {"dstStride", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	block, turn := f.label("block"), f.label("turn")
	f.op("MOVQ $%d, R12", amxBytes)
	f.mark(block)
	f.op("VMOVUPS %s, Z31", f.dwords("interleave", func(i int) uint32 { return uint32(i) | uint32(16+i)<<16 }))
	f.clearSums(16)
	for i := range 16 {
		last := f.label("last")
		f.op("CMPQ CX, $%d", 2*i+1)
		f.op("JLT %s", turn)
		f.op("VMOVUPS (SI), Y%d", i)
		f.op("JEQ %s", last)
		f.op("VINSERTI64X4 $1, (SI)(R8*1), Z%d, Z%d", i, i)
		f.mark(last)
		f.op("VPERMW Z%d, Z31, Z%d", i, i)
		f.op("LEAQ (SI)(R8*2), SI")
	}
	f.mark(turn)
	columns := f.transpose(avx512)
	f.op("MOVQ DI, R13")
	f.op("MOVQ $16, R15")
	next := f.label("next")
	f.storeColumns(columns, avx512, "R12", "R15", next)
	f.mark(next)
	f.op("LEAQ (R13)(R10*1), DI")
	f.op("SUBQ $32, CX")
	f.op("JGT %s", block)
	f.ret()
}

// amxPeak is the rate of TDPBF16PS in registers alone.
func amxPeak(f *file) {
	fr := f.function("peakAMX", "runs n rounds of 8 TDPBF16PS on tiles of 16 rows of 16 pairs.", []arg{{"config", "unsafe.Pointer"}, {"n", "int"}}, nil)
	f.op("MOVQ %s, AX", fr.slot("config"))
	f.op("MOVQ %s, CX", fr.slot("n"))
	f.loadConfig("AX")
	loop := f.label("loop")
	f.mark(loop)
	for i := range 8 {
		f.dotTiles(6, 7, i%6)
	}
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.releaseTiles()
	f.back()
}
