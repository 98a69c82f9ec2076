package main

import "fmt"

// A direct product of columns meets one row of x, or any number up to 15, as soon as a column
// is there. Of several rows eight, four, two and one are taken where the number has such a
// part. On the way the blocks of the next rows are brought into the second cache in the order in
// which they lie.
//
// 16 rows of the weight are done before the next 16: of 32, lines of Int8 with a K that is a
// multiple of 2048 would push each other out of the first cache before all of them is read.
//
// General registers: those of a direct product, BX the rows of x, R14 the blocks left, AX x, SI
// what is brought in, DI c behind the work.

// directAhead is where kern.DirectWork has Ahead.
const directAhead = 84 * 64

// rowParts is the sizes of parts of the rows of x; a part's sums begin at the register that
// is the sum of the parts before.
var rowParts = []int{8, 4, 2, 1}

// columnProducts writes the kern.Direct of several rows of x and, but for blocks of four bits,
// that of one.
func (d direct) columnProducts(b inBlocks) {
	if !b.nibbles {
		d.columnProduct(b, "Row", "one row of x", func(fr frame, e int) taker {
			return d.taker(fr, b, e, func(part func(rows, sum int)) { part(1, 0) })
		})
	}
	d.columnProduct(b, "Direct", "m rows of x, up to 15, in a panel [words][m] of pairs of bfloat16", func(fr frame, e int) taker {
		return d.taker(fr, b, e, d.parts)
	})
}

func (d direct) columnProduct(b inBlocks, suffix, rows string, unit func(fr frame, e int) taker) {
	f := d.f
	fr := f.function(b.name+suffix, fmt.Sprintf("is c += x w for 32 rows of w of n blocks of %s, srcStep bytes apart, and %s; c is rows of 32.", b.of, rows), directArgs, nil)
	f.op("MOVQ %s, BX", fr.slot("m"))
	f.op("MOVQ %s, AX", fr.slot("work"))
	f.op("MOVQ %s, SI", fr.slot("src"))
	f.op("ADDQ %d(AX), SI", directAhead)
	f.op("MOVQ SI, %s", fr.slot("m")) // which is in BX
	group, block, pass := f.label("group"), f.label("block"), f.label("pass")
	f.op("MOVQ $%d, R15", tileCols/d.isa.width)
	f.mark(group)
	f.op("MOVQ %s, R14", fr.slot("n"))
	f.mark(block)
	f.op("MOVQ %s, R8", fr.slot("srcStep"))
	f.op("LEAQ (R8)(R8*2), R9")
	f.op("MOVQ %s, R10", fr.slot("src"))
	d.quarters()
	f.op("MOVQ %s, DI", fr.slot("work"))
	b.turned.prepare()
	if b.passes > 1 {
		f.op("MOVQ $%d, CX", b.passes)
		f.mark(pass)
	}
	elements := b.elements / b.passes
	for e := 0; e < elements; e += unitElements {
		f.op("MOVQ %s, DI", fr.slot("work"))
		b.turned.unit(e, unit(fr, e))
	}
	f.op("IMUL3Q $%d, BX, AX", 4*d.words(elements))
	f.op("ADDQ AX, %s", fr.slot("x"))
	if b.passes > 1 {
		f.op("ADDQ $%d, %s", b.turned.passWorks, fr.slot("work"))
		f.op("ADDQ $%d, R10", b.passBytes)
		d.quarters()
		f.op("DECQ CX")
		f.op("JNZ %s", pass)
		f.op("SUBQ $%d, %s", b.passes*b.turned.passWorks, fr.slot("work"))
	}
	f.op("ADDQ $%d, %s", b.bytes, fr.slot("src"))
	f.op("DECQ R14")
	f.op("JNZ %s", block)
	d.nextRows(fr, b)
	f.op("DECQ R15")
	f.op("JNZ %s", group)
	f.ret()
}

// nextRows goes on to the next 16 rows.
func (d direct) nextRows(fr frame, b inBlocks) {
	f := d.f
	f.op("MOVQ %s, AX", fr.slot("srcStep"))
	f.op("SHLQ $4, AX")
	f.op("MOVQ %s, DX", fr.slot("n"))
	f.op("IMUL3Q $%d, DX, DX", b.bytes)
	f.op("SUBQ DX, AX")
	f.op("ADDQ AX, %s", fr.slot("src"))
	f.op("IMUL3Q $%d, BX, AX", 4*d.words(b.elements))
	f.op("IMULQ %s, AX", fr.slot("n"))
	f.op("SUBQ AX, %s", fr.slot("x"))
	f.op("ADDQ $%d, %s", 4*d.isa.width, fr.slot("work"))
	f.op("ADDQ $%d, %s", 4*d.isa.width, fr.slot("c"))
}

// taker multiplies columns by parts of the rows of x.
func (d direct) taker(fr frame, b inBlocks, e int, parts func(part func(rows, sum int))) taker {
	f := d.f
	bytes := d.isa.width * b.bytes * 2 * d.isa.width / b.elements
	lines := (bytes + 63) / 64
	sums := func(move func(sum, row int)) {
		f.op("MOVQ %s, DI", fr.slot("c"))
		parts(func(rows, sum int) {
			for i := range rows {
				move(sum+i, i)
			}
			f.op("ADDQ $%d, DI", rows*panelStride)
		})
	}
	return taker{
		begin: func() {
			f.op("MOVQ %s, SI", fr.slot("m"))
			f.op("ADDQ $%d, %s", bytes, fr.slot("m"))
			sums(func(sum, row int) { f.op("VMOVUPS %d(DI), Z%d", row*panelStride, sum) })
			f.op("MOVQ %s, AX", fr.slot("x"))
			if e > 0 {
				f.op("IMUL3Q $%d, BX, DX", 4*d.words(e))
				f.op("ADDQ DX, AX")
			}
		},
		take: func(column, reg int) {
			parts(func(rows, sum int) {
				for i := range rows {
					f.dotPairsOf(4*i, reg, sum+i)
				}
				f.op("ADDQ $%d, AX", 4*rows)
			})
			for line := column * lines / 16; line < (column+1)*lines/16; line++ {
				f.op("PREFETCHT1 %d(SI)", 64*line)
			}
			if column == 15 {
				sums(func(sum, row int) { f.op("VMOVUPS Z%d, %d(DI)", sum, row*panelStride) })
			}
		},
	}
}

// parts goes through the parts that the number of rows has.
func (d direct) parts(part func(rows, sum int)) {
	sum := 0
	for _, rows := range rowParts {
		skip := d.f.label("skip")
		d.f.op("TESTB $%d, BX", rows)
		d.f.op("JEQ %s", skip)
		part(rows, sum)
		d.f.mark(skip)
		sum += rows
	}
}
