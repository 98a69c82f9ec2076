package main

// emitKept writes addKept: the mask is an element's being other than -0.
func emitKept(f *file, s isa) {
	f.keptFunction("addKept"+s.name, "is c += scale low for rows of 32 float32 where the mask's is not -0.", s)
	loop := f.label("row")
	f.mark(loop)
	f.op("PREFETCHT1 (SI)(R10*1)")
	f.op("PREFETCHT1 64(SI)(R10*1)")
	for at := 0; at < panelStride; at += 4 * s.width {
		if s == avx512 {
			f.op("VPCMPUD $4, %d(SI), %s, K1", at, s.r(keptMark))
		} else {
			f.op("VPCMPEQD %d(SI), %s, %s", at, s.r(keptMark), s.r(0))
		}
		f.addKept(s, at)
	}
	f.nextKept(loop)
}

// emitKeptHalf is emitKept for a mask of bfloat16.
func emitKeptHalf(f *file, s isa) {
	f.keptFunction("addKeptHalf"+s.name, "is addKept for a mask of bfloat16.", s)
	loop := f.label("row")
	f.mark(loop)
	f.op("PREFETCHT1 (SI)(R10*1)")
	for at := 0; at < panelStride; at += 4 * s.width {
		f.op("VPMOVZXWD %d(SI), %s", at/2, s.r(0))
		f.op("VPSLLD $16, %s, %s", s.r(0), s.r(0))
		if s == avx512 {
			f.op("VPCMPUD $4, %s, %s, K1", s.r(0), s.r(keptMark))
		} else {
			f.op("VPCMPEQD %s, %s, %s", s.r(0), s.r(keptMark), s.r(0))
		}
		f.addKept(s, at)
	}
	f.nextKept(loop)
}

// Registers beside 0, of AVX2 the mask, and 1, of c.
const (
	keptLow = 2 + iota
	keptMark
	keptScale
)

func (f *file) keptFunction(name, doc string, s isa) {
	fr := f.function(name, doc, []arg{{"c", "unsafe.Pointer"}, {"ldc", "int"}, {"low", "unsafe.Pointer"}, {"mask", "unsafe.Pointer"},
		{"maskStride", "int"}, {"rows", "int"}, {"scale", "float32"}}, nil)
	for _, m := range [][2]string{{"c", "DI"}, {"ldc", "R8"}, {"low", "DX"}, {"mask", "SI"}, {"maskStride", "R9"}, {"rows", "CX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("MOVQ R9, R10")
	f.op("IMULQ CX, R10") // the mask of as many rows that follow is wanted next
	f.op("VBROADCASTSS %s, %s", fr.slot("scale"), s.r(keptScale))
	f.op("VMOVUPS %s, %s", f.dwords("dropped", func(int) uint32 { return 1 << 31 }), s.r(keptMark))
}

// addKept adds a register of low: K1 is the elements that take part, or those of
// register 0 do not.
func (f *file) addKept(s isa, at int) {
	f.op("VMOVUPS %d(DI), %s", at, s.r(1))
	if s == avx512 {
		f.op("VFMADD231PS %d(DX), %s, K1, %s", at, s.r(keptScale), s.r(1))
	} else {
		f.op("VANDNPS %d(DX), %s, %s", at, s.r(0), s.r(keptLow))
		f.op("VFMADD231PS %s, %s, %s", s.r(keptLow), s.r(keptScale), s.r(1))
	}
	f.op("VMOVUPS %s, %d(DI)", s.r(1), at)
}

func (f *file) nextKept(loop string) {
	f.op("ADDQ R8, DI")
	f.op("ADDQ $%d, DX", panelStride)
	f.op("ADDQ R9, SI")
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.ret()
}
