package main

import "fmt"

// An outer function is
//
//	func(n int, x unsafe.Pointer, xRow int, u, c unsafe.Pointer, groups, add int)
//
// c = u' x (+ c) for n rows of 16 columns of x, xRow bytes apart, and the words of 16
// columns of u along them, 64 bytes apart: a sum has one accumulator and goes on where add
// is not 0. c is 16 rows of 16 columns, and the next groups of columns have theirs
// behind it. On its way it brings in the rows behind those n.

const (
	outerCols  = 16
	outerBytes = 4 * outerCols // of words of u, and of a row of c
)

var outerArgs = []arg{{"n", "int"}, {"x", "unsafe.Pointer"}, {"xRow", "int"}, {"u", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"groups", "int"}, {"add", "int"}}

func emitOuter(f *file) {
	f.outer("outerF32", "AVX-512", []int{outerCols}, outerRegisters{sums: "Z", vectors: 1, clear: "VPXORQ", bytes: outerBytes}, func(from, rows int) {
		f.op("VMOVUPS (R8), Z16")
		for i := range rows {
			f.op("VFMADD231PS.BCST %d(DI), Z16, Z%d", 4*(from+i), i)
		}
	})
	f.outer("outerAVX2", "AVX2", outerParts256, outerRegisters{sums: "Y", vectors: 2, clear: "VXORPS", bytes: outerBytes}, f.outerRow256)
	pairs := outerRegisters{sums: "Z", vectors: 1, clear: "VPXORQ", bytes: outerBytes, pairs: func(both bool) {
		f.op("VMOVUPS (R8), Z18")
		if both {
			f.op("VMOVUPS (R9), Z19")
		} else {
			f.op("VPXORQ Z19, Z19, Z19")
		}
		f.convertTwo(18, 19, 16)
	}}
	f.outer("outerBF16", "AVX512_BF16", []int{outerCols}, pairs, f.outerPairs)
	pairs.bytes, pairs.pairs = outerBytes/2, func(both bool) {
		f.op("VMOVDQU32 (R8), Y16")
		if both {
			f.op("VINSERTI64X4 $1, (R9), Z16, Z16")
		}
	}
	f.outer("outerHalf", "AVX512_BF16 for x in bfloat16", []int{outerCols}, pairs, f.outerPairs)
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

// outerPairs adds two rows of x, which are the halves of Z16, and their words of u.
func (f *file) outerPairs(_, rows int) {
	f.op("VPERMW Z16, Z17, Z16")
	for i := range rows {
		f.op("VPBROADCASTD %d(DI), Z%d", 4*i, 20+i%4)
		f.dotPairs(16, 20+i%4, i)
	}
}

// outerRegisters is how a level holds a row of c, and the bytes of a row of x. pairs,
// where words are pairs, brings two rows of x into the halves of a vector, or one.
type outerRegisters struct {
	sums    string
	vectors int
	clear   string
	bytes   int
	pairs   func(both bool)
	next    bool // other rows than those behind are brought in
}

// outer writes a function that takes the rows of c in parts; step adds a word of K.
func (f *file) outer(name, level string, parts []int, r outerRegisters, step func(from, rows int)) {
	args := outerArgs
	if r.next {
		args = append(args[:len(args):len(args)], arg{"next", "unsafe.Pointer"}, arg{"nextRow", "int"})
	}
	fr := f.function(name, fmt.Sprintf("is sums over rows with %s.", level), args, nil)
	for _, m := range [][2]string{{"x", "SI"}, {"xRow", "R10"}, {"c", "DX"}, {"groups", "R11"}, {"add", "AX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("MOVQ %s, R12", fr.slot("n"))
	f.op("IMULQ R10, R12")
	if r.next {
		f.op("MOVQ %s, BX", fr.slot("next"))
		f.op("MOVQ %s, R12", fr.slot("nextRow"))
	}
	if r.pairs != nil {
		f.op("VMOVDQU32 %s, Z17", f.dwords("outer_pairs", func(i int) uint32 { return uint32(i | (16+i)<<16) }))
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
	if r.pairs != nil {
		f.outerRowPairs(r, step)
	} else {
		f.outerRows(from == 0, r.next, step)
	}
	each(func(i, at int) { f.op("VMOVUPS %s%d, %d(DX)", r.sums, i, at) })
}

// outerRows is the loop over rows, one at a time.
func (f *file) outerRows(brings, next bool, step func()) {
	row := f.label("row")
	if brings && next {
		f.op("MOVQ BX, R9")
	}
	f.op("PCALIGN $32")
	f.mark(row)
	switch {
	case brings && next:
		f.op("PREFETCHT0 (R9)")
		f.op("ADDQ R12, R9")
	case brings:
		f.op("PREFETCHT0 (R8)(R12*1)")
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
	f.op("PREFETCHT0 (R8)(R12*1)")
	f.op("PREFETCHT0 (R9)(R12*1)")
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
