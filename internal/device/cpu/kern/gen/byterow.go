package main

import "fmt"

// One row of x meets blocks in registers: 16 rows of the weight at a time, whose bytes are
// transposed as in bytepanels.go and meet x as soon as they are numbers, since panels would
// be written and read for one multiplication each. A sum has one accumulator, which waits
// for itself; two run beside each other.
//
// The 16 rows are done before the next. Rows of Int8 lie their K and 4 bytes apart, so that
// of a K that is a multiple of 2048 their lines share a few sets of the first cache: 32 rows
// in turns would throw a line out before all of it is read.
//
// Vector registers: 0 to 3 columns of the first 8 rows' bytes, 4 to 7 those of the others,
// 8 to 11 free, 12 and 13 x, 14 and 15 the sums. General: those of a direct product with
// R12 and R13 for the second 8 rows, SI x, BX c.

// byteRow is a type of blocks; the work of the second 8 rows is second bytes behind that of
// the first. prepare is what 8 rows need before they are decoded.
type byteRow struct {
	name, of             string
	bytes, elements      int // of a block
	second               int
	passes               int
	passBytes, passWorks int
	prepare, pass        func()
}

const (
	rowX    = 12
	rowSums = 14
	// turnedAt is where NF4's bytes go in the work, column by column.
	turnedAt = 128
)

func emitByteRows(f *file) {
	d := direct{halfBlocks{blocks{f, avx2}}, false}
	signed := func(at int) func() {
		return func() {
			for e := 0; e < tileCols; e += 16 {
				d.rowColumns(at + e)
				d.signedRow(e)
			}
		}
	}
	nothing := func() {}
	for _, b := range []byteRow{
		{name: "int8", of: "32 elements of Int8", bytes: 32, elements: 32, second: 32, passes: 1, prepare: nothing, pass: signed(0)},
		{name: "q8x0", of: "Q8_0", bytes: 34, elements: 32, second: 32, passes: 1, prepare: d.scales, pass: signed(2)},
		{name: "q4x0", of: "Q4_0", bytes: 18, elements: 32, second: 32, passes: 1, prepare: d.scales, pass: d.q4Row},
		{name: "nf4", of: "NF4", bytes: 36, elements: 64, second: 32, passes: 1, prepare: func() { d.rowScales(); d.op("VMOVUPS", byteScales, work(0)) }, pass: d.nf4Row},
		{name: "q4K", of: "Q4_K", bytes: 144, elements: 256, second: q4KSecond, passes: 4, passBytes: 32, passWorks: 64,
			prepare: func() { d.q4KPrepare(); d.turnFactors() }, pass: d.q4KRow},
	} {
		d.byteRow(b)
	}
}

