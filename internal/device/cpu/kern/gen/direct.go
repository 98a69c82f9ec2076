package main

import (
	"fmt"
	"math/bits"
)

// A direct product multiplies rows of a weight in blocks by few rows of x and
// writes no row down: as many rows as a register has words, and as many words of
// each, are decoded in registers, transposed there, and meet x. Words are pairs
// of bfloat16, or float32. A sum has the order, and so the bits, of the tiles' on
// decoded panels.
//
// Vector registers: the first width hold the rows; the others belong to a row's
// decoding, to the transposition and, behind it, to sums. General: R8 the distance of
// rows, R9 three times that, R10 to R13 every fourth row, R15 the groups of the 32 rows that
// are left, CX the passes; BX the distance of x's words, R14 three times that;
// DI the work; AX, DX, SI are free.
type direct struct {
	halfBlocks
	half bool // words are pairs
}

// inBlocks is a type of blocks. A block is decoded in passes of the same code,
// which go so many bytes on in the rows and in the work.
type inBlocks struct {
	name, of             string
	bytes, elements      int // of a block
	passes               int
	passBytes, passWorks int
	given                bool        // the rows' scales are in the work
	scaled               bool        // a block is of one pass and begins with its scale, of binary16
	nibbles              bool        // one row of x is nibblerow.go's
	prepare              func()      // what a block needs before its first pass
	few                  func()      // unit of few rows, if they have one of their own, for scales that fewOdd lets pass
	unit                 func(e int) // decodes the words of the rows from element e of a pass on
	turned               turnedBlocks
}

// directArgs and packArgs are those of kern.Direct and kern.PackBlocks.
var (
	directArgs = []arg{{"c", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"srcStep", "int"}, {"m", "int"}, {"work", "*DirectWork"}}
	packArgs   = []arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"srcStep", "int"}, {"work", "*DirectWork"}}
)

func emitDirect(f *file) {
	for _, d := range []direct{{halfBlocks{blocks{f, avx512}}, true}, {halfBlocks{blocks{f, avx512}}, false}} {
		for _, b := range d.types() {
			if d.half {
				d.columnProducts(b)
				d.pack(b)
				d.spanBlocks(b, false)
				d.spanBlocks(b, true)
				d.fewBlocks(b)
				continue
			}
			d.product(b)
		}
	}
}

// words is how many words n elements are.
func (d direct) words(n int) int {
	if d.half {
		return n / 2
	}
	return n
}

// product writes a kern.Direct.
func (d direct) product(b inBlocks) {
	name, of := b.name+"Direct", "float32"
	if d.half {
		of = "pairs of bfloat16"
	} else {
		name += d.isa.name
	}
	fr := d.f.function(name, fmt.Sprintf("is c += x w for 32 rows of w of n blocks of %s, srcStep bytes apart, and m rows of x in a panel [words][m] of %s; c is m rows of 32.", b.of, of), directArgs, nil)
	d.f.op("MOVQ %s, BX", fr.slot("m"))
	d.f.op("SHLQ $2, BX")
	d.f.op("LEAQ (BX)(BX*2), R14")
	d.loop(b, fr, "c", d.prefetchBlocks(b), func(e int) { b.unit(e); d.multiply(fr, d.f.transpose(d.isa), e) }, func(elements int) {
		d.f.op("IMUL3Q $%d, BX, AX", d.words(elements))
		d.f.op("ADDQ AX, %s", fr.slot("x"))
	})
}

// pack writes a kern.PackBlocks.
func (d direct) pack(b inBlocks) {
	fr := d.f.function(b.name+"Pack", fmt.Sprintf("writes a panel of B, of bfloat16, of 32 rows of n blocks of %s, srcStep bytes apart.", b.of), packArgs, nil)
	ahead, some := d.prefetchBlocks(b), func() {}
	if b.passes > 1 {
		ahead = func() {
			d.f.op("MOVQ R8, R14")
			d.f.op("SHLQ $5, R14")
			d.f.op("ADDQ R10, R14")
		}
		some = func() { d.prefetchSome(fr, d.isa.width*2*d.isa.width/b.elements, b.bytes) }
	}
	store := func(e int) taker {
		return taker{
			begin: func() {
				some()
				d.f.op("MOVQ %s, DI", fr.slot("dst"))
			},
			take: func(column, reg int) { d.f.storeFlipped(d.isa, []int{reg}, d.words(e)+column, 0) },
		}
	}
	d.loop(b, fr, "dst", ahead, func(e int) { b.turned.unit(e, store(e)) }, func(elements int) {
		d.f.op("ADDQ $%d, %s", d.words(elements)*panelStride, fr.slot("dst"))
	})
}

