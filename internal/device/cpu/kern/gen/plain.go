package main

import "fmt"

// A plain tile is a tile that reads a where it lies, of AVX2:
//
//	func(k int, a unsafe.Pointer, aStep int, b, c unsafe.Pointer, ldc, add int)
//
// c = a b (+ c), with the bits of a tile of alpha 1. a is mr rows, aStep bytes apart, or
// mr columns of k rows that far apart.

var plainArgs = []arg{{"k", "int"}, {"a", "unsafe.Pointer"}, {"aStep", "int"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"ldc", "int"}, {"add", "int"}}

func emitPlain(f *file) {
	for mr := 1; mr <= rows256; mr++ {
		f.plain(fmt.Sprintf("rowsAVX2x%d", mr), "rows", mr, func(step, row int) string {
			at := [rows256]string{"(SI)", "(SI)(R10*1)", "(SI)(R10*2)", "(R11)", "(SI)(R10*4)", "(R11)(R10*2)"}[row]
			return fmt.Sprintf("%d%s", 4*step, at)
		}, func(steps int) { f.op("ADDQ $%d, SI", 4*steps); f.op("ADDQ $%d, R11", 4*steps) })
	}
	for mr := 1; mr <= rows256; mr++ {
		f.plain(fmt.Sprintf("columnsAVX2x%d", mr), "columns", mr, func(step, row int) string {
			at := [tileUnroll]string{"(SI)", "(SI)(R10*1)", "(SI)(R10*2)", "(R11)"}[step]
			return fmt.Sprintf("%d%s", 4*row, at)
		}, func(steps int) {
			if steps == tileUnroll {
				f.op("LEAQ (SI)(R10*4), SI")
				f.op("LEAQ (R11)(R10*4), R11")
				return
			}
			f.op("ADDQ R10, SI")
		})
	}
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
		f.storePlain(fr, mr)
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

func (f *file) storePlain(fr frame, mr int) {
	store := f.label("store")
	f.op("MOVQ %s, AX", fr.slot("add"))
	f.op("TESTQ AX, AX")
	f.op("JEQ %s", store)
	f.op("MOVQ DX, R8")
	for i := range mr {
		f.op("VADDPS (R8), Y%d, Y%[1]d", 2*i)
		f.op("VADDPS 32(R8), Y%d, Y%[1]d", 2*i+1)
		f.op("ADDQ BX, R8")
	}
	f.mark(store)
	for i := range mr {
		f.op("VMOVUPS Y%d, (DX)", 2*i)
		f.op("VMOVUPS Y%d, 32(DX)", 2*i+1)
		f.op("ADDQ BX, DX")
	}
}
