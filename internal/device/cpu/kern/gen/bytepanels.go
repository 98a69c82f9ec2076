package main

import "fmt"

// A panel of float32 is made of 32 rows of blocks by transposing their bytes, 8 rows at
// a time, before these become numbers: a fourth of the shuffles that transposing the
// numbers takes, and none of them crosses the halves of a register, since rows 4 apart
// share one. The numbers are those of blocks.go.
//
// Vector registers: 0 to 3 bytes of the rows and then their columns, 4 to 7 on the way,
// 8 to 11 what tells a column's bytes from its neighbours', or tables; 12 the scales, 13
// the mask of low halves, 14 what is subtracted. General: those of a direct product, and
// BX where the panel goes, R14 what is brought in of blocks of several passes.

// bytePanel is a type of blocks. Behind prepare a block is decoded in passes of the same
// code, which go passBytes on in the rows and passWorks in the work.
type bytePanel struct {
	name, of             string
	bytes, elements      int // of a block
	passes               int
	passBytes, passWorks int
	prepare, pass        func()
}

const (
	byteScales = 12
	byteMask   = 13
	byteLess   = 14
	factorsAt  = 8 * 64 // in the work: the factors of 8 rows, group by group
)

func emitBytePanels(f *file) {
	d := direct{halfBlocks{blocks{f, avx2}}, false}
	signed := func(at int) func() {
		return func() {
			for e := 0; e < tileCols; e += 16 {
				d.byteColumns(at + e)
				d.signedColumns(e)
			}
		}
	}
	for _, b := range []bytePanel{
		{name: "int8", of: "32 elements of Int8", bytes: 32, elements: 32, passes: 1, prepare: func() { d.loadScales(); d.signedPattern() }, pass: signed(0)},
		{name: "q8x0", of: "Q8_0", bytes: 34, elements: 32, passes: 1, prepare: func() { d.scales(); d.loadScales(); d.signedPattern() }, pass: signed(2)},
		{name: "q4x0", of: "Q4_0", bytes: 18, elements: 32, passes: 1, prepare: func() { d.scales(); d.loadScales(); d.wholePattern(); d.load32(f.wide(8), byteLess) }, pass: d.q4Columns},
		{name: "nf4", of: "NF4", bytes: 36, elements: 64, passes: 1, prepare: d.nf4Tables, pass: d.nf4Columns},
		{name: "q4K", of: "Q4_K", bytes: 144, elements: 256, passes: 4, passBytes: 32, passWorks: 64,
			prepare: func() { d.q4KPrepare(); d.turnFactors(); d.wholePattern() }, pass: d.q4KColumns},
		{name: "q6K", of: "Q6_K", bytes: 210, elements: 256, passes: 8, passBytes: 32, passWorks: 64,
			prepare: func() { d.q6KPrepare(); d.turnFactors(); d.signedPattern() },
			pass:    d.q6KColumns},
	} {
		d.bytePanel(b)
	}
}

// bytePanel writes a kern.PackBlocks of float32.
func (d direct) bytePanel(b bytePanel) {
	f := d.f
	fr := f.function(b.name+"PanelAVX2", fmt.Sprintf("writes a panel of B, of float32, of 32 rows of n blocks of %s, srcStep bytes apart.", b.of), packArgs, nil)
	block, group, pass := f.label("block"), f.label("group"), f.label("pass")
	f.mark(block)
	f.op("MOVQ $%d, R15", tileCols/d.isa.width)
	f.mark(group)
	f.op("MOVQ %s, R8", fr.slot("srcStep"))
	f.op("LEAQ (R8)(R8*2), R9")
	f.op("MOVQ %s, R10", fr.slot("src"))
	d.quarters()
	if b.passes == 1 {
		d.prefetch(b.bytes, "PREFETCHT1", "SI")
	} else {
		f.op("MOVQ R8, R14")
		f.op("SHLQ $5, R14")
		f.op("ADDQ R10, R14")
	}
	f.op("MOVQ %s, DI", fr.slot("work"))
	f.op("MOVQ %s, BX", fr.slot("dst"))
	b.prepare()
	if b.passes > 1 {
		f.op("MOVQ $%d, CX", b.passes)
		f.mark(pass)
		d.prefetchSome(fr, d.isa.width/b.passes, b.bytes)
	}
	b.pass()
	if b.passes > 1 {
		f.op("ADDQ $%d, DI", b.passWorks)
		f.op("ADDQ $%d, BX", b.elements/b.passes*panelStride)
		f.op("ADDQ $%d, R10", b.passBytes)
		d.quarters()
		f.op("DECQ CX")
		f.op("JNZ %s", pass)
	}
	f.op("MOVQ %s, AX", fr.slot("srcStep"))
	f.op("SHLQ $3, AX")
	f.op("ADDQ AX, %s", fr.slot("src"))
	f.op("ADDQ $32, %s", fr.slot("work"))
	f.op("ADDQ $32, %s", fr.slot("dst"))
	f.op("DECQ R15")
	f.op("JNZ %s", group)
	f.op("SHLQ $2, AX")
	f.op("SUBQ AX, %s", fr.slot("src"))
	f.op("ADDQ $%d, %s", b.bytes, fr.slot("src"))
	f.op("SUBQ $%d, %s", panelStride, fr.slot("work"))
	f.op("ADDQ $%d, %s", (b.elements-1)*panelStride, fr.slot("dst"))
	f.op("DECQ %s", fr.slot("n"))
	f.op("JNZ %s", block)
	f.ret()
}

