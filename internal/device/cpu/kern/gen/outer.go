package main

import (
	"fmt"
	"slices"
)

// An outer function is
//
//	func(n int, x unsafe.Pointer, xRow int, u, c unsafe.Pointer, groups, add int)
//
// c = u' x (+ c) for n rows of 16 columns of x, xRow bytes apart, and the words of 16
// columns of u along them, 64 bytes apart: a sum has one accumulator and goes on where add
// is not 0. c is 16 rows of 16 columns, and the next groups of columns have theirs
// behind it. On its way it brings in the rows behind those n, with AVX-512 to the second
// cache: rows a power of two apart would push those out that are under way.

const (
	outerCols  = 16
	outerBytes = 4 * outerCols // of words of u, and of a row of c
)

var outerArgs = []arg{{"n", "int"}, {"x", "unsafe.Pointer"}, {"xRow", "int"}, {"u", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"groups", "int"}, {"add", "int"}}

func emitOuter(f *file) {
	f.outer("outerAVX2", "AVX2", outerParts256, outerRegisters{sums: "Y", vectors: 2, clear: "VXORPS", bytes: outerBytes}, f.outerRow256)
	floats := outerRegisters{sums: "Z", vectors: 1, clear: "VPXORQ", bytes: outerBytes}
	f.outer("outerF32", "AVX-512", []int{outerCols}, floats, f.outerRow512)
	pairs := floats
	pairs.pairs = func(both bool) {
		f.op("VMOVUPS (R8), Z18")
		f.convertOne(18, 16)
		f.secondRow(both, func() {
			f.op("VMOVUPS (R9), Z18")
			f.convertOne(18, 18)
		})
	}
	f.outer("outerBF16", "AVX512_BF16", []int{outerCols}, pairs, f.outerPairs)
	halves := pairs
	halves.bytes, halves.pairs = outerBytes/2, func(both bool) {
		f.op("VMOVDQU32 (R8), Y16")
		f.secondRow(both, func() { f.op("VMOVDQU32 (R9), Y18") })
	}
	f.outer("outerHalf", "AVX512_BF16 for x in bfloat16", []int{outerCols}, halves, f.outerPairs)
	floats.kept, halves.kept = true, true
	f.outer("outerKeptF32", "AVX-512 of x where the mask has a 1; its rows are maskRow bytes apart", []int{outerCols}, floats, f.outerRow512)
	halves.pairs = func(both bool) {
		f.op("KMOVW (R13), K1")
		f.op("VMOVDQU16.Z (R8), K1, Y16")
		f.secondRow(both, func() {
			f.op("KMOVW (R13)(BX*1), K2")
			f.op("VMOVDQU16.Z (R9), K2, Y18")
		})
		f.op("LEAQ (R13)(BX*2), R13")
	}
	f.outer("outerKeptHalf", "AVX512_BF16 for x in bfloat16, where the mask has a 1; its rows are maskRow bytes apart", []int{outerCols}, halves, f.outerPairs)
}

// secondRow brings the second row of a pair into Z18, which is 0 where there is none.
func (f *file) secondRow(both bool, load func()) {
	if both {
		load()
		return
	}
	f.op("VPXORQ Z18, Z18, Z18")
}

func (f *file) outerRow512(_, rows int) {
	for i := range rows {
		f.op("VFMADD231PS.BCST %d(DI), Z16, Z%d", 4*i, i)
	}
}

// emitOuterNext is a function whose x lies in the first cache: it brings in n rows of 64
// bytes, nextRow bytes apart, from next on for the first group, and those behind for the
// others.
func emitOuterNext(f *file) {
	r := outerRegisters{sums: "Y", vectors: 2, clear: "VXORPS", bytes: outerBytes, next: true}
	f.outer("outerNextAVX2", "AVX2, of an x in the first cache", outerParts256, r, f.outerRow256)
}

var outerParts256 = []int{6, 6, 4}

func (f *file) outerRow256(from, rows int) {
	f.op("VMOVUPS (R8), Y12")
	f.op("VMOVUPS 32(R8), Y13")
	for i := range rows {
		f.op("VBROADCASTSS %d(DI), Y%d", 4*(from+i), 14+i%2)
		f.op("VFMADD231PS Y12, Y%d, Y%d", 14+i%2, 2*i)
		f.op("VFMADD231PS Y13, Y%d, Y%d", 14+i%2, 2*i+1)
	}
}

// outerPairs adds two rows of x, which are in Z16 and Z18, and their words of u.
func (f *file) outerPairs(_, rows int) {
	f.op("VPERMT2W Z18, Z17, Z16")
	for i := range rows {
		f.dotPairsAt(place{disp: 4 * i, base: "DI"}, 16, i)
	}
}

// outerRegisters is how a level holds a row of c, and the bytes of a row of x. pairs,
// where words are pairs, brings two rows of x in, or one.
type outerRegisters struct {
	sums    string
	vectors int
	clear   string
	bytes   int
	pairs   func(both bool)
	next    bool // other rows than those behind are brought in
	kept    bool // x is under a mask
}

