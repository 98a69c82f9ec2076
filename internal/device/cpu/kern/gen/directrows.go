package main

import "fmt"

// What a direct product decodes of each type: a row of words in its register.

// types is the types of blocks. The work of Int8 holds the distances of the rows'
// numbers; that of the types of 32 elements to a scale takes the rows' scales.
func (d direct) types() []inBlocks {
	nothing := func() {}
	all := []inBlocks{
		{name: "int8", of: "32 elements of Int8", bytes: 32, elements: 32, passes: 1, given: true, prepare: nothing,
			unit: d.each(func(i, e int) { d.signed(i, e, 4*i, 0) })},
		{name: "q8x0", of: "Q8_0", bytes: 34, elements: 32, passes: 1, scaled: true, prepare: d.scales,
			unit: d.each(func(i, e int) { d.signed(i, 2+e, 4*i, 0) })},
		{name: "q4x0", of: "Q4_0", bytes: 18, elements: 32, passes: 1, scaled: true, nibbles: true, prepare: d.scales, few: d.fewQ4, unit: d.q4Rows},
		{name: "nf4", of: "NF4", bytes: 36, elements: 64, passes: 1, nibbles: true, prepare: nothing, unit: d.nf4Rows},
		{name: "q4K", of: "Q4_K", bytes: 144, elements: 256, passes: 4, passBytes: 32, passWorks: 8, nibbles: true, prepare: d.q4KPrepare, unit: d.q4KRows},
		{name: "q6K", of: "Q6_K", bytes: 210, elements: 256, passes: 8, passBytes: 32, passWorks: 8, prepare: d.q6KPrepare,
			unit: d.each(func(i, e int) { d.signed(i, e, 64*i+4*(e/16), 4) })},
	}
	if d.half {
		d.turn(all)
	}
	return all
}

// each is a unit of rows that are decoded one by one.
func (d direct) each(row func(i, e int)) func(e int) {
	return func(e int) {
		for i := range d.isa.width {
			row(i, e)
		}
	}
}

// spare is a register behind those of the rows.
func (d direct) spare(i int) int { return d.isa.width + i }

// times multiplies by a float32 of the work.
func (d direct) times(scale string, reg int) { d.withScale("VMULPS", scale, reg) }

func (d direct) withScale(name, scale string, reg int) {
	d.f.op("%s.BCST %s, Z%d, Z%d", name, scale, reg, reg)
}

// work is memory of the work.
func work(at int) string { return fmt.Sprintf("%d(DI)", at) }

// signed scales signed bytes at some bytes of row i; scale is the place of the
// first 16's, and next how far on that of the 16 behind them is.
func (d direct) signed(i, at, scale, next int) {
	if !d.half {
		d.op("VPMOVSXBD", d.at(i, at), i)
		d.op("VCVTDQ2PS", i, i)
		d.times(work(scale), i)
		return
	}
	low, high := d.spare(i%4*2), d.spare(i%4*2+1)
	for k, reg := range []int{low, high} {
		d.op("VPMOVSXBD", d.at(i, at+16*k), reg)
		d.op("VCVTDQ2PS", reg, reg)
		d.times(work(scale+k*next), reg)
	}
	d.f.convertTwo(low, high, i)
}