// prefetchSome brings in the blocks at R14 of some of the next 32 rows: those of all at once
// would fill what waits for memory.
func (d direct) prefetchSome(fr frame, rows, bytes int) {
	for range rows {
		for at := 0; at < bytes; at += 64 {
			d.f.op("PREFETCHT1 %d(R14)", at)
		}
		d.f.op("ADDQ %s, R14", fr.slot("srcStep"))
	}
}

// byteColumns reads 16 bytes of each of 8 rows.
func (d direct) byteColumns(at int) { d.turnBytes(at, 0, 0, 4) }

// turnBytes reads 16 bytes of each of 8 rows: word j of register t, of four from one on, then
// is byte 4t+j of four rows, and of the four behind them in the upper half. It takes four
// registers more.
func (d direct) turnBytes(at, row, first, free int) {
	f := d.f
	for i := range 4 {
		f.op("VMOVDQU %s, X%d", d.at(row+i, at), first+i)
		f.op("VINSERTI128 $1, %s, Y%d, Y%d", d.at(row+4+i, at), first+i, first+i)
	}
	for i := 0; i < 4; i += 2 {
		f.op("VPUNPCKLBW Y%d, Y%d, Y%d", first+i+1, first+i, free+i)
		f.op("VPUNPCKHBW Y%d, Y%d, Y%d", first+i+1, first+i, free+i+1)
	}
	for i := range 2 {
		f.op("VPUNPCKLWD Y%d, Y%d, Y%d", free+2+i, free+i, first+2*i)
		f.op("VPUNPCKHWD Y%d, Y%d, Y%d", free+2+i, free+i, first+2*i+1)
	}
}

// loadScales takes the scales of 8 rows from the work.
func (d direct) loadScales() { d.op("VMOVUPS", work(0), byteScales) }

// signedPattern and wholePattern fill the registers that spread the bytes of word j of
// each half to words: to the upper end of a word, or to its lower.
func (d direct) signedPattern() { d.pattern("upper", 24) }

func (d direct) wholePattern() {
	d.pattern("lower", 0)
	d.load32(d.f.dwords("nibbles", func(int) uint32 { return 0x0f0f0f0f }), byteMask)
}

func (d direct) pattern(name string, shift uint) {
	for j := range 4 {
		d.load32(d.spread(name, shift, j), 8+j)
	}
}

// spread is such a register's constant.
func (d direct) spread(name string, shift uint, j int) string {
	return d.f.dwords(fmt.Sprintf("%s_bytes_%d", name, j), func(i int) uint32 {
		return 0x80808080&^(0xff<<shift) | uint32(4*j+i%4)<<shift
	})
}

// signedColumns writes 16 columns of signed bytes times the scales, from one on.
func (d direct) signedColumns(column int) {
	for k := range 16 {
		to := 4 + k%4
		d.f.op("VPSHUFB Y%d, Y%d, Y%d", 8+k%4, k/4, to)
		d.f.op("VPSRAD $24, Y%d, Y%d", to, to)
		d.op("VCVTDQ2PS", to, to)
		d.op("VMULPS", byteScales, to, to)
		d.storeColumn(to, column+k)
	}
}

func (d direct) storeColumn(reg, column int) {
	d.op("VMOVUPS", reg, fmt.Sprintf("%d(BX)", panelStride*column))
}

// nibbleColumns writes the columns of the low halves of 16 bytes, and then those of the
// high halves, after finish; the two begin at these columns.
func (d direct) nibbleColumns(low, high int, finish func(reg int, high bool)) {
	for t := range 4 {
		d.f.op("VPSRLW $4, Y%d, Y6", t)
		d.f.op("VPAND Y%d, Y%d, Y%d", byteMask, t, t)
		d.f.op("VPAND Y%d, Y6, Y6", byteMask)
		for half, from := range []int{t, 6} {
			for j := range 4 {
				to := 4 + j%2
				d.f.op("VPSHUFB Y%d, Y%d, Y%d", 8+j, from, to)
				d.op("VCVTDQ2PS", to, to)
				finish(to, half == 1)
				d.storeColumn(to, []int{low, high}[half]+4*t+j)
			}
		}
	}
}