// loop goes over n blocks, and in each over groups of the 32 rows, which begin with ahead.
// unit decodes and takes the words of a group from element e of a pass on; a group's place at
// to is a register further than the one's before, and step goes some elements on there.
func (d direct) loop(b inBlocks, fr frame, to string, ahead func(), unit func(e int), step func(elements int)) {
	f, w := d.f, d.isa.width
	block, group, pass := f.label("block"), f.label("group"), f.label("pass")
	f.mark(block)
	f.op("MOVQ $%d, R15", tileCols/w)
	f.mark(group)
	f.op("MOVQ %s, R8", fr.slot("srcStep"))
	f.op("LEAQ (R8)(R8*2), R9")
	f.op("MOVQ %s, R10", fr.slot("src"))
	d.quarters()
	ahead()
	f.op("MOVQ %s, DI", fr.slot("work"))
	if b.turned.unit != nil {
		b.prepare, b.passWorks = b.turned.prepare, b.turned.passWorks
	}
	b.prepare()
	elements := b.elements / b.passes
	if b.passes > 1 {
		f.op("MOVQ $%d, CX", b.passes)
		f.mark(pass)
	}
	for e := 0; e < elements; e += w * elements / d.words(elements) {
		f.op("MOVQ %s, DI", fr.slot("work"))
		unit(e)
	}
	if b.passes > 1 {
		step(elements)
		f.op("ADDQ $%d, %s", b.passWorks, fr.slot("work"))
		f.op("ADDQ $%d, R10", b.passBytes)
		d.quarters()
		f.op("DECQ CX")
		f.op("JNZ %s", pass)
		step(-b.elements)
	}
	f.op("MOVQ %s, AX", fr.slot("srcStep"))
	f.op("SHLQ $%d, AX", bits.Len(uint(w))-1)
	f.op("ADDQ AX, %s", fr.slot("src"))
	f.op("ADDQ $%d, %s", 4*w-b.passes*b.passWorks, fr.slot("work"))
	f.op("ADDQ $%d, %s", 4*w, fr.slot(to))
	f.op("DECQ R15")
	f.op("JNZ %s", group)
	f.op("MOVQ %s, AX", fr.slot("srcStep"))
	f.op("SHLQ $5, AX")
	f.op("SUBQ AX, %s", fr.slot("src"))
	f.op("ADDQ $%d, %s", b.bytes, fr.slot("src"))
	f.op("SUBQ $%d, %s", panelStride, fr.slot("work"))
	f.op("SUBQ $%d, %s", panelStride, fr.slot(to))
	step(b.elements)
	f.op("DECQ %s", fr.slot("n"))
	f.op("JNZ %s", block)
	f.ret()
}

// quarters is the addresses of every fourth row.
func (d direct) quarters() {
	for i := 1; i < d.isa.width/4; i++ {
		d.f.op("LEAQ (R1%d)(R8*4), R1%d", i-1, i)
	}
}

// prefetch brings in what the next 32 rows have at the place of these. It takes
// AX and a register.
func (d direct) prefetch(bytes int, hint, by string) {
	d.f.op("MOVQ R8, %s", by)
	d.f.op("SHLQ $5, %s", by)
	for quarter := range d.isa.width / 4 {
		d.f.op("LEAQ (R1%d)(%s*1), AX", quarter, by)
		for _, row := range fourRows {
			for at := 0; at < bytes; at += 64 {
				d.f.op("%s %d(AX)%s", hint, at, row)
			}
		}
	}
}

// prefetchBlocks is that of a group's blocks.
func (d direct) prefetchBlocks(b inBlocks) func() {
	return func() { d.prefetch(b.bytes, "PREFETCHT1", "SI") }
}

// fourRows is the indices of a row's address behind that of the first of four.
var fourRows = []string{"", "(R8*1)", "(R8*2)", "(R9*1)"}

// at is memory at some bytes of row i.
func (d direct) at(i, at int) string { return fmt.Sprintf("%d(R1%d)%s", at, i/4, fourRows[i%4]) }

// xRows is how many rows of x meet the words at a time: a sum has one
// accumulator, whose additions wait for each other.
const xRows = 4

// multiply adds the products of columns of words, from element e of a pass on,
// with every row of x.
func (d direct) multiply(fr frame, columns []int, e int) {
	const sums = 16
	f := d.f
	f.op("MOVQ %s, DX", fr.slot("x"))
	if e > 0 {
		f.op("IMUL3Q $%d, BX, AX", d.words(e))
		f.op("ADDQ AX, DX")
	}
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
				x := sums + xRows + (k*rows+i)%(d.isa.width-xRows)
				f.op("VBROADCASTSS %d(AX)%s, %s", 4*i, []string{"", "(BX*1)", "(BX*2)", "(R14*1)"}[k%4], d.isa.r(x))
				d.dot(c, x, sums+i)
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

// dot adds the products of words.
func (d direct) dot(w, x, sum int) {
	if d.half {
		d.f.dotPairs(w, x, sum)
		return
	}
	d.op("VFMADD231PS", w, x, sum)
}
