package main

import "fmt"

// One row of x meets blocks of four bits at AVX512_BF16. The sixteen values that elements of a
// row can have are scaled and rounded once, and an instruction looks 32 elements of four rows
// up, which become columns of 16 rows by transpositions within 128 bits.
//
// The first and the second 16 rows take turns every four columns, since a sum waits 6 cycles for
// each column. On Zen 4 32 elements of 16 rows of NF4 take 75 cycles, and these instructions if
// none waits for another 67: there is less to win by their order than by doing without one.
//
// Vector registers: 0 to 7 the tables of the first 16 rows, 8 to 15 those of the others, each
// of two rows; 16 to 19 and 20 to 23 bytes of the first and the other 16 rows, every fourth row
// in one; 24 to 27 what is on its way, 28 and 29 the sums, 30 the mask of four bits, 31 free.
// General: AX x, CX the blocks left, R15 the passes, SI what is brought in, DI the work, R14 the
// distance of the two 16 rows, BX and DX free; the others as those of a direct product.

const (
	nibbleBytes = 16
	nibbleWays  = 24
	nibbleSums  = 28
	nibbleBits  = 30
	nibbleFree  = 31
)

// nibbleRow is a type of blocks of four bits. Each of these may be nil: before runs before the
// first block; prepare is what a block needs; ahead is of the next block and runs among the
// columns of a unit's first half, and behind has what it left.
type nibbleRow struct {
	name, of                       string
	bytes, elements                int // of a block
	passes, passBytes, passWorks   int
	sharing                        int // elements that share tables
	before, prepare, ahead, behind func()
	// table fills a register with row i's values for the unit from element e of a pass on.
	values string
	table  func(group, row, e, to int)
	// half brings a half of a unit's bytes to a group's registers: places in the tables,
	// those of the first four columns as lower bytes of words and those of the others as upper ones.
	half func(group, e, half int)
}