// scales writes the binary16 that each row's block begins with as float32.
func (d direct) scales() {
	f, reg := d.f, d.spare
	for quarter := range d.isa.width / 4 {
		d.fourHalves(quarter, reg(quarter))
	}
	for i := 0; i < d.isa.width/4; i += 2 {
		f.op("VPUNPCKLQDQ X%d, X%d, X%d", reg(i+1), reg(i), reg(i))
	}
	if d.isa == avx512 {
		f.op("VINSERTI32X4 $1, X%d, Y%d, Y%d", reg(2), reg(0), reg(0))
		f.op("VCVTPH2PS Y%d, Z%d", reg(0), reg(0))
	} else {
		f.op("VCVTPH2PS X%d, Y%d", reg(0), reg(0))
	}
	d.op("VMOVUPS", reg(0), work(0))
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

// q4Rows decodes Q4_0, whose bytes hold elements 16 apart.
func (d direct) q4Rows(e int) {
	scale := func(i int) string { return work(4 * i) }
	if d.half {
		d.load32(d.f.dwords("minus8_to_7", smallFloats(-8)), 16)
		d.load32("spread_bytes<>(SB)", 19)
		d.load32("upper_nibbles<>(SB)", 20)
		d.tableRows(scale, nil, d.bytesInLanes(2))
		return
	}
	d.wholeNibbles(2+e%16, e >= 16, 8)
	d.each(func(i, _ int) { d.times(scale(i), i) })(e)
}

// wholeNibbles is the low or high halves of bytes, less zero, as float32.
func (d direct) wholeNibbles(at int, high bool, zero uint32) {
	mask, less := d.spare(6), d.spare(7)
	d.load32(d.f.dwords("nibble", func(int) uint32 { return 15 }), mask)
	if zero != 0 {
		d.load32(d.f.dwords(fmt.Sprintf("whole_%d", zero), func(int) uint32 { return zero }), less)
	}
	for i := range d.isa.width {
		d.op("VPMOVZXBD", d.at(i, at), i)
		if high {
			d.op("VPSRLD", "$4", i, i)
		} else {
			d.and(mask, i, i)
		}
		if zero != 0 {
			d.op("VPSUBD", less, i, i)
		}
		d.op("VCVTDQ2PS", i, i)
	}
}

// nf4Rows decodes elements e on of NF4, of a byte's two its high half first.
func (d direct) nf4Rows(e int) {
	if d.half {
		d.load32(d.f.dwords("nf4", func(i int) uint32 { return normalFloat[i] }), 16)
		d.load32(d.f.twiceBytes(), 19)
		d.load32(d.f.firstNibbles(), 20)
		tables := d.keptTables(func(i int) string { return d.at(i, 0) })
		if e > 0 {
			tables = d.loadTable
		}
		d.lookRows(tables, d.bytesInLanes(4+e/2))
		return
	}
	values := d.spare(6)
	d.load32(d.f.dwords("nf4", func(i int) uint32 { return normalFloat[i] }), values)
	for i := range d.isa.width {
		d.normals(i, e, values)
	}
}

// normals takes the index of the first element of a byte in the low word of 64
// bits, and of the other in the high word.
func (d direct) normals(i, e, values int) {
	tmp := d.spare(0)
	d.op("VPMOVZXBQ", d.at(i, 4+e/2), i)
	d.op("VPSLLQ", "$32", i, tmp)
	d.op("VPSRLQ", "$4", i, i)
	d.or(tmp, i, i)
	d.op("VPERMPS", values, i, i)
	d.times(d.at(i, 0), i)
}

const orAnd = 0xea // (a and b) or c

// bytesInLanes spreads 16 bytes at some bytes of row i, as Z19 says, to words that
// Z20 moves.
func (d direct) bytesInLanes(at int) func(i int) {
	return func(i int) {
		d.f.op("VBROADCASTI32X4 %s, Z%d", d.at(i, at), i)
		d.f.op("VPSHUFB Z19, Z%d, Z%d", i, i)
		d.f.op("VPSRLVW Z20, Z%d, Z%d", i, i)
	}
}

// tableRows looks 32 elements of each row up: two rows share a table of 32
// values, those in Z16 times their scales, less their minima if there are any, of
// which bit 4 of a word chooses a half. words fills a register with words whose
// low four bits are the indices.
func (d direct) tableRows(scale, minimum func(i int) string, words func(i int)) {
	d.lookRows(func(pair, table int) { d.makeTable(scale, minimum, pair, table) }, words)
}

// makeTable writes the table of two rows to a register.
func (d direct) makeTable(scale, minimum func(i int) string, pair, table int) {
	for k := range 2 {
		d.f.op("VMULPS.BCST %s, Z16, Z%d", scale(2*pair+k), table+1+k)
		if minimum != nil {
			d.f.op("VSUBPS.BCST %s, Z%d, Z%d", minimum(2*pair+k), table+1+k, table+1+k)
		}
	}
	d.f.convertTwo(table+1, table+2, table)
}

// tablesAt is where the tables of blocks of 64 elements are kept in the work, for
// the second half of the block.
const tablesAt = 2 * panelStride

func (d direct) keptTables(scale func(i int) string) func(pair, table int) {
	return func(pair, table int) {
		d.makeTable(scale, nil, pair, table)
		d.f.op("VMOVDQU32 Z%d, %s", table, work(tablesAt+64*pair))
	}
}

func (d direct) loadTable(pair, table int) {
	d.f.op("VMOVDQU32 %s, Z%d", work(tablesAt+64*pair), table)
}

// lookRows is tableRows with tables that come from a function.
func (d direct) lookRows(tables func(pair, table int), words func(i int)) {
	d.load32(d.f.dwords("nibble_words", func(int) uint32 { return 0x000f000f }), 17)
	d.load32(d.f.dwords("second_words", func(int) uint32 { return 0x00100010 }), 18)
	for pair := range d.isa.width / 2 {
		table := 21 + pair%2*3
		tables(pair, table)
		for k := range 2 {
			i := 2*pair + k
			words(i)
			if k == 0 {
				d.and(17, i, i)
			} else {
				d.f.op("VPTERNLOGD $0x%x, Z18, Z17, Z%d", orAnd, i)
			}
			d.f.op("VPERMW Z%d, Z%d, Z%d", table, i, i)
		}
	}
}
