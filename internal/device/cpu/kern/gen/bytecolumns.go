package main

import "fmt"

// Columns of pairs of bfloat16 are made of 16 rows of blocks by transposing their bytes
// before these become numbers: 8 bytes of each of 8 rows fill a register, and one shuffle
// spreads the bytes of a pair of all 8 to words of 32 bits. They become float32, are
// scaled and, with those of the other 8 rows, rounded to a column, which is taken at once.
// The numbers are those of halfblocks.go.
//
// A byte is spread to the upper end of its word, so that it counts 2^24 times; its scale
// is divided by that, which is exact for what is a product of a binary16 and a small integer.
// Int8's scales are of any size: its bytes become a part of a float32's mantissa.
//
// Vector registers: 0 to 14 belong to who takes the columns, once the bytes are turned; 16 to
// 23 bytes of eight elements of 8 rows, four registers of the first 8 rows and four of the
// others; 24 to 27 numbers and columns, 28 to 31 scales and what is subtracted.

const (
	turned    = 16
	onTheWay  = 24
	rowScales = 28
	rowLess   = 30
	// scaleOfTop is what a byte at the upper end of a word is too large by.
	scaleOfTop = 1 << 24
	// unitElements is the elements of 16 rows that are decoded at a time.
	unitElements = 32
)

// taker is who takes a unit's columns, as they come.
type taker struct {
	begin func()
	take  func(column, reg int)
}

// turnedBlocks is how a type is decoded by columns: prepare and unit as those of rows.
type turnedBlocks struct {
	passWorks int
	prepare   func()
	unit      func(e int, to taker)
}

// turn says so for all types.
func (d direct) turn(all []inBlocks) {
	for i, t := range []turnedBlocks{
		{prepare: func() {}, unit: d.int8Turned},
		{prepare: d.scalesOfTop(scaleOfTop), unit: d.q8Turned},
		{prepare: d.scalesOfTop(scaleOfTop << 4), unit: d.q4Turned},
		{prepare: d.wordScales, unit: d.nf4Turned},
		{passWorks: 2 * 64, prepare: func() { d.q4KPrepare(); d.factorColumns(8) }, unit: d.q4KTurned},
		{passWorks: 2 * 64, prepare: func() { d.q6KPrepare(); d.factorColumns(16) }, unit: d.q6KTurned},
	} {
		all[i].turned = t
	}
}

// turnRows reads 32 bytes of each of 16 rows.
func (d direct) turnRows(at int) {
	for half := range 2 {
		for i, row := range []int{0, 1, 4, 5} {
			d.f.op("VMOVDQU %s, Y%d", d.at(8*half+row, at), i)
			d.f.op("VINSERTI64X4 $1, %s, Z%d, Z%d", d.at(8*half+row+2, at), i, i)
		}
		for i := range 2 {
			d.f.op("VPUNPCKLQDQ Z%d, Z%d, Z%d", 2*i+1, 2*i, 4+i)
			d.f.op("VPUNPCKHQDQ Z%d, Z%d, Z%d", 2*i+1, 2*i, 6+i)
		}
		for q := range 4 {
			from := 4 + q%2*2
			d.f.op("VSHUFI64X2 $0x%x, Z%d, Z%d, Z%d", []int{0x88, 0xdd}[q/2], from+1, from, turned+4*half+q)
		}
	}
}

// turnShort reads 16 bytes of each of 16 rows, each every other row of eight in a register
// of its own, from 0 on.
func (d direct) turnShort(at int) {
	for i := range 4 {
		for j := range 2 {
			row, x := i/2*8+i%2+4*j, i+4*j
			d.f.op("VMOVDQU %s, X%d", d.at(row, at), x)
			d.f.op("VINSERTI128 $1, %s, Y%d, Y%d", d.at(row+2, at), x, x)
		}
		d.f.op("VINSERTI64X4 $1, Y%d, Z%d, Z%d", i+4, i, i)
	}
}

