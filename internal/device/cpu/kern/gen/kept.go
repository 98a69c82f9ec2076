package main

import "fmt"

// A mask has a bit for each element, 1 where it is kept; 32 elements are a word.
const maskWord = 32

// emitKept writes what is done under a mask.
func emitKept(f *file, s isa) {
	f.addKept(s)
	f.keepFloats(s)
	if s == avx512 {
		f.keepHalves()
	}
}

// addKept adds rows of a tile.
func (f *file) addKept(s isa) {
	fr := f.function("addKept"+s.name, "is c += scale low for rows of 32 float32 where the mask has a 1.", []arg{{"c", "unsafe.Pointer"}, {"ldc", "int"},
		{"low", "unsafe.Pointer"}, {"mask", "unsafe.Pointer"}, {"maskStride", "int"}, {"rows", "int"}, {"scale", "float32"}}, nil)
	for _, m := range [][2]string{{"c", "DI"}, {"ldc", "R8"}, {"low", "DX"}, {"mask", "SI"}, {"maskStride", "R9"}, {"rows", "CX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("VBROADCASTSS %s, %s", fr.slot("scale"), s.r(keptScale))
	loop := f.label("row")
	f.mark(loop)
	f.underMask(s, "SI", func(at int, kept string) {
		f.op("VMOVUPS %d(DI), %s", at, s.r(keptSum))
		if s == avx512 {
			f.op("VFMADD231PS %d(DX), %s, %s, %s", at, s.r(keptScale), kept, s.r(keptSum))
		} else {
			f.op("VANDPS %d(DX), %s, %[2]s", at, kept)
			f.op("VFMADD231PS %s, %s, %s", kept, s.r(keptScale), s.r(keptSum))
		}
		f.op("VMOVUPS %s, %d(DI)", s.r(keptSum), at)
	})
	f.op("ADDQ R8, DI")
	f.op("ADDQ $%d, DX", panelStride)
	f.op("ADDQ R9, SI")
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.ret()
}

const (
	keptWord = iota // of AVX2
	keptPart
	keptSum
	keptScale
)

// underMask does 32 elements, a register at a time: kept is a mask register of
// AVX-512, and of AVX2 all ones where an element is kept.
func (f *file) underMask(s isa, mask string, do func(at int, kept string)) {
	if s == avx512 {
		for i := range 2 {
			f.op("KMOVW %d(%s), K%d", 2*i, mask, i+1)
			do(4*s.width*i, fmt.Sprintf("K%d", i+1))
		}
		return
	}
	f.op("VPBROADCASTD (%s), %s", mask, s.r(keptWord))
	for i := range maskWord / s.width {
		bits := f.maskBits(s, i)
		f.op("VPAND %s, %s, %s", bits, s.r(keptWord), s.r(keptPart))
		f.op("VPCMPEQD %s, %s, %[2]s", bits, s.r(keptPart))
		do(4*s.width*i, s.r(keptPart))
	}
}

// maskBits is the bit of each element of the i-th register of a word.
func (f *file) maskBits(s isa, i int) string {
	return f.dwords(fmt.Sprintf("bits%d", i), func(lane int) uint32 { return 1 << (i*s.width + lane%s.width) })
}

func (f *file) keepFloats(s isa) {
	loop := f.beginKeep("keep"+s.name, "float32")
	f.underMask(s, "DX", func(at int, kept string) {
		if s == avx512 {
			f.op("VMOVUPS.Z %d(SI), %s, %s", at, kept, s.r(keptSum))
		} else {
			f.op("VANDPS %d(SI), %s, %s", at, kept, s.r(keptSum))
		}
		f.op("VMOVUPS %s, %d(DI)", s.r(keptSum), at)
	})
	f.endKeep(loop, 4)
}

func (f *file) keepHalves() {
	loop := f.beginKeep("keepHalf", "bfloat16")
	f.op("KMOVD (DX), K1")
	f.op("VMOVDQU16.Z (SI), K1, Z0")
	f.op("VMOVDQU16 Z0, (DI)")
	f.endKeep(loop, 2)
}

func (f *file) beginKeep(name, of string) (loop string) {
	fr := f.function(name, "is y = x where the mask has a 1, else 0, for so many words of the mask: 32 "+of+" each.",
		[]arg{{"y", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"mask", "unsafe.Pointer"}, {"words", "int"}}, nil)
	for _, m := range [][2]string{{"y", "DI"}, {"x", "SI"}, {"mask", "DX"}, {"words", "CX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	loop = f.label("word")
	f.mark(loop)
	return loop
}

func (f *file) endKeep(loop string, size int) {
	f.op("ADDQ $%d, DI", maskWord*size)
	f.op("ADDQ $%d, SI", maskWord*size)
	f.op("ADDQ $4, DX")
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.ret()
}

// emitKeepRows brings rows side by side.
func emitKeepRows(f *file) {
	s := avx2
	fr := f.function("keepRows"+s.name, "is rows of so many words of 32 float32, xRow bytes apart, as they follow each other at y: x where the mask has a 1, else 0, and x itself where mask is nil.",
		[]arg{{"y", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"xRow", "int"}, {"mask", "unsafe.Pointer"}, {"maskRow", "int"}, {"rows", "int"}, {"words", "int"}}, nil)
	for _, m := range [][2]string{{"y", "DI"}, {"x", "SI"}, {"xRow", "R10"}, {"mask", "DX"}, {"maskRow", "R9"}, {"rows", "R8"}, {"words", "R11"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	plain := f.label("plain")
	f.op("TESTQ DX, DX")
	f.op("JEQ %s", plain)
	for i := range maskWord / s.width {
		f.op("VMOVUPS %s, %s", f.maskBits(s, i), s.r(keptBits+i))
	}
	f.rowsOfWords(func() {
		f.op("VPBROADCASTD (BX), %s", s.r(keptWord))
		for i := range maskWord / s.width {
			bits, part := s.r(keptBits+i), s.r(keptPart+i)
			f.op("VPAND %s, %s, %s", bits, s.r(keptWord), part)
			f.op("VPCMPEQD %s, %s, %[2]s", bits, part)
			f.op("VANDPS %d(R13), %s, %[2]s", 4*s.width*i, part)
			f.op("VMOVUPS %s, %d(DI)", part, 4*s.width*i)
		}
		f.op("ADDQ $4, BX")
	})
	f.ret()
	f.mark(plain)
	f.rowsOfWords(func() {
		for i := range maskWord / s.width {
			f.op("VMOVUPS %d(R13), %s", 4*s.width*i, s.r(keptPart+i))
		}
		for i := range maskWord / s.width {
			f.op("VMOVUPS %s, %d(DI)", s.r(keptPart+i), 4*s.width*i)
		}
	})
	f.ret()
}

// keptBits is the first of the registers of keepRows that hold each element's bit.
const keptBits = 12

// rowsOfWords does each word of each row: x at R13, its mask at BX and y at DI.
func (f *file) rowsOfWords(do func()) {
	row, word := f.label("row"), f.label("word")
	f.mark(row)
	f.op("MOVQ SI, R13")
	f.op("MOVQ DX, BX")
	f.op("MOVQ R11, CX")
	f.mark(word)
	do()
	f.op("ADDQ $%d, R13", 4*maskWord)
	f.op("ADDQ $%d, DI", 4*maskWord)
	f.op("DECQ CX")
	f.op("JNZ %s", word)
	f.op("ADDQ R10, SI")
	f.op("ADDQ R9, DX")
	f.op("DECQ R8")
	f.op("JNZ %s", row)
}

// keepLeft copies a panel of a left side under a mask.
func keepLeft(f *file) {
	fr := f.function("amxKeep", "is the steps at x, of so many rows of 32 bfloat16, where the mask has a 1, else 0; a row of the mask is maskStride bytes behind the one before.",
		[]arg{{"y", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"mask", "unsafe.Pointer"}, {"maskStride", "int"}, {"rows", "int"}, {"steps", "int"}}, nil)
	for _, m := range [][2]string{{"y", "DI"}, {"x", "SI"}, {"mask", "DX"}, {"maskStride", "R9"}, {"rows", "R8"}, {"steps", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	step, row := f.label("step"), f.label("row")
	f.mark(step)
	f.op("MOVQ DX, BX")
	f.op("MOVQ R8, CX")
	f.mark(row)
	f.op("KMOVD (BX), K1")
	f.op("VMOVDQU16.Z (SI), K1, Z0")
	f.op("VMOVDQU16 Z0, (DI)")
	f.op("ADDQ R9, BX")
	f.op("ADDQ $%d, SI", amxBytes)
	f.op("ADDQ $%d, DI", amxBytes)
	f.op("DECQ CX")
	f.op("JNZ %s", row)
	f.op("ADDQ $4, DX")
	f.op("DECQ R10")
	f.op("JNZ %s", step)
	f.ret()
}