func (d direct) q4Columns() {
	d.byteColumns(2)
	d.nibbleColumns(0, 16, func(reg int, _ bool) {
		d.op("VSUBPS", byteLess, reg, reg)
		d.op("VMULPS", byteScales, reg, reg)
	})
}

// q4KColumns decodes two groups, which share 32 bytes.
func (d direct) q4KColumns() {
	const bytes, minima = 16, 8 * 32
	for e := 0; e < 32; e += 16 {
		d.byteColumns(bytes + e)
		d.nibbleColumns(e, 32+e, func(reg int, high bool) {
			at := factorsAt
			if high {
				at += 32
			}
			d.op("VMULPS", work(at), reg, reg)
			d.op("VSUBPS", work(at+minima), reg, reg)
		})
	}
}

// q6KColumns decodes two groups.
func (d direct) q6KColumns() {
	for i := range 2 {
		d.op("VMOVUPS", work(factorsAt+32*i), byteScales)
		d.byteColumns(16 * i)
		d.signedColumns(16 * i)
	}
}

// turnFactors turns 8 rows of 16 factors into 16 columns.
func (d direct) turnFactors() {
	for half := range 2 {
		for i := range 8 {
			d.op("VMOVUPS", work(64*i+32*half), i)
		}
		for group, c := range d.f.transpose(d.isa) {
			d.op("VMOVUPS", c, work(factorsAt+32*(8*half+group)))
		}
	}
}

// nf4Tables takes the scales and tables of the bytes of NF4's 16 values, a register for each
// byte of a float32.
func (d direct) nf4Tables() {
	d.rowScales()
	d.nf4Bytes(8)
	d.load32(d.f.dwords("nibbles", func(int) uint32 { return 0x0f0f0f0f }), byteMask)
}

// rowScales takes the float32 that 8 rows' blocks begin with.
func (d direct) rowScales() {
	f := d.f
	for i := range 2 {
		x := byteScales + i
		f.op("VMOVD %s, X%d", d.at(4*i, 0), x)
		for j := 1; j < 4; j++ {
			f.op("VPINSRD $%d, %s, X%d, X%d", j, d.at(4*i+j, 0), x, x)
		}
	}
	f.op("VINSERTI128 $1, X%d, Y%d, Y%d", byteScales+1, byteScales, byteScales)
}

// nf4Bytes fills the tables, from a register on.
func (d direct) nf4Bytes(first int) {
	for b := range 4 {
		d.load32(d.f.dwords(fmt.Sprintf("nf4_byte_%d", b), func(i int) (word uint32) {
			for j := range 4 {
				word |= normalFloat[i%4*4+j] >> (8 * b) & 0xff << (8 * j)
			}
			return word
		}), first+b)
	}
}

// nf4Columns decodes a block. Of a byte's two elements the high half is the first.
func (d direct) nf4Columns() {
	f := d.f
	for e := 0; e < 64; e += 32 {
		d.byteColumns(4 + e/2)
		for t := range 4 {
			for half := range 2 {
				if half == 0 {
					f.op("VPSRLW $4, Y%d, Y14", t)
					f.op("VPAND Y%d, Y14, Y14", byteMask)
				} else {
					f.op("VPAND Y%d, Y%d, Y14", byteMask, t)
				}
				d.normalColumns(e + 8*t + half)
			}
		}
	}
}

// normalColumns looks the indices in 14 up: four columns, every other one from column on.
func (d direct) normalColumns(column int) {
	f := d.f
	for b := range 4 {
		f.op("VPSHUFB Y14, Y%d, Y%d", 8+b, 4+b)
	}
	f.op("VPUNPCKLBW Y5, Y4, Y15")
	f.op("VPUNPCKHBW Y5, Y4, Y4")
	f.op("VPUNPCKLBW Y7, Y6, Y5")
	f.op("VPUNPCKHBW Y7, Y6, Y6")
	for j, m := range []struct {
		name        string
		upper, from int
	}{{"VPUNPCKLWD", 5, 15}, {"VPUNPCKHWD", 5, 15}, {"VPUNPCKLWD", 6, 4}, {"VPUNPCKHWD", 6, 4}} {
		f.op("%s Y%d, Y%d, Y7", m.name, m.upper, m.from)
		d.op("VMULPS", byteScales, 7, 7)
		d.storeColumn(7, column+2*j)
	}
}
