package main

import "math/bits"

// fewBlocks is amxFew for a weight in blocks: 16 rows are decoded in registers and
// written to memory in the first cache, 32 elements of each, from where they are
// the left side of a tile's product. That of the elements two units before stands
// behind their decoding: a tile is loaded only once what was stored has left the
// store buffer, and a product takes 52 cycles more, which is longer than a unit.
//
// General registers: R14 what is prefetched of the first row, R15 where the rows go,
// BX x of the elements that are multiplied, CX the passes; SI, AX and DX are free; the
// others as those of a direct product.

var fewBlocksArgs = []arg{
	{"config", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"xStep", "int"},
	{"src", "unsafe.Pointer"}, {"n", "int"}, {"left", "int"}, {"srcStep", "int"}, {"next", "int"}, {"groups", "int"}, {"add", "int"}, {"work", "*DirectWork"}, {"rows", "unsafe.Pointer"},
}

const (
	fewBuffer  = amxRows * amxBytes // 16 rows of 32 elements
	fewBuffers = 4                  // in a ring, aligned to twice its size
	fewBehind  = fewBuffers / 2     // units from the decoding to the product
	fewAhead   = 384                // bytes of a row that it is prefetched ahead
)

// fewBlocks writes the function of a type.
func (d direct) fewBlocks(b inBlocks) {
	f := d.f
	fr := f.function(b.name+"Few", "is amxFew for groups of 16 rows of n blocks of "+b.of+", srcStep bytes apart, each group next bytes behind the one before; x is words of pairs and c rows xStep bytes apart, left is n and rows 16 KiB that it works in.", fewBlocksArgs, nil)
	f.op("MOVQ %s, AX", fr.slot("config"))
	f.loadConfig("AX")
	f.op("MOVQ %s, R13", fr.slot("groups"))
	group, block, pass := f.label("group"), f.label("block"), f.label("pass")
	f.mark(group)
	f.op("MOVQ R13, %s", fr.slot("config"))
	d.fewBegin(fr)
	if b.scaled {
		d.fewRows(fr)
		d.fewFirstScales(fr, b)
	}
	f.mark(block)
	d.fewRows(fr)
	f.op("LEAQ %d(R10), R14", fewAhead)
	f.op("MOVQ %s, DI", fr.slot("work"))
	if b.scaled {
		d.fewScales()
	} else {
		b.prepare()
	}
	if b.passes > 1 {
		f.op("MOVQ $%d, CX", b.passes)
		f.mark(pass)
	}
	for e := 0; e < b.elements/b.passes; e += 2 * d.isa.width {
		f.op("MOVQ %s, DI", fr.slot("work"))
		ahead := f.capture(func() { d.fewPrefetch(fr, b) })
		if b.scaled {
			ahead = append(f.capture(func() { d.fewNextScales(fr, b) }), ahead...)
		}
		d.fewDecode(b, e, ahead)
		d.fewUnit(fr)
	}
	if b.passes > 1 {
		f.op("ADDQ $%d, %s", b.passWorks, fr.slot("work"))
		f.op("ADDQ $%d, R10", b.passBytes)
		d.quarters()
		f.op("DECQ CX")
		f.op("JNZ %s", pass)
		f.op("SUBQ $%d, %s", b.passes*b.passWorks, fr.slot("work"))
	}
	f.op("ADDQ $%d, %s", b.bytes, fr.slot("src"))
	f.op("DECQ %s", fr.slot("left"))
	f.op("JNZ %s", block)
	d.fewEnd(fr, b)
	f.op("MOVQ %s, R13", fr.slot("config"))
	f.op("DECQ R13")
	f.op("JNZ %s", group)
	f.releaseTiles()
	f.ret()
}

// fewDecode decodes a unit, with what is done ahead spread over it.
func (d direct) fewDecode(b inBlocks, e int, ahead []string) {
	f := d.f
	spread := func(unit func()) {
		for _, line := range among(ahead, f.capture(unit)) {
			f.text.WriteString(line)
		}
	}
	if b.few == nil {
		spread(func() { b.unit(e) })
		return
	}
	odd, done := f.label("odd"), f.label("done")
	d.fewOdd(odd)
	spread(b.few)
	f.op("JMP %s", done)
	f.mark(odd)
	spread(func() { b.unit(e) })
	f.mark(done)
}

// fewRows is the addresses of 16 rows' blocks.
func (d direct) fewRows(fr frame) {
	d.f.op("MOVQ %s, R8", fr.slot("srcStep"))
	d.f.op("LEAQ (R8)(R8*2), R9")
	d.f.op("MOVQ %s, R10", fr.slot("src"))
	d.quarters()
}

