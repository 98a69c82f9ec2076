package main

import "fmt"

// The types of blocks of four bits, as nibblerow.go takes them.
//
// The work holds scales or factors, 16 rows' behind each other, and from nibbleWaits on bytes of
// rows that are read once and wait for their unit.

const (
	nibbleHalves  = 2 * 64  // the binary16 scales of 32 rows
	nibbleFactors = 16 * 64 // from the first 16 rows' factors to the others'
	nibbleWaits   = 2 * nibbleFactors
)

func emitNibbleRows(f *file) {
	d := direct{halfBlocks{blocks{f, avx512}}, true}
	for _, b := range []nibbleRow{
		{name: "q4x0", of: "Q4_0", bytes: 18, elements: 32, passes: 1, sharing: 32,
			before: d.firstScales, ahead: d.nextScales, behind: d.floatScales,
			values: f.dwords("minus8_to_7", smallFloats(-8)), half: d.q4Nibbles,
			table: func(group, row, _, to int) { d.scaledValues(work(64*group+4*row), to) }},
		{name: "nf4", of: "NF4", bytes: 36, elements: 64, passes: 1, sharing: 64,
			values: f.dwords("nf4", func(i int) uint32 { return normalFloat[i] }), half: d.nf4Nibbles,
			table: func(_, row, _, to int) { d.scaledValues(d.at(row, 0), to) }},
		{name: "q4K", of: "Q4_K", bytes: 144, elements: 256, passes: 4, passBytes: 32, passWorks: 8, sharing: 32,
			prepare: d.q4KFactorRows,
			values:  f.dwords("from_0", smallFloats(0)), half: d.q4KNibbles, table: d.q4KTable},
	} {
		d.nibbleProduct(b)
	}
}

// scaledValues is the 16 values times a float32.
func (d direct) scaledValues(scale string, to int) {
	d.f.op("VMULPS.BCST %s, Z%d, Z%d", scale, nibbleFree, to)
}

// shortRows reads 16 bytes of each row.
func (d direct) shortRows(group, at int) {
	for i := range 4 {
		x, other := nibbleBytes+4*group+i, nibbleWays
		for half, reg := range []int{x, other} {
			d.f.op("VMOVDQU32 %s, X%d", d.at(8*half+i, at), reg)
			d.f.op("VINSERTI32X4 $1, %s, Y%d, Y%d", d.at(8*half+4+i, at), reg, reg)
		}
		d.f.op("VINSERTI64X4 $1, Y%d, Z%d, Z%d", other, x, x)
		d.inWords(x, 8)
	}
}

// longRows reads 32 bytes of each row and lets the second 16 wait.
func (d direct) longRows(group, at, on int) {
	const other, second = nibbleWays, nibbleWays + 1
	for i := range 4 {
		x := nibbleBytes + 4*group + i
		for half, reg := range []int{x, other} {
			d.f.op("VMOVDQU32 %s, Y%d", d.at(8*half+i, at), reg)
			d.f.op("VINSERTI64X4 $1, %s, Z%d, Z%d", d.at(8*half+4+i, at), reg, reg)
		}
		d.f.op("VSHUFI64X2 $0xdd, Z%d, Z%d, Z%d", other, x, second)
		d.f.op("VSHUFI64X2 $0x88, Z%d, Z%d, Z%d", other, x, x)
		d.inWords(second, on)
		d.op("VMOVDQU32", second, waiting(1, group, i))
		d.inWords(x, on)
	}
}

// waiting is where bytes of a group wait, of one or another kind.
func waiting(kind, group, i int) string { return work(nibbleWaits + 512*kind + 256*group + 64*i) }

// inWords joins the bytes of 16, or 8, with those half as many on.
func (d direct) inWords(reg, on int) {
	d.op("VPSHUFB", d.f.dwords(fmt.Sprintf("bytes_and_%d_on", on), func(i int) uint32 {
		low := i % 4 * 2
		first := uint32(low/on*on*2 + low%on)
		second := first + uint32(on)
		return first | second<<8 | (first+1)<<16 | (second+1)<<24
	}), reg, reg)
}