// spread is where the bytes of pair k of the four in eight elements go: up bytes up in their
// words, beside the others. Two rows share 16 bytes.
func (d direct) spreadPairs(name string, up uint, others uint32, k int) string {
	return d.f.dwords(fmt.Sprintf("%s_pair_%d", name, k), func(i int) uint32 {
		return uint32(i%4/2*8+2*k+i%2)<<(8*up) | others&^(0xff<<(8*up))
	})
}

const noBytes = 0x80808080

func (d direct) topPair(k int) string { return d.spreadPairs("top", 3, noBytes, k) }

// columnsOf makes the columns; number makes float32 of pair k of a register, of the first or
// the second 8 rows.
func (d direct) columnsOf(to taker, number func(k, half, from, reg int)) {
	to.begin()
	for column := range 16 {
		q, k, reg := column/4, column%4, onTheWay+column%2*2
		number(k, 0, turned+q, reg)
		number(k, 1, turned+4+q, reg+1)
		d.f.convertTwo(reg, reg+1, reg)
		to.take(column, reg)
	}
}

// topNumber is a number times its scale.
func (d direct) topNumber(k, scale, from, to int) {
	d.op("VPSHUFB", d.topPair(k), from, to)
	d.op("VCVTDQ2PS", to, to)
	d.op("VMULPS", scale, to, to)
}

func (d direct) topNumbers(k, half, from, to int) { d.topNumber(k, rowScales+half, from, to) }

// twice brings 16 scales at a place of the work to two registers, each twice.
func (d direct) twice(at, to int) {
	for half := range 2 {
		d.load32(d.f.dwords(fmt.Sprintf("twice_%d", half), func(i int) uint32 { return uint32(8*half + i/2) }), to+half)
		d.op("VPERMPS", work(at), to+half, to+half)
	}
}

// scalesOfTop is scales divided by what their bytes are too large by.
func (d direct) scalesOfTop(size float64) func() {
	return func() {
		d.scales()
		d.op("VMULPS", d.f.wide(1/size), d.spare(0), d.spare(0))
		d.op("VMOVUPS", d.spare(0), work(0))
	}
}

func (d direct) q8Turned(_ int, to taker) {
	d.turnRows(2)
	d.twice(0, rowScales)
	d.columnsOf(to, d.topNumbers)
}

// int8Turned counts from -128 on: a byte of the mantissa of 2^15.
func (d direct) int8Turned(_ int, to taker) {
	const mantissas = 15 // and 31
	d.turnRows(0)
	d.twice(0, rowScales)
	d.load32(d.f.dwords("sign_bytes", func(int) uint32 { return 0x80808080 }), onTheWay)
	for i := range 8 {
		d.op("VPXORD", onTheWay, turned+i, turned+i)
	}
	d.f.op("KMOVQ %s, K1", d.f.dwords("second_bytes", func(int) uint32 { return 0x22222222 }))
	d.load32(d.f.wide(1<<15), mantissas)
	d.load32(d.f.wide(1<<15), mantissas+16)
	d.load32(d.f.wide(1<<15+128), rowLess)
	d.columnsOf(to, func(k, half, from, reg int) {
		mantissa := mantissas + 16*half
		d.f.op("VPSHUFB %s, Z%d, K1, Z%d", d.spreadPairs("second", 1, 0, k), from, mantissa)
		d.op("VSUBPS", rowLess, mantissa, reg)
		d.op("VMULPS", rowScales+half, reg, reg)
	})
}