// fewBegin begins 16 rows.
func (d direct) fewBegin(fr frame) {
	f := d.f
	fresh, begin := f.label("fresh"), f.label("begin")
	f.op("CMPQ %s, $0", fr.slot("add"))
	f.op("JEQ %s", fresh)
	f.op("MOVQ %s, AX", fr.slot("c"))
	f.op("MOVQ %s, SI", fr.slot("xStep"))
	f.loadTile("AX", "SI", 0, 0)
	f.op("JMP %s", begin)
	f.mark(fresh)
	f.zeroTile(0)
	f.mark(begin)
	f.op("MOVQ %s, AX", fr.slot("n"))
	f.op("MOVQ AX, %s", fr.slot("left"))
	f.op("MOVQ %s, R15", fr.slot("rows"))
	f.op("ADDQ $%d, R15", 2*fewBuffers*fewBuffer-1)
	f.op("ANDQ $-%d, R15", 2*fewBuffers*fewBuffer)
	f.op("MOVQ %s, AX", fr.slot("xStep"))
	f.op("SHLQ $4, AX")
	f.op("IMUL3Q $%d, AX, AX", fewBehind)
	f.op("MOVQ %s, BX", fr.slot("x"))
	f.op("SUBQ AX, BX")
}

// fewPrefetch brings in what half of the rows have some way ahead, in turns, which is
// often enough: a line is of several units or brings its neighbour in. Behind a
// row's end that is the next 16 rows', where these begin as far behind them as they are long.
// It takes AX, DX and SI.
func (d direct) fewPrefetch(fr frame, b inBlocks) {
	f := d.f
	f.op("MOVQ %s, AX", fr.slot("srcStep"))
	f.op("LEAQ (AX)(AX*2), DX")
	f.op("LEAQ (R14)(AX*8), SI")
	f.op("BTQ $%d, R15", bits.Len(fewBuffer)-1)
	f.op("CMOVQCC R14, SI")
	for half := range 2 {
		if half > 0 {
			f.op("LEAQ (SI)(AX*4), SI")
		}
		for _, row := range []string{"", "(AX*1)", "(AX*2)", "(DX*1)"} {
			f.op("PREFETCHT0 (SI)%s", row)
		}
	}
	f.op("ADDQ $%d, R14", b.bytes*2*d.isa.width/b.elements)
}

// fewUnit adds the product of earlier rows and writes the rows in Z0 to Z15.
func (d direct) fewUnit(fr frame) {
	d.fewProduct(fr)
	for i := range d.isa.width {
		d.f.op("VMOVDQU32 Z%d, %d(R15)", i, amxBytes*i)
	}
	d.fewNext()
}

// fewNext goes on to the next place in the ring.
func (d direct) fewNext() {
	d.f.op("ADDQ $%d, R15", fewBuffer)
	d.f.op("BTRQ $%d, R15", bits.Len(fewBuffers*fewBuffer)-1)
}

// fewProduct multiplies the rows that were written fewBehind units before, if there
// are any, and goes on in x.
func (d direct) fewProduct(fr frame) {
	f, first := d.f, d.f.label("first")
	f.op("MOVQ %s, AX", fr.slot("xStep"))
	f.op("CMPQ BX, %s", fr.slot("x"))
	f.op("JCS %s", first)
	f.op("MOVQ R15, DX")
	f.op("XORQ $%d, DX", fewBehind*fewBuffer)
	f.op("MOVQ $%d, SI", amxBytes)
	f.loadTile("BX", "AX", 0, 6)
	f.loadTile("DX", "SI", 0, 4)
	f.dotTiles(4, 6, 0)
	f.mark(first)
	f.op("SHLQ $4, AX")
	f.op("ADDQ AX, BX")
}

// fewEnd ends 16 rows and goes on to the next.
func (d direct) fewEnd(fr frame, b inBlocks) {
	f := d.f
	for range fewBehind {
		d.fewProduct(fr)
		d.fewNext()
	}
	f.op("MOVQ %s, AX", fr.slot("c"))
	f.op("MOVQ %s, SI", fr.slot("xStep"))
	f.storeTileAt(0, "AX", "SI", 0)
	f.op("SHLQ $4, SI")
	f.op("ADDQ SI, %s", fr.slot("c"))
	f.op("MOVQ %s, AX", fr.slot("n"))
	f.op("IMUL3Q $%d, AX, AX", b.bytes)
	f.op("MOVQ %s, DX", fr.slot("next"))
	f.op("SUBQ AX, DX")
	f.op("ADDQ DX, %s", fr.slot("src"))
	if b.given {
		f.op("ADDQ $%d, %s", 4*d.isa.width, fr.slot("work"))
	}
}
