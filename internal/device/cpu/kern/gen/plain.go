package main

import "fmt"

// A plain tile is a tile that reads a where it lies:
//
//	func(k int, a unsafe.Pointer, aStep int, b, c unsafe.Pointer, ldc, add int)
//
// c = a b (+ c), with the bits of a tile of alpha 1. a is mr rows, aStep bytes apart, or
// mr columns of k rows that far apart.

var plainArgs = []arg{{"k", "int"}, {"a", "unsafe.Pointer"}, {"aStep", "int"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"ldc", "int"}, {"add", "int"}}

func emitPlain(f *file) {
	emitPlain512(f, "BF16", f.dotPairs)
	for mr := 1; mr <= rows256; mr++ {
		f.plain(fmt.Sprintf("rowsAVX2x%d", mr), "rows", mr, func(step, row int) string {
			at := [rows256]string{"(SI)", "(SI)(R10*1)", "(SI)(R10*2)", "(R11)", "(SI)(R10*4)", "(R11)(R10*2)"}[row]
			return fmt.Sprintf("%d%s", 4*step, at)
		}, func(steps int) { f.op("ADDQ $%d, SI", 4*steps); f.op("ADDQ $%d, R11", 4*steps) })
	}
	for mr := 1; mr <= rows256; mr++ {
		f.plain(fmt.Sprintf("columnsAVX2x%d", mr), "columns", mr, func(step, row int) string {
			return fmt.Sprintf("%d%s", 4*row, columnSteps[step])
		}, f.overColumns)
	}
}

// columnSteps is where the next rows of a lie that has columns, overColumns goes over them.
var columnSteps = [tileUnroll]string{"(SI)", "(SI)(R10*1)", "(SI)(R10*2)", "(R11)"}

func (f *file) overColumns(steps int) {
	if steps == tileUnroll {
		f.op("LEAQ (SI)(R10*4), SI")
		f.op("LEAQ (R11)(R10*4), R11")
		return
	}
	f.op("ADDQ R10, SI")
}

// plain does columns 0 to 15, then 16 to 31. at is where the word of a row lies some steps
// ahead, and onward goes ahead so many.
func (f *file) plain(name, of string, mr int, at func(step, row int) string, onward func(steps int)) {
	fr := f.function(name, fmt.Sprintf("is a tile of %d %s of a plain left side with AVX2.", mr, of), plainArgs, nil)
	step := func(s int) {
		f.op("VMOVUPS %d(DI), Y12", panelStride*s)
		f.op("VMOVUPS %d(DI), Y13", panelStride*s+32)
		for i := range mr {
			f.op("VBROADCASTSS %s, Y%d", at(s, i), 14+i%2)
			f.op("VFMADD231PS Y12, Y%d, Y%d", 14+i%2, 2*i)
			f.op("VFMADD231PS Y13, Y%d, Y%d", 14+i%2, 2*i+1)
		}
	}
	for half := range 2 {
		for _, m := range [][2]string{{"k", "CX"}, {"a", "SI"}, {"aStep", "R10"}, {"b", "DI"}, {"c", "DX"}, {"ldc", "BX"}} {
			f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
		}
		if half == 1 {
			f.op("ADDQ $64, DI")
			f.op("ADDQ $64, DX")
		}
		f.op("LEAQ (R10)(R10*2), R11")
		f.op("ADDQ SI, R11")
		for i := range 2 * mr {
			f.op("VXORPS Y%d, Y%d, Y%d", i, i, i)
		}
		f.plainLoop(step, onward)
		f.storePlain(fr, avx2, mr)
	}
	f.ret()
}

func (f *file) plainLoop(step, onward func(int)) {
	many, one, last, done := f.label("many"), f.label("one"), f.label("last"), f.label("done")
	f.op("SUBQ $%d, CX", tileUnroll)
	f.op("JLT %s", one)
	f.op("PCALIGN $64")
	f.mark(many)
	for s := range tileUnroll {
		step(s)
	}
	f.op("ADDQ $%d, DI", panelStride*tileUnroll)
	onward(tileUnroll)
	f.op("SUBQ $%d, CX", tileUnroll)
	f.op("JGE %s", many)
	f.mark(one)
	f.op("ADDQ $%d, CX", tileUnroll)
	f.op("JEQ %s", done)
	f.mark(last)
	step(0)
	f.op("ADDQ $%d, DI", panelStride)
	onward(1)
	f.op("DECQ CX")
	f.op("JNZ %s", last)
	f.mark(done)
}

