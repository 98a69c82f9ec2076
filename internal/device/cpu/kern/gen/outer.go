package main

import "fmt"

// An outer function is
//
//	func(n int, x unsafe.Pointer, xRow int, u, c unsafe.Pointer, groups, add int)
//
// c = x' u (+ c) for n rows of 16 columns of x, xRow bytes apart, and rows of 16 of u, one
// behind the other: a sum has one accumulator and goes on where add is not 0. The
// next groups of columns have their 16 rows of c behind it. On its way it brings in the
// rows behind those n.

const (
	outerCols  = 16
	outerBytes = 4 * outerCols // of a row of u and of c, and of the columns of a group
)

var outerArgs = []arg{{"n", "int"}, {"x", "unsafe.Pointer"}, {"xRow", "int"}, {"u", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"groups", "int"}, {"add", "int"}}

func emitOuter(f *file) {
	f.outer("outerF32", "AVX-512", []int{outerCols}, func(from, columns int) outerRegisters {
		return outerRegisters{sums: "Z", vectors: 1, clear: "VPXORQ", step: func() {
			f.op("VMOVUPS (DI), Z16")
			for i := range columns {
				f.op("VFMADD231PS.BCST %d(R8), Z16, Z%d", 4*(from+i), i)
			}
		}}
	})
	f.outer("outerAVX2", "AVX2", []int{6, 6, 4}, func(from, columns int) outerRegisters {
		return outerRegisters{sums: "Y", vectors: 2, clear: "VXORPS", step: func() {
			f.op("VMOVUPS (DI), Y12")
			f.op("VMOVUPS 32(DI), Y13")
			for i := range columns {
				f.op("VBROADCASTSS %d(R8), Y%d", 4*(from+i), 14+i%2)
				f.op("VFMADD231PS Y12, Y%d, Y%d", 14+i%2, 2*i)
				f.op("VFMADD231PS Y13, Y%d, Y%d", 14+i%2, 2*i+1)
			}
		}}
	})
}

// outerRegisters is how a level holds a row of c, and adds a row of x and u.
type outerRegisters struct {
	sums    string
	vectors int
	clear   string
	step    func()
}

// outer writes a function that takes the columns of a group in parts.
func (f *file) outer(name, level string, parts []int, of func(from, columns int) outerRegisters) {
	fr := f.function(name, fmt.Sprintf("is sums over rows with %s.", level), outerArgs, nil)
	for _, m := range [][2]string{{"x", "SI"}, {"xRow", "R10"}, {"c", "DX"}, {"groups", "R11"}, {"add", "AX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("MOVQ %s, R12", fr.slot("n"))
	f.op("IMULQ R10, R12")
	group, from := f.label("group"), 0
	f.mark(group)
	for _, columns := range parts {
		f.outerPart(fr, from, columns, of(from, columns))
		from += columns
	}
	f.op("ADDQ $%d, SI", outerBytes)
	f.op("ADDQ $%d, DX", outerCols*outerBytes)
	f.op("DECQ R11")
	f.op("JNZ %s", group)
	f.ret()
}

func (f *file) outerPart(fr frame, from, columns int, r outerRegisters) {
	fresh, begun, row := f.label("fresh"), f.label("begun"), f.label("row")
	width := outerBytes / r.vectors
	each := func(do func(i, at int)) {
		for i := range columns * r.vectors {
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
	f.op("PCALIGN $32")
	f.mark(row)
	if from == 0 {
		f.op("PREFETCHT0 (R8)(R12*1)")
	}
	r.step()
	f.op("ADDQ R10, R8")
	f.op("ADDQ $%d, DI", outerBytes)
	f.op("DECQ CX")
	f.op("JNZ %s", row)
	each(func(i, at int) { f.op("VMOVUPS %s%d, %d(DX)", r.sums, i, at) })
}