// args is those of the functions.
func (r outerRegisters) args() []arg {
	args := slices.Clone(outerArgs)
	if r.next {
		args = append(args, arg{"next", "unsafe.Pointer"}, arg{"nextRow", "int"})
	}
	if r.kept {
		args = slices.Insert(args, 3, arg{"mask", "unsafe.Pointer"}, arg{"maskRow", "int"})
	}
	return args
}

// outer writes a function that takes the rows of c in parts; step adds a word of K.
func (f *file) outer(name, level string, parts []int, r outerRegisters, step func(from, rows int)) {
	fr := f.function(name, fmt.Sprintf("is sums over rows with %s.", level), r.args(), nil)
	for _, m := range [][2]string{{"x", "SI"}, {"xRow", "R10"}, {"c", "DX"}, {"groups", "R11"}, {"add", "AX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("MOVQ %s, R12", fr.slot("n"))
	f.op("IMULQ R10, R12")
	if r.next {
		f.op("MOVQ %s, BX", fr.slot("next"))
		f.op("MOVQ %s, R12", fr.slot("nextRow"))
	}
	if r.kept {
		f.op("MOVQ %s, R15", fr.slot("mask"))
		f.op("MOVQ %s, BX", fr.slot("maskRow"))
	}
	if r.pairs != nil {
		f.op("VMOVDQU32 %s, Z17", f.dwords("outer_pairs", func(i int) uint32 { return uint32(i | (32+i)<<16) }))
	}
	group, from := f.label("group"), 0
	f.mark(group)
	for _, rows := range parts {
		f.outerPart(fr, from, rows, r, func() { step(from, rows) })
		from += rows
	}
	f.op("ADDQ $%d, SI", r.bytes)
	f.op("ADDQ $%d, DX", outerCols*outerBytes)
	if r.next {
		f.op("ADDQ $%d, BX", outerBytes)
	}
	if r.kept {
		f.op("ADDQ $%d, R15", outerCols/8)
	}
	f.op("DECQ R11")
	f.op("JNZ %s", group)
	f.ret()
}

func (f *file) outerPart(fr frame, from, rows int, r outerRegisters, step func()) {
	fresh, begun := f.label("fresh"), f.label("begun")
	width := outerBytes / r.vectors
	each := func(do func(i, at int)) {
		for i := range rows * r.vectors {
			do(i, from*outerBytes+i*width)
		}
	}
	f.op("TESTQ AX, AX")
	f.op("JEQ %s", fresh)
	each(func(i, at int) { f.op("VMOVUPS %d(DX), %s%d", at, r.sums, i) })
	f.op("JMP %s", begun)
	f.mark(fresh)
	each(func(i, _ int) { f.op("%s %[2]s%[3]d, %[2]s%[3]d, %[2]s%[3]d", r.clear, r.sums, i) })
	f.mark(begun)
	f.op("MOVQ SI, R8")
	f.op("MOVQ %s, DI", fr.slot("u"))
	f.op("MOVQ %s, CX", fr.slot("n"))
	if r.kept {
		f.op("MOVQ R15, R13")
	}
	if r.pairs != nil {
		f.outerRowPairs(r, step)
	} else {
		f.outerRows(from == 0, r, step)
	}
	each(func(i, at int) { f.op("VMOVUPS %s%d, %d(DX)", r.sums, i, at) })
}

// outerRows is the loop over rows, one at a time.
func (f *file) outerRows(brings bool, r outerRegisters, step func()) {
	row := f.label("row")
	if brings && r.next {
		f.op("MOVQ BX, R9")
	}
	f.op("PCALIGN $32")
	f.mark(row)
	switch {
	case brings && r.next:
		f.op("PREFETCHT0 (R9)")
		f.op("ADDQ R12, R9")
	case r.vectors == 1:
		f.op("PREFETCHT1 (R8)(R12*1)")
	case brings:
		f.op("PREFETCHT0 (R8)(R12*1)")
	}
	switch {
	case r.kept:
		f.op("KMOVW (R13), K1")
		f.op("VMOVUPS.Z (R8), K1, Z16")
		f.op("ADDQ BX, R13")
	case r.vectors == 1:
		f.op("VMOVUPS (R8), Z16")
	}
	step()
	f.op("ADDQ R10, R8")
	f.op("ADDQ $%d, DI", outerBytes)
	f.op("DECQ CX")
	f.op("JNZ %s", row)
}

// outerRowPairs is the loop over pairs of rows, and a last row.
func (f *file) outerRowPairs(r outerRegisters, step func()) {
	pair, last, done := f.label("pair"), f.label("last"), f.label("done")
	f.op("SUBQ $2, CX")
	f.op("JLT %s", last)
	f.op("PCALIGN $32")
	f.mark(pair)
	f.op("LEAQ (R8)(R10*1), R9")
	f.op("PREFETCHT1 (R8)(R12*1)")
	f.op("PREFETCHT1 (R9)(R12*1)")
	r.pairs(true)
	step()
	f.op("LEAQ (R9)(R10*1), R8")
	f.op("ADDQ $%d, DI", outerBytes)
	f.op("SUBQ $2, CX")
	f.op("JGE %s", pair)
	f.mark(last)
	f.op("ADDQ $2, CX")
	f.op("JEQ %s", done)
	r.pairs(false)
	step()
	f.mark(done)
}