func (f *file) storePlain(fr frame, v isa, mr int) {
	store := f.label("store")
	f.op("MOVQ %s, AX", fr.slot("add"))
	f.op("TESTQ AX, AX")
	f.op("JEQ %s", store)
	f.op("MOVQ DX, R8")
	for i := range mr {
		f.op("VADDPS (R8), %s, %[1]s", v.r(2*i))
		f.op("VADDPS %d(R8), %s, %[2]s", v.bytes(), v.r(2*i+1))
		f.op("ADDQ BX, R8")
	}
	f.mark(store)
	for i := range mr {
		f.op("VMOVUPS %s, (DX)", v.r(2*i))
		f.op("VMOVUPS %s, %d(DX)", v.r(2*i+1), v.bytes())
		f.op("ADDQ BX, DX")
	}
}

// rowBases is where 14 rows lie, R10 apart: R11, R12, R13, R8, R9 and R14 are 3 to 13 times
// that.
var rowBases = [rows512]string{"(SI)", "(SI)(R10*1)", "(SI)(R10*2)", "(SI)(R11*1)", "(SI)(R10*4)", "(SI)(R12*1)", "(SI)(R11*2)", "(SI)(R13*1)",
	"(SI)(R10*8)", "(SI)(R8*1)", "(SI)(R12*2)", "(SI)(R9*1)", "(SI)(R11*4)", "(SI)(R14*1)"}

// emitPlain512 writes the plain tiles of AVX-512 whose sums go on by multiply.
func emitPlain512(f *file, kind string, multiply func(b, a, c int)) {
	for mr := 1; mr <= rows512; mr++ {
		f.plain512(fmt.Sprintf("rows%sx%d", kind, mr), "rows", mr, multiply, func(step, row int) string {
			return fmt.Sprintf("%d%s", 4*step, rowBases[row])
		}, func() {
			for _, odd := range [][2]string{{"R10*2", "R11"}, {"R10*4", "R12"}, {"R11*2", "R13"}, {"R10*8", "R8"}, {"R12*2", "R9"}, {"R11*4", "R14"}} {
				f.op("LEAQ (R10)(%s), %s", odd[0], odd[1])
			}
		}, func(steps int) { f.op("ADDQ $%d, SI", 4*steps) })
	}
	for mr := 1; mr <= rows512; mr++ {
		f.plain512(fmt.Sprintf("columns%sx%d", kind, mr), "columns", mr, multiply, func(step, row int) string {
			return fmt.Sprintf("%d%s", 4*row, columnSteps[step])
		}, func() {
			f.op("LEAQ (R10)(R10*2), R11")
			f.op("ADDQ SI, R11")
		}, f.overColumns)
	}
}

func (f *file) plain512(name, of string, mr int, multiply func(b, a, c int), at func(step, row int) string, bases func(), onward func(steps int)) {
	fr := f.function(name, fmt.Sprintf("is a tile of %d %s of a plain left side with AVX-512.", mr, of), plainArgs, nil)
	for _, m := range [][2]string{{"k", "CX"}, {"a", "SI"}, {"aStep", "R10"}, {"b", "DI"}, {"c", "DX"}, {"ldc", "BX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	bases()
	for i := range 2 * mr {
		f.op("VPXORQ Z%d, Z%[1]d, Z%[1]d", i)
	}
	f.plainLoop(func(s int) {
		f.op("VMOVUPS %d(DI), Z28", panelStride*s)
		f.op("VMOVUPS %d(DI), Z29", panelStride*s+64)
		for i := range mr {
			f.op("VBROADCASTSS %s, Z%d", at(s, i), 30+i%2)
			multiply(28, 30+i%2, 2*i)
			multiply(29, 30+i%2, 2*i+1)
		}
	}, onward)
	f.storePlain(fr, avx512, mr)
	f.ret()
}