// byteRow writes a kern.Direct for one row of x.
func (d direct) byteRow(b byteRow) {
	f := d.f
	fr := f.function(b.name+"RowAVX2", fmt.Sprintf("is c += x w for 32 rows of w of n blocks of %s, srcStep bytes apart, and one row of x.", b.of), directArgs, nil)
	block, pair, pass := f.label("block"), f.label("rows"), f.label("pass")
	f.op("MOVQ $2, R15")
	f.mark(pair)
	f.op("MOVQ %s, AX", fr.slot("n"))
	f.op("MOVQ AX, %s", fr.slot("m")) // which is 1, and counts the blocks here
	f.mark(block)
	f.op("MOVQ %s, DI", fr.slot("work"))
	d.sixteenRows(fr)
	if b.passes == 1 {
		d.prefetchSixteen(0)
	}
	b.prepare()
	f.op("MOVQ R12, R10")
	f.op("MOVQ R13, R11")
	f.op("ADDQ $%d, DI", b.second)
	b.prepare()
	f.op("SUBQ $%d, DI", b.second)
	d.sixteenRows(fr)
	f.op("MOVQ %s, SI", fr.slot("x"))
	f.op("MOVQ %s, BX", fr.slot("c"))
	for i := range 2 {
		d.op("VMOVUPS", fmt.Sprintf("%d(BX)", 32*i), rowSums+i)
	}
	if b.passes > 1 {
		f.op("MOVQ $%d, CX", b.passes)
		f.mark(pass)
		d.prefetchSixteen(b.passBytes / 2) // all at once would fill what waits for memory
	}
	b.pass()
	if b.passes > 1 {
		f.op("ADDQ $%d, DI", b.passWorks)
		f.op("ADDQ $%d, SI", 4*b.elements/b.passes)
		for i := range 4 {
			f.op("ADDQ $%d, R1%d", b.passBytes, i)
		}
		f.op("DECQ CX")
		f.op("JNZ %s", pass)
	}
	for i := range 2 {
		d.op("VMOVUPS", rowSums+i, fmt.Sprintf("%d(BX)", 32*i))
	}
	f.op("ADDQ $%d, %s", b.bytes, fr.slot("src"))
	f.op("ADDQ $%d, %s", 4*b.elements, fr.slot("x"))
	f.op("DECQ %s", fr.slot("m"))
	f.op("JNZ %s", block)
	f.op("SHLQ $4, R8")
	f.op("MOVQ %s, AX", fr.slot("n"))
	f.op("IMULQ $%d, AX", b.bytes)
	f.op("SUBQ AX, R8")
	f.op("ADDQ R8, %s", fr.slot("src"))
	f.op("MOVQ %s, AX", fr.slot("n"))
	f.op("IMULQ $%d, AX", 4*b.elements)
	f.op("SUBQ AX, %s", fr.slot("x"))
	f.op("ADDQ $64, %s", fr.slot("work"))
	f.op("ADDQ $64, %s", fr.slot("c"))
	f.op("DECQ R15")
	f.op("JNZ %s", pair)
	f.ret()
}

// sixteenRows is the addresses of every fourth row.
func (d direct) sixteenRows(fr frame) {
	d.f.op("MOVQ %s, R8", fr.slot("srcStep"))
	d.f.op("LEAQ (R8)(R8*2), R9")
	d.f.op("MOVQ %s, R10", fr.slot("src"))
	for i := 1; i < 4; i++ {
		d.f.op("LEAQ (R1%d)(R8*4), R1%d", i-1, i)
	}
}

// prefetchSixteen brings in the line that the next 32 rows have some bytes behind the
// place of these.
func (d direct) prefetchSixteen(at int) {
	d.f.op("MOVQ R8, DX")
	d.f.op("SHLQ $5, DX")
	for quarter := range 4 {
		d.f.op("LEAQ (R1%d)(DX*1), AX", quarter)
		for _, row := range fourRows {
			d.f.op("PREFETCHT1 %d(AX)%s", at, row)
		}
	}
}

// rowColumns is byteColumns of 16 rows.
func (d direct) rowColumns(at int) {
	for half := range 2 {
		d.turnBytes(at, 8*half, 4*half, 8)
	}
}

// add adds x times the numbers in a register to the sums of 8 rows.
func (d direct) add(reg, half, x int) { d.op("VFMADD231PS", reg, x, rowSums+half) }

// rowColumn takes x of a column.
func (d direct) rowColumn(column, reg int) {
	d.op("VBROADCASTSS", fmt.Sprintf("%d(SI)", 4*column), reg)
}

func (d direct) signedRow(column int) {
	for k := range 16 {
		x := rowX + k%2
		d.rowColumn(column+k, x)
		for half := range 2 {
			to := 8 + (2*k+half)%4
			d.op("VPSHUFB", d.spread("upper", 24, k%4), 4*half+k/4, to)
			d.f.op("VPSRAD $24, Y%d, Y%d", to, to)
			d.op("VCVTDQ2PS", to, to)
			d.op("VMULPS", work(32*half), to, to)
			d.add(to, half, x)
		}
	}
}

