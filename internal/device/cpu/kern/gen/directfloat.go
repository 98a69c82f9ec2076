package main

import "fmt"

// Direct products in float32: as those in bfloat16, with as many rows and
// elements at a time as a register has words. Behind the transposition AVX-512 has
// columns in registers 0 to 15 and sums from 16 on, AVX2 in 8 to 15 and from 0 on.
type directFloat struct{ direct }

func emitDirectFloat(f *file, s isa) {
	d := directFloat{direct{halfBlocks{blocks{f, s}}}}
	d.emit("int8", "32 elements of Int8", 32, 32, func() {}, func(i, e int) { d.signedBytes(i, e) })
	d.emit("q8x0", "Q8_0", 34, 32, d.halfScales, func(i, e int) { d.signedBytes(i, 2+e) })
	d.emit("q4x0", "Q4_0", 18, 32, d.halfScales, d.nibbles)
	d.emit("nf4", "NF4", 36, 64, func() {}, d.normals)
}

// groups is how many groups of rows make 32.
func (d directFloat) groups() int { return tileCols / d.isa.width }

func (d directFloat) emit(name, of string, srcBytes, elements int, scales func(), row func(i, e int)) {
	f, w := d.f, d.isa.width
	fr := f.function(name+"Direct"+d.isa.name, fmt.Sprintf("is c += x w for 32 rows of w of n blocks of %s, srcStep bytes apart, and m rows of x in a panel [words][m] of float32; c is m rows of 32.", of), directArgs, nil)
	for _, m := range [][2]string{{"src", "R15"}, {"srcStep", "R8"}, {"m", "BX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("LEAQ (R8)(R8*2), R9")
	f.op("SHLQ $2, BX")
	f.op("LEAQ (BX)(BX*2), R14")
	loop, group := f.label("block"), f.label("group")
	f.mark(loop)
	f.op("MOVQ $%d, CX", d.groups())
	f.op("MOVQ R15, R10")
	f.mark(group)
	d.quarters()
	f.op("MOVQ %s, DI", fr.slot("scales"))
	d.prefetchRows()
	scales()
	for e := 0; e < elements; e += w {
		f.op("MOVQ %s, DI", fr.slot("scales"))
		for i := range w {
			row(i, e)
		}
		d.multiplyFloat(fr, f.transpose(d.isa), e)
	}
	f.op("LEAQ (R1%d)(R8*4), R10", w/4-1)
	f.op("ADDQ $%d, %s", 4*w, fr.slot("scales"))
	f.op("ADDQ $%d, %s", 4*w, fr.slot("c"))
	f.op("DECQ CX")
	f.op("JNZ %s", group)
	f.op("SUBQ $128, %s", fr.slot("scales"))
	f.op("SUBQ $128, %s", fr.slot("c"))
	f.op("MOVQ BX, AX")
	f.op("IMULQ $%d, AX", elements)
	f.op("ADDQ AX, %s", fr.slot("x"))
	f.op("ADDQ $%d, R15", srcBytes)
	f.op("DECQ %s", fr.slot("n"))
	f.op("JNZ %s", loop)
	f.ret()
}

// quarters is the addresses of every fourth row.
func (d directFloat) quarters() {
	for i := 1; i < d.isa.width/4; i++ {
		d.f.op("LEAQ (R1%d)(R8*4), R1%d", i-1, i)
	}
}

// prefetchRows brings in what the next 32 rows have at the place of these.
func (d directFloat) prefetchRows() {
	d.f.op("MOVQ R8, SI")
	d.f.op("SHLQ $5, SI")
	for quarter := range d.isa.width / 4 {
		d.f.op("LEAQ (R1%d)(SI*1), AX", quarter)
		for _, row := range []string{"", "(R8*1)", "(R8*2)", "(R9*1)"} {
			d.f.op("PREFETCHT0 (AX)%s", row)
		}
	}
}

// halfScales writes the binary16 that each row's block begins with as float32.
func (d directFloat) halfScales() {
	if d.isa == avx512 {
		d.direct.halfScales()
		return
	}
	for quarter := range 2 {
		d.fourHalves(quarter, quarter)
	}
	d.f.op("VPUNPCKLQDQ X1, X0, X0")
	d.f.op("VCVTPH2PS X0, Y0")
	d.f.op("VMOVUPS Y0, (DI)")
}

// times multiplies by the scale of row i; AVX2 loses tmp.
func (d directFloat) times(scale string, reg, tmp int) {
	if d.isa == avx512 {
		d.f.op("VMULPS.BCST %s, Z%d, Z%d", scale, reg, reg)
		return
	}
	d.f.op("VBROADCASTSS %s, Y%d", scale, tmp)
	d.f.op("VMULPS Y%d, Y%d, Y%d", tmp, reg, reg)
}

// spare is the register behind those of the rows.
func (d directFloat) spare(i int) int { return d.isa.width + i }

func (d directFloat) signedBytes(i, at int) {
	d.op("VPMOVSXBD", d.at(i, at), i)
	d.op("VCVTDQ2PS", i, i)
	d.times(fmt.Sprintf("%d(DI)", 4*i), i, d.spare(0))
}

// nibbles decodes elements e on of Q4_0, whose bytes hold elements 16 apart.
func (d directFloat) nibbles(i, e int) {
	mask, zero := d.spare(6), d.spare(7)
	if i == 0 {
		d.load32(d.f.dwords("nibble", func(int) uint32 { return 15 }), mask)
		d.load32(d.f.dwords("whole_8", func(int) uint32 { return 8 }), zero)
	}
	d.op("VPMOVZXBD", d.at(i, 2+e%16), i)
	if e < 16 {
		d.and(mask, i, i)
	} else {
		d.op("VPSRLD", "$4", i, i)
	}
	d.op("VPSUBD", zero, i, i)
	d.op("VCVTDQ2PS", i, i)
	d.times(fmt.Sprintf("%d(DI)", 4*i), i, d.spare(0))
}

// normals decodes elements e on of NF4: the index of the first of a byte's two,
// its high half, in the low word of 64 bits, and of the other in the high word.
func (d directFloat) normals(i, e int) {
	low, high := d.spare(6), d.spare(7)
	if i == 0 {
		d.load32(d.f.dwords("nf4", func(i int) uint32 { return normalFloat[i] }), low)
		if d.isa == avx2 {
			d.load32(d.f.dwords("nf4_high", func(i int) uint32 { return normalFloat[8+i%8] }), high)
		}
	}
	tmp := d.spare(0)
	d.op("VPMOVZXBQ", d.at(i, 4+e/2), i)
	d.op("VPSLLQ", "$32", i, tmp)
	d.op("VPSRLQ", "$4", i, i)
	d.or(tmp, i, i)
	if d.isa == avx512 {
		d.f.op("VPERMPS Z%d, Z%d, Z%d", low, i, i)
	} else {
		d.f.op("VPERMPS Y%d, Y%d, Y%d", low, i, tmp)
		d.f.op("VPERMPS Y%d, Y%d, Y%d", high, i, d.spare(1))
		d.f.op("VPSLLD $28, Y%d, Y%d", i, i) // bit 3 chooses the table
		d.f.op("VBLENDVPS Y%d, Y%d, Y%d, Y%d", i, d.spare(1), tmp, i)
	}
	d.times(d.at(i, 0), i, tmp)
}

// multiplyFloat adds the products of elements e on with every row of x.
func (d directFloat) multiplyFloat(fr frame, columns []int, e int) {
	f, sums := d.f, 16
	if d.isa == avx2 {
		sums = 0
	}
	f.op("MOVQ BX, AX")
	f.op("IMULQ $%d, AX", e)
	f.op("MOVQ %s, DX", fr.slot("x"))
	f.op("ADDQ AX, DX")
	f.op("MOVQ %s, DI", fr.slot("c"))
	f.op("MOVQ %s, SI", fr.slot("m"))
	done := f.label("done")
	for _, rows := range []int{xRows, 1} {
		loop, next := f.label("x"), f.label("next")
		f.op("SUBQ $%d, SI", rows)
		f.op("JLT %s", next)
		f.mark(loop)
		f.op("MOVQ DX, AX")
		for i := range rows {
			f.op("VMOVUPS %d(DI), %s", i*panelStride, d.isa.r(sums+i))
		}
		for k, c := range columns {
			if k > 0 && k%4 == 0 {
				f.op("LEAQ (AX)(BX*4), AX")
			}
			for i := range rows {
				x := sums + 4 + (k*rows+i)%4
				f.op("VBROADCASTSS %d(AX)%s, %s", 4*i, []string{"", "(BX*1)", "(BX*2)", "(R14*1)"}[k%4], d.isa.r(x))
				f.op("VFMADD231PS %s, %s, %s", d.isa.r(c), d.isa.r(x), d.isa.r(sums+i))
			}
		}
		for i := range rows {
			f.op("VMOVUPS %s, %d(DI)", d.isa.r(sums+i), i*panelStride)
		}
		f.op("ADDQ $%d, DX", 4*rows)
		f.op("ADDQ $%d, DI", rows*panelStride)
		f.op("SUBQ $%d, SI", rows)
		f.op("JGE %s", loop)
		f.mark(next)
		f.op("ADDQ $%d, SI", rows)
		f.op("JEQ %s", done)
	}
	f.mark(done)
}
