package main

import "fmt"

// A direct product multiplies rows of a weight in blocks by few rows of x and
// writes no row down: 16 rows of 32 elements become bfloat16 in registers,
// are transposed there, and meet x. A sum has the order, and so the bits, of the
// tiles' on decoded panels.
//
// Vector registers: 0 to 15 the rows, then their pairs by K; the others belong to
// a row's decoding, to the transposition and, behind it, to sums. General: R8 the
// distance of rows, R9 three times that, R10 to R13 every fourth of 16 rows, R15
// the step's first row, CX the halves of the 32 rows that are left; BX the
// distance of x's words, R14 three times that; AX, DX, SI, DI are free.

var directArgs = []arg{{"c", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"srcStep", "int"}, {"m", "int"}, {"scales", "unsafe.Pointer"}}

const directRows = 16

func emitDirect(f *file) {
	d := direct{halfBlocks{blocks{f, avx512}}}
	nf4 := func(at int) func() { return func() { d.nf4Rows(at) } }
	for _, b := range []struct {
		name, doc string
		bytes     int
		units     []func()
	}{
		{"int8", "32 elements of Int8", 32, []func(){func() { d.each(d.int8Row) }}},
		{"q8x0", "Q8_0", 34, []func(){func() { d.halfScales(); d.each(d.q8Row) }}},
		{"q4x0", "Q4_0", 18, []func(){func() { d.halfScales(); d.q4Rows() }}},
		{"nf4", "NF4", 36, []func(){nf4(4), nf4(20)}},
	} {
		d.direct(b.name, b.doc, b.bytes, b.units)
		d.pack(b.name, b.doc, b.bytes, b.units)
	}
}

type direct struct{ halfBlocks }

func (d direct) direct(name, of string, srcBytes int, units []func()) {
	f := d.f
	fr := f.function(name+"Direct", fmt.Sprintf("is c += x w for 32 rows of w of n blocks of %s, srcStep bytes apart, and m rows of x in a panel [words][m]; c is m rows of 32.", of), directArgs, nil)
	f.op("MOVQ %s, BX", fr.slot("m"))
	f.op("SHLQ $2, BX")
	f.op("LEAQ (BX)(BX*2), R14")
	d.loop(fr, "c", srcBytes, units, func(columns []int) { d.multiply(fr, columns) }, func() {
		f.op("MOVQ BX, AX")
		f.op("SHLQ $4, AX")
		f.op("ADDQ AX, %s", fr.slot("x"))
	})
}

// pack writes what a tile reads.
func (d direct) pack(name, of string, srcBytes int, units []func()) {
	f := d.f
	fr := f.function(name+"Pack", fmt.Sprintf("writes a panel of B, of bfloat16, of 32 rows of n blocks of %s, srcStep bytes apart.", of),
		[]arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"srcStep", "int"}, {"scales", "unsafe.Pointer"}}, nil)
	d.loop(fr, "dst", srcBytes, units, func(columns []int) {
		f.op("MOVQ %s, DI", fr.slot("dst"))
		f.storeFlipped(avx512, columns, 0, 0)
	}, func() { f.op("ADDQ $%d, %s", 16*panelStride, fr.slot("dst")) })
}

// loop goes over n blocks of so many bytes, each of some units of 32 elements,
// and over the halves of the 32 rows; consume takes the pairs of a half, whose
// place is 64 bytes further at to for the second, and step ends a unit.
func (d direct) loop(fr frame, to string, srcBytes int, units []func(), consume func(columns []int), step func()) {
	f := d.f
	f.op("MOVQ %s, R15", fr.slot("src"))
	f.op("MOVQ %s, R8", fr.slot("srcStep"))
	f.op("LEAQ (R8)(R8*2), R9")
	loop := f.label("block")
	f.mark(loop)
	for _, unit := range units {
		half := f.label("half")
		f.op("MOVQ $2, CX")
		f.op("MOVQ R15, R10")
		f.mark(half)
		for i, r := range []string{"R11", "R12", "R13"} {
			f.op("LEAQ (R1%d)(R8*4), %s", i, r)
		}
		f.op("MOVQ %s, DI", fr.slot("scales"))
		d.prefetch()
		unit()
		consume(f.transpose(avx512))
		f.op("LEAQ (R13)(R8*4), R10")
		f.op("ADDQ $64, %s", fr.slot("scales"))
		f.op("ADDQ $64, %s", fr.slot(to))
		f.op("DECQ CX")
		f.op("JNZ %s", half)
		f.op("SUBQ $128, %s", fr.slot("scales"))
		f.op("SUBQ $128, %s", fr.slot(to))
		step()
	}
	f.op("ADDQ $%d, R15", srcBytes)
	f.op("DECQ %s", fr.slot("n"))
	f.op("JNZ %s", loop)
	f.ret()
}

// xRows is how many rows of x meet a unit at a time: a sum has one accumulator,
// whose additions wait for each other.
const xRows = 4