// nibbleRow is 16 columns of the low halves of bytes, or of the high ones.
func (d direct) nibbleRow(column int, high bool, finish func(reg, half int)) {
	mask := d.f.dwords("nibbles", func(int) uint32 { return 0x0f0f0f0f })
	for t := range 4 {
		for half := range 2 {
			from := 4*half + t
			if high {
				d.f.op("VPSRLW $4, Y%d, Y%d", from, from)
			}
			d.op("VPAND", mask, from, 10+half)
		}
		for j := range 4 {
			x := rowX + j%2
			d.rowColumn(column+4*t+j, x)
			for half := range 2 {
				to := 8 + half
				d.op("VPSHUFB", d.spread("lower", 0, j), 10+half, to)
				d.op("VCVTDQ2PS", to, to)
				finish(to, half)
				d.add(to, half, x)
			}
		}
	}
}

func (d direct) q4Row() {
	d.rowColumns(2)
	for i, high := range []bool{false, true} {
		d.nibbleRow(16*i, high, func(reg, half int) {
			d.op("VSUBPS", d.f.wide(8), reg, reg)
			d.op("VMULPS", work(32*half), reg, reg)
		})
	}
}

// q4KSecond is where the factors of the second 8 rows lie.
const q4KSecond = 2048

// q4KRow decodes two groups, which share 32 bytes.
func (d direct) q4KRow() {
	const bytes, minima = 16, 8 * 32
	for i, high := range []bool{false, true} {
		for e := 0; e < 32; e += 16 {
			d.rowColumns(bytes + e)
			d.nibbleRow(32*i+e, high, func(reg, half int) {
				at := factorsAt + q4KSecond*half + 32*i
				d.op("VMULPS", work(at), reg, reg)
				d.op("VSUBPS", work(at+minima), reg, reg)
			})
		}
	}
}

// nf4Row keeps the bytes' columns in the work: the tables and two halves of a byte take
// their registers.
func (d direct) nf4Row() {
	for e := 0; e < 64; e += 32 {
		d.rowColumns(4 + e/2)
		for i := range 8 {
			d.op("VMOVDQU", i, work(turnedAt+32*i))
		}
		d.nf4Bytes(8)
		for t := range 4 {
			for half := range 2 {
				d.normalRow(e+8*t, half, work(turnedAt+32*(4*half+t)))
			}
		}
	}
}

// normalRow is 8 columns of 8 rows.
func (d direct) normalRow(column, half int, bytes string) {
	f := d.f
	mask := f.dwords("nibbles", func(int) uint32 { return 0x0f0f0f0f })
	// Each ends as words of the lower two bytes and of the upper two, of the first and
	// the second half of the columns.
	parts := [2][4]int{{4, 0, 1, 2}, {13, 3, 5, 6}}
	planes := [2][4]int{{0, 1, 2, 3}, {3, 5, 6, 7}}
	for i := range 2 {
		d.op("VMOVDQU", bytes, 12)
		if i == 0 {
			f.op("VPSRLW $4, Y12, Y12")
		}
		d.op("VPAND", mask, 12, 12)
		p, to := planes[i], parts[i]
		for b := range 4 {
			f.op("VPSHUFB Y12, Y%d, Y%d", 8+b, p[b])
		}
		f.op("VPUNPCKLBW Y%d, Y%d, Y%d", p[1], p[0], to[0])
		f.op("VPUNPCKHBW Y%d, Y%d, Y%d", p[1], p[0], to[1])
		f.op("VPUNPCKLBW Y%d, Y%d, Y%d", p[3], p[2], to[2])
		f.op("VPUNPCKHBW Y%d, Y%d, Y%d", p[3], p[2], to[3])
	}
	for j := range 4 {
		for i := range 2 {
			name, to := []string{"VPUNPCKLWD", "VPUNPCKHWD"}[j%2], parts[i]
			f.op("%s Y%d, Y%d, Y7", name, to[2+j/2], to[j/2])
			d.op("VMULPS", work(32*half), 7, 7)
			d.rowColumn(column+2*j+i, 12)
			d.add(7, half, 12)
		}
	}
}