// inTables makes the lower halves of bytes places in the tables of their rows.
func (d direct) inTables(reg int) {
	rows := d.f.dwords("rows_of_tables", func(i int) uint32 { return uint32(i/4) * 0x10101010 })
	d.f.op("VPTERNLOGD $0x%x, %s, Z%d, Z%d", orAnd, rows, nibbleBits, reg)
}

// q4Nibbles is of Q4_0, whose bytes hold elements 16 apart.
func (d direct) q4Nibbles(group, _, half int) {
	if half == 0 {
		d.shortRows(group, 2)
	}
	for i := range 4 {
		reg, bytes := nibbleBytes+4*group+i, waiting(0, group, i)
		if half == 0 {
			d.op("VMOVDQU32", reg, bytes)
		} else {
			d.op("VPSRLW", "$4", bytes, reg)
		}
		d.inTables(reg)
	}
}

// nf4Nibbles is of NF4, of a byte's two elements the upper half first.
func (d direct) nf4Nibbles(group, e, half int) {
	const upper, second = nibbleWays, nibbleWays + 1
	if half == 0 && e == 0 {
		d.longRows(group, 4, 4)
	}
	for i := range 4 {
		reg := nibbleBytes + 4*group + i
		if half == 1 {
			d.op("VMOVDQU32", waiting(0, group, i), reg)
			continue
		}
		if e > 0 {
			d.op("VMOVDQU32", waiting(1, group, i), reg)
		}
		d.op("VPSRLW", "$4", reg, upper)
		d.inTables(upper)
		d.inTables(reg)
		d.op("VPUNPCKHWD", reg, upper, second)
		d.op("VPUNPCKLWD", reg, upper, reg)
		d.op("VMOVDQU32", second, waiting(0, group, i))
	}
}

// q4KNibbles is of one of the two groups of elements that share 32 bytes.
func (d direct) q4KNibbles(group, e, half int) {
	if half == 0 && e == 0 {
		d.longRows(group, 16, 8)
	}
	for i := range 4 {
		reg, bytes := nibbleBytes+4*group+i, waiting(half, group, i)
		switch {
		case e > 0:
			d.op("VPSRLW", "$4", bytes, reg)
		case half == 0:
			d.op("VMOVDQU32", reg, bytes)
		default:
			d.op("VMOVDQU32", bytes, reg)
		}
		d.inTables(reg)
	}
}

// q4KFactorRows writes the factors of both groups' rows.
func (d direct) q4KFactorRows() {
	d.bothGroups(func(group int) {
		d.f.op("ADDQ $%d, DI", nibbleFactors*group)
		d.q4KPrepare()
		d.f.op("SUBQ $%d, DI", nibbleFactors*group)
	})
}

// q4KTable takes a minimum from each value.
func (d direct) q4KTable(group, row, e, to int) {
	at := nibbleFactors*group + 64*row + 4*(e/32)
	d.scaledValues(work(at), to)
	d.withScale("VSUBPS", work(at+32), to)
}

// firstScales writes the scales of the first block of Q4_0.
func (d direct) firstScales() {
	d.f.op("XORL DX, DX")
	d.joinScales()
	d.floatScales()
}

// nextScales brings those of the next block side by side, or of the last once more.
func (d direct) nextScales() {
	d.f.op("XORL BX, BX")
	d.f.op("MOVL $18, DX")
	d.f.op("CMPQ CX, $1")
	d.f.op("CMOVQEQ BX, DX")
	d.joinScales()
}

// joinScales is those of blocks DX bytes on.
func (d direct) joinScales() {
	f := d.f
	f.op("ADDQ DX, R10")
	d.bothGroups(func(group int) {
		for quarter := range 4 {
			f.op("MOVWLZX %s, BX", d.at(4*quarter+3, 0))
			for row := 2; row >= 0; row-- {
				f.op("SHLQ $16, BX")
				f.op("MOVW %s, BX", d.at(4*quarter+row, 0))
			}
			f.op("MOVQ BX, %s", work(nibbleHalves+32*group+8*quarter))
		}
	})
	f.op("SUBQ DX, R10")
}

// floatScales makes them float32.
func (d direct) floatScales() {
	for group := range 2 {
		d.f.op("VCVTPH2PS %s, Z%d", work(nibbleHalves+32*group), nibbleWays+group)
		d.op("VMOVUPS", nibbleWays+group, work(64*group))
	}
}