// multiply adds the products of 16 pairs with every row of x.
func (d direct) multiply(fr frame, columns []int) {
	f := d.f
	f.op("MOVQ %s, DX", fr.slot("x"))
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
			f.op("VMOVUPS %d(DI), Z%d", i*panelStride, 16+i)
		}
		for k, c := range columns {
			if k > 0 && k%4 == 0 {
				f.op("LEAQ (AX)(BX*4), AX")
			}
			for i := range rows {
				x := 20 + (k*rows+i)%12
				f.op("VBROADCASTSS %d(AX)%s, Z%d", 4*i, []string{"", "(BX*1)", "(BX*2)", "(R14*1)"}[k%4], x)
				f.dotPairs(c, x, 16+i)
			}
		}
		for i := range rows {
			f.op("VMOVUPS Z%d, %d(DI)", 16+i, i*panelStride)
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

// prefetch brings in what the next 32 rows have at the place of these 16.
func (d direct) prefetch() {
	f := d.f
	f.op("MOVQ R8, SI")
	f.op("SHLQ $5, SI")
	for quarter := range 4 {
		f.op("LEAQ (R1%d)(SI*1), AX", quarter)
		for _, row := range []string{"", "(R8*1)", "(R8*2)", "(R9*1)"} {
			f.op("PREFETCHT0 (AX)%s", row)
		}
	}
}

// at is memory at some bytes of row i.
func (d direct) at(i, at int) string {
	return fmt.Sprintf("%d(R1%d)%s", at, i/4, []string{"", "(R8*1)", "(R8*2)", "(R9*1)"}[i%4])
}

func (d direct) each(row func(i int)) {
	for i := range directRows {
		row(i)
	}
}

// bytesRow scales 32 signed bytes of row i.
func (d direct) bytesRow(i, at int) {
	low, high := 16+i%4*2, 17+i%4*2
	for k, reg := range []int{low, high} {
		d.op("VPMOVSXBD", d.at(i, at+16*k), reg)
		d.op("VCVTDQ2PS", reg, reg)
		d.f.op("VMULPS.BCST %d(DI), Z%d, Z%d", 4*i, reg, reg)
	}
	d.f.convertTwo(low, high, i)
}

func (d direct) int8Row(i int) { d.bytesRow(i, 0) }
func (d direct) q8Row(i int)   { d.bytesRow(i, 2) }

// halfScales writes the binary16 that each row's block begins with as float32.
func (d direct) halfScales() {
	f := d.f
	for quarter := range 4 {
		d.fourHalves(quarter, 16+quarter)
	}
	f.op("VPUNPCKLQDQ X17, X16, X16")
	f.op("VPUNPCKLQDQ X19, X18, X18")
	f.op("VINSERTI32X4 $1, X18, Y16, Y16")
	f.op("VCVTPH2PS Y16, Z16")
	f.op("VMOVUPS Z16, (DI)")
}

// fourHalves brings the first 16 bits of four rows' blocks into a register.
func (d direct) fourHalves(quarter, reg int) {
	d.f.op("MOVWLZX %s, AX", d.at(4*quarter+3, 0))
	for j := 2; j >= 0; j-- {
		d.f.op("MOVWLZX %s, DX", d.at(4*quarter+j, 0))
		d.f.op("SHLQ $16, AX")
		d.f.op("ORQ DX, AX")
	}
	d.f.op("VMOVQ AX, X%d", reg)
}

// q4Rows decodes rows of Q4_0, whose bytes hold elements 16 apart.
func (d direct) q4Rows() {
	d.load32(d.f.dwords("minus8_to_7", smallFloats(-8)), 16)
	d.load32("spread_bytes<>(SB)", 19)
	d.load32("upper_nibbles<>(SB)", 20)
	d.tableRows(2, func(i int) string { return fmt.Sprintf("%d(DI)", 4*i) })
}

// nf4Rows decodes 32 elements, whose bytes lie at an offset of each row's block.
func (d direct) nf4Rows(at int) {
	d.load32(d.f.dwords("nf4", func(i int) uint32 { return normalFloat[i] }), 16)
	d.load32(d.f.twiceBytes(), 19)
	d.load32(d.f.firstNibbles(), 20)
	d.tableRows(at, func(i int) string { return d.at(i, 0) })
}

// tableRows looks up rows of 16 bytes of two elements: two rows share a table of
// 32 values, those in Z16 times their scales, of which bit 4 chooses a half. Z19
// spreads the bytes to words and Z20 says how far each moves.
func (d direct) tableRows(at int, scale func(i int) string) {
	const orAnd = 0xea // (a and b) or c
	d.load32(d.f.dwords("nibble_words", func(int) uint32 { return 0x000f000f }), 17)
	d.load32(d.f.dwords("second_words", func(int) uint32 { return 0x00100010 }), 18)
	for pair := range directRows / 2 {
		table := 21 + pair%2*3
		for k := range 2 {
			d.f.op("VMULPS.BCST %s, Z16, Z%d", scale(2*pair+k), table+1+k)
		}
		d.f.convertTwo(table+1, table+2, table)
		for k := range 2 {
			i := 2*pair + k
			d.f.op("VBROADCASTI32X4 %s, Z%d", d.at(i, at), i)
			d.f.op("VPSHUFB Z19, Z%d, Z%d", i, i)
			d.f.op("VPSRLVW Z20, Z%d, Z%d", i, i)
			if k == 0 {
				d.and(17, i, i)
			} else {
				d.f.op("VPTERNLOGD $0x%x, Z18, Z17, Z%d", orAnd, i)
			}
			d.f.op("VPERMW Z%d, Z%d, Z%d", table, i, i)
		}
	}
}
