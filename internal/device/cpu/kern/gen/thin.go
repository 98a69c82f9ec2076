package main

import "fmt"

// A thin function is
//
//	func(k int, a unsafe.Pointer, aNext int, b, c unsafe.Pointer, alpha float32, add int)
//
// c = alpha a b (+ c) for two panels of a, aNext bytes apart, and the first 16
// columns of a panel of b: half a tile for each, with the bits of a whole one.
// Rows of c are 64 bytes, those of the second panel behind the first's.

var thinArgs = []arg{{"k", "int"}, {"a", "unsafe.Pointer"}, {"aNext", "int"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"alpha", "float32"}, {"add", "int"}}

const thinStride = 64

func emitThin(f *file) {
	thin512(f, "thinF32", func(at place, row int) { f.op("VFMADD231PS.BCST %s, Z28, Z%d", at, row) })
	thin512(f, "thinBF16", func(at place, row int) { f.dotPairsAt(at, 28, row) })
	thinRows512(f)
	thin256(f)
}

func loadThinArgs(f *file, fr frame) {
	for _, m := range [][2]string{{"k", "CX"}, {"a", "SI"}, {"b", "DI"}, {"c", "DX"}, {"aNext", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
}

// thin512 has both panels' rows in one go: 28 accumulators, a vector of b. multiply
// adds the word of a at an address to the sums of a row.
func thin512(f *file, name string, multiply func(at place, row int)) {
	fr := f.function(name, fmt.Sprintf("is 16 columns of two tiles of %d rows with AVX-512.", rows512), thinArgs, nil)
	loadThinArgs(f, fr)
	f.op("MOVQ SI, R9")
	f.op("MOVQ $%d, BX", 2*thinStride)
	f.clearSums(2 * rows512)
	tileLoop(f, rows512, tileUnroll, nextLine, "", func(step int) {
		f.op("VMOVUPS %d(DI), Z28", panelStride*step)
		for i := range rows512 {
			at := place{disp: 4 * (rows512*step + i), base: "SI"}
			multiply(at, i)
			at.index, at.times = "R10", 1
			multiply(at, rows512+i)
		}
	})
	f.op("VBROADCASTSS %s, Z31", fr.slot("alpha"))
	storeTile(f, fr, rows512, []string{"Z%d", "Z%d"}, "Z31", thinStride) // two of its rows are one of a tile
	f.ret()
}

// thinRows512 is thinBF16 for plain rows of a, seven to each of four bases.
func thinRows512(f *file) {
	args := []arg{{"k", "int"}, {"a", "unsafe.Pointer"}, {"aRow", "int"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"alpha", "float32"}, {"add", "int"}}
	fr := f.function("thinRowsBF16", fmt.Sprintf("is 16 columns of %d plain rows of bfloat16, aRow bytes apart, with AVX-512.", 2*rows512), args, nil)
	for _, m := range [][2]string{{"k", "CX"}, {"a", "SI"}, {"b", "DI"}, {"c", "DX"}, {"aRow", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.sevenRows()
	bases := []string{"SI", "AX", "R8", "R14"}
	for i, base := range bases[1:] {
		f.op("LEAQ (%s)(R13*1), %s", bases[i], base)
		f.op("LEAQ (%s)(R10*2), %[1]s", base)
	}
	f.op("MOVQ SI, R9")
	f.op("MOVQ $%d, BX", 2*thinStride)
	f.clearSums(2 * rows512)
	f.wordLoop(tileUnroll, 0, "", f.bringRow, func(step int) {
		f.op("VMOVUPS %d(DI), Z28", panelStride*step)
		for i := step; i < 2*rows512; i += tileUnroll {
			f.op("PREFETCHT0 %s", rowFrom(bases[i/7], i%7, rowsAhead/4))
		}
		for i := range 2 * rows512 {
			f.dotPairsAt(rowFrom(bases[i/7], i%7, step), 28, i)
		}
	}, func(words int) {
		for _, base := range bases {
			f.op("ADDQ $%d, %s", 4*words, base)
		}
	})
	f.op("VBROADCASTSS %s, Z31", fr.slot("alpha"))
	storeTile(f, fr, rows512, []string{"Z%d", "Z%d"}, "Z31", thinStride)
	f.ret()
}

// thin256 does one panel after the other.
func thin256(f *file) {
	fr := f.function("thinAVX2", fmt.Sprintf("is 16 columns of two tiles of %d rows with AVX2.", rows256), thinArgs, nil)
	for half := range 2 {
		loadThinArgs(f, fr)
		if half == 1 {
			f.op("ADDQ R10, SI")
			f.op("ADDQ $%d, DX", rows256*thinStride)
		}
		f.op("MOVQ SI, R9")
		f.op("MOVQ $%d, BX", thinStride)
		for i := range 2 * rows256 {
			f.op("VXORPS Y%d, Y%d, Y%d", i, i, i)
		}
		tileLoop(f, rows256, tileUnroll, nextLine, "", func(step int) { step256(f, rows256, step) })
		f.op("VBROADCASTSS %s, Y15", fr.slot("alpha"))
		storeTile(f, fr, rows256, []string{"Y%d", "Y%d"}, "Y15", 32)
	}
	f.ret()
}

// emitThinRows is sums that go on: c = a b, or c += that if add is not 0, from plain rows
// of a, aRow bytes apart. It takes 6 of them at a time; k is a multiple of tileUnroll.
func emitThinRows(f *file) {
	fr := f.function("thinRowsAVX2", fmt.Sprintf("is 16 columns of %d rows with AVX2.", 2*rows256), []arg{{"k", "int"}, {"a", "unsafe.Pointer"}, {"aRow", "int"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"add", "int"}}, nil)
	for half := range 2 {
		for _, m := range [][2]string{{"k", "CX"}, {"a", "SI"}, {"b", "DI"}, {"c", "DX"}, {"aRow", "R10"}, {"add", "AX"}} {
			f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
		}
		f.op("LEAQ (R10)(R10*2), R11")
		if half == 1 {
			f.op("ADDQ $%d, DX", rows256*thinStride)
			f.op("LEAQ (SI)(R11*2), SI")
		}
		f.op("ADDQ SI, R11")
		fresh, begun, loop := f.label("fresh"), f.label("begun"), f.label("loop")
		f.op("TESTQ AX, AX")
		f.op("JEQ %s", fresh)
		for i := range 2 * rows256 {
			f.op("VMOVUPS %d(DX), Y%d", 32*i, i)
		}
		f.op("JMP %s", begun)
		f.mark(fresh)
		for i := range 2 * rows256 {
			f.op("VXORPS Y%d, Y%d, Y%d", i, i, i)
		}
		f.mark(begun)
		f.op("PCALIGN $64")
		f.mark(loop)
		rows := [rows256]string{"(SI)", "(SI)(R10*1)", "(SI)(R10*2)", "(R11)", "(SI)(R10*4)", "(R11)(R10*2)"}
		for step := range tileUnroll {
			f.op("VMOVUPS %d(DI), Y12", panelStride*step)
			f.op("VMOVUPS %d(DI), Y13", panelStride*step+32)
			for i, row := range rows {
				f.op("VBROADCASTSS %d%s, Y%d", 4*step, row, 14+i%2)
				f.op("VFMADD231PS Y12, Y%d, Y%d", 14+i%2, 2*i)
				f.op("VFMADD231PS Y13, Y%d, Y%d", 14+i%2, 2*i+1)
			}
		}
		f.op("ADDQ $%d, SI", 4*tileUnroll)
		f.op("ADDQ $%d, R11", 4*tileUnroll)
		f.op("ADDQ $%d, DI", panelStride*tileUnroll)
		f.op("SUBQ $%d, CX", tileUnroll)
		f.op("JNZ %s", loop)
		for i := range 2 * rows256 {
			f.op("VMOVUPS Y%d, %d(DX)", i, 32*i)
		}
	}
	f.ret()
}