// q4Turned makes halves of bytes, less 8, the upper halves.
func (d direct) q4Turned(_ int, to taker) {
	const bytes, andXor = 2, 0x6a
	d.turnShort(bytes)
	d.twice(0, rowScales)
	d.load32(d.f.dwords("high_nibbles", func(int) uint32 { return 0xf0f0f0f0 }), onTheWay)
	d.load32(d.f.dwords("sign_bytes", func(int) uint32 { return 0x80808080 }), onTheWay+1)
	for half := range 2 {
		for q := range 2 {
			low, high := turned+4*half+q, turned+4*half+2+q
			d.op([]string{"VPUNPCKLQDQ", "VPUNPCKHQDQ"}[q], 2*half+1, 2*half, high)
			d.op("VPSLLW", "$4", high, low)
			for _, reg := range []int{low, high} {
				d.f.op("VPTERNLOGD $0x%x, Z%d, Z%d, Z%d", andXor, onTheWay+1, onTheWay, reg)
			}
		}
	}
	d.columnsOf(to, d.topNumbers)
}

// nf4Turned looks halves of bytes up, of a byte's two elements the high half first.
func (d direct) nf4Turned(e int, to taker) {
	d.turnShort(4 + e/2)
	for i := range 4 {
		d.op("VPSRLW", "$4", i, 4+i)
		d.op("VPUNPCKLBW", i, 4+i, 8+i)
		d.op("VPUNPCKHBW", i, 4+i, 12+i)
	}
	for half := range 2 {
		for q := range 4 {
			from := 8 + 4*(q/2) + 2*half
			d.op([]string{"VPUNPCKLQDQ", "VPUNPCKHQDQ"}[q%2], from+1, from, turned+4*half+q)
		}
	}
	d.twice(0, rowScales)
	d.load32(d.f.dwords("nf4", func(i int) uint32 { return normalFloat[i] }), rowLess)
	d.columnsOf(to, func(k, half, from, reg int) {
		d.op("VPSHUFB", d.spreadPairs("low", 0, noBytes, k), from, reg)
		d.op("VPERMPS", rowLess, reg, reg)
		d.op("VMULPS", rowScales+half, reg, reg)
	})
}

// wordScales writes the float32 that 16 rows' blocks begin with.
func (d direct) wordScales() {
	for i := range 4 {
		d.f.op("VMOVD %s, X%d", d.at(4*i, 0), i)
		for j := 1; j < 4; j++ {
			d.f.op("VPINSRD $%d, %s, X%d, X%d", j, d.at(4*i+j, 0), i, i)
		}
		d.f.op("VMOVDQU X%d, %s", i, work(16*i))
	}
}

// q4KTurned decodes one of the two groups that share 32 bytes. Scales times numbers are
// exact.
func (d direct) q4KTurned(e int, to taker) {
	const bytes, minima = 16, 8 * 64
	d.turnRows(bytes)
	d.load32(d.f.dwords("nibbles", func(int) uint32 { return 0x0f0f0f0f }), onTheWay)
	for i := range 8 {
		if e > 0 {
			d.op("VPSRLW", "$4", turned+i, turned+i)
		}
		d.and(onTheWay, turned+i, turned+i)
	}
	d.twice(64*(e/32), rowScales)
	d.twice(64*(e/32)+minima, rowLess)
	d.columnsOf(to, func(k, half, from, reg int) {
		d.op("VPSHUFB", d.topPair(k), from, reg)
		d.op("VCVTDQ2PS", reg, reg)
		d.op("VFMSUB213PS", rowLess+half, rowScales+half, reg)
	})
}

// q6KTurned decodes two groups.
func (d direct) q6KTurned(_ int, to taker) {
	d.turnRows(0)
	d.twice(0, rowScales)
	d.twice(64, rowLess)
	d.columnsOf(to, func(k, half, from, reg int) {
		scale := rowScales + (from-turned)%4/2*2 + half
		d.topNumber(k, scale, from, reg)
	})
}

// factorColumns turns 16 rows of factors into columns, of which so many are divided by what
// their bytes are too large by.
func (d direct) factorColumns(scales int) {
	for i := range 16 {
		d.op("VMOVUPS", work(64*i), i)
	}
	for group, c := range d.f.transpose(d.isa) {
		if group < scales {
			d.op("VMULPS", d.f.wide(1.0/scaleOfTop), c, c)
		}
		d.op("VMOVUPS", c, work(64*group))
	}
}