// nibbleProduct writes a kern.Direct for one row of x.
func (d direct) nibbleProduct(b nibbleRow) {
	f := d.f
	fr := f.function(b.name+"Row", fmt.Sprintf("is c += x w for 32 rows of w of n blocks of %s, srcStep bytes apart, and one row of x.", b.of), directArgs, nil)
	for _, m := range [][2]string{{"srcStep", "R8"}, {"src", "R10"}, {"work", "DI"}, {"c", "BX"}, {"x", "AX"}, {"n", "CX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("LEAQ (R8)(R8*2), R9")
	f.op("MOVQ R8, R14")
	f.op("SHLQ $4, R14")
	f.op("MOVQ %d(DI), SI", directAhead)
	f.op("ADDQ R10, SI")
	for i := range 2 {
		d.op("VMOVUPS", fmt.Sprintf("%d(BX)", 64*i), nibbleSums+i)
	}
	d.load32(f.dwords("nibbles", func(int) uint32 { return 0x0f0f0f0f }), nibbleBits)
	run(b.before)
	block, pass := f.label("block"), f.label("pass")
	f.mark(block)
	run(b.prepare)
	if b.passes > 1 {
		f.op("MOVQ $%d, R15", b.passes)
		f.mark(pass)
	}
	d.nibblePass(b)
	if b.passes > 1 {
		f.op("ADDQ $%d, DI", b.passWorks)
		f.op("ADDQ $%d, R10", b.passBytes)
		f.op("DECQ R15")
		f.op("JNZ %s", pass)
		f.op("SUBQ $%d, DI", b.passes*b.passWorks)
	}
	f.op("ADDQ $%d, R10", b.bytes-b.passes*b.passBytes)
	f.op("DECQ CX")
	f.op("JNZ %s", block)
	f.op("MOVQ %s, BX", fr.slot("c"))
	for i := range 2 {
		d.op("VMOVUPS", nibbleSums+i, fmt.Sprintf("%d(BX)", 64*i))
	}
	f.ret()
}

// run does what there is to do.
func run(do func()) {
	if do != nil {
		do()
	}
}

// nibblePass is the units of a pass, with what they bring in between them.
func (d direct) nibblePass(b nibbleRow) {
	elements := b.elements / b.passes
	lines, line := 2*d.isa.width*b.bytes/b.passes/64, 0
	for column := 0; column < elements/2; column += 8 {
		e, half := column/16*unitElements, column/8%2
		d.bothGroups(func(group int) {
			d.mixed(func() {
				if half == 0 && e%b.sharing == 0 {
					d.nibbleTables(b, group, e)
				}
			}, func() { b.half(group, e, half) })
		})
		ahead := b.ahead
		if half == 1 {
			run(b.behind)
			ahead = nil
		}
		d.mixed(func() { run(ahead) }, func() {
			d.lookHalf(column)
			for ; line < lines*(column+8)*2/elements; line++ {
				d.f.op("PREFETCHT1 %d(SI)", 64*line)
			}
		})
	}
	d.f.op("ADDQ $%d, AX", 2*elements)
	d.f.op("ADDQ $%d, SI", 64*lines)
}

// mixed writes instructions spread among others, which have other registers.
func (d direct) mixed(few, others func()) {
	for _, line := range among(d.f.capture(few), d.f.capture(others)) {
		d.f.text.WriteString(line)
	}
}

// bothGroups does something for the first 16 rows and then for the others.
func (d direct) bothGroups(do func(group int)) {
	d.quarters()
	do(0)
	d.f.op("ADDQ R14, R10")
	d.quarters()
	do(1)
	d.f.op("SUBQ R14, R10")
}

// nibbleTables fills the registers of tables, of two rows each that lie four apart. It takes
// the last three registers.
func (d direct) nibbleTables(b nibbleRow, group, e int) {
	const low, high = nibbleWays + 2, nibbleWays + 3
	d.load32(b.values, nibbleFree)
	for i := range d.isa.width / 2 {
		row := i/2 + i%2*8
		b.table(group, row, e, low)
		b.table(group, row+4, e, high)
		d.f.convertTwo(low, high, 8*group+i)
	}
}

// lookHalf meets x with 8 columns of both groups. Upper bytes go where bytes are free by then.
func (d direct) lookHalf(column int) {
	lower, upper := []int{nibbleBytes, nibbleBytes + 4}, []int{nibbleWays, nibbleBytes}
	for group := range 2 {
		for i := range 4 {
			d.op("VPSRLW", "$8", lower[group]+i, upper[group]+i)
		}
		d.lookColumns(group, column, lower[group])
	}
	for group := range 2 {
		d.lookColumns(group, column+4, upper[group])
	}
}

// lookColumns meets x with 4 columns, whose places in the tables are in four registers.
func (d direct) lookColumns(group, column, first int) {
	f := d.f
	for i := range 4 {
		f.op("VPERMI2W Z%d, Z%d, Z%d", 8*group+2*i+1, 8*group+2*i, first+i)
	}
	for i, reg := range d.turnPairs(first) {
		f.dotPairsOf(4*(column+i), reg, nibbleSums+group)
	}
}

// turnPairs turns four rows of four pairs to columns.
func (d direct) turnPairs(x int) []int {
	const free = nibbleFree
	for _, u := range []struct {
		name          string
		low, high, to int
	}{
		{"VPUNPCKLDQ", x, x + 1, free}, {"VPUNPCKHDQ", x, x + 1, x},
		{"VPUNPCKLDQ", x + 2, x + 3, x + 1}, {"VPUNPCKHDQ", x + 2, x + 3, x + 2},
		{"VPUNPCKLQDQ", free, x + 1, x + 3}, {"VPUNPCKHQDQ", free, x + 1, free},
		{"VPUNPCKLQDQ", x, x + 2, x + 1}, {"VPUNPCKHQDQ", x, x + 2, x},
	} {
		d.op(u.name, u.high, u.low, u.to)
	}
	return []int{x + 3, free, x + 1, x}
}
