package main

import (
	"bytes"
	"strings"
)

// A span of blocks is amxSpan for 32 rows and 8 steps, which makes words of
// another panel of B on its way: with each panel of b, 16 words of 16 rows of a
// weight in blocks. The tiles leave the ports of vectors idle, so that decoding is
// free where its instructions stand between those of the tiles, near enough that
// the processor looks ahead so far.
//
// General registers: BX a's steps, CX b's, SI and R14 the distances of rows of
// tiles, R15 what is prefetched; the others as those of a direct product.

var spanBlocksArgs = []arg{
	{"config", "unsafe.Pointer"}, {"a", "unsafe.Pointer"}, {"b", "unsafe.Pointer"}, {"bStep", "int"},
	{"lowSteps", "int"}, {"lowA", "unsafe.Pointer"}, {"lowB", "unsafe.Pointer"}, {"lowStep", "int"},
	{"c", "unsafe.Pointer"}, {"panels", "int"}, {"add", "int"},
	{"out", "unsafe.Pointer"}, {"tiles", "unsafe.Pointer"}, {"outRows", "int"}, {"ldc", "int"}, {"outBytes", "int"},
	{"dst", "unsafe.Pointer"}, {"dstStep", "int"}, {"src", "unsafe.Pointer"}, {"srcStep", "int"}, {"work", "unsafe.Pointer"}, {"next", "unsafe.Pointer"},
}

const (
	spanSteps = 8
	stepBytes = 2 * amxRows * amxBytes // of a, and of b
	// spanAhead is the lines of the next span's a that are prefetched with each step:
	// eight panels of b bring in all of it.
	spanAhead = 4
)

// spanBlocks writes a span of a type of blocks, which is of 8 panels, so that its
// units make whole blocks. The first pass of several prepares the block. Across,
// the sums run over the rows.
func (d direct) spanBlocks(b inBlocks, across bool) {
	f := d.f
	name, words := b.name+"Span", "16 words of 16 rows"
	if across {
		name, words = name+"Across", "8 words of 32 columns"
	}
	fr := f.function(name, "is amxSpan for 32 rows, 8 steps and 8 panels; with each panel it writes "+words+", of 16 rows of "+b.of+", at dst, dstStep bytes on each time.", spanBlocksArgs, nil)
	for _, m := range [][2]string{{"config", "AX"}, {"a", "BX"}, {"b", "CX"}, {"srcStep", "R8"}, {"next", "R15"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.loadConfig("AX")
	f.op("LEAQ (R8)(R8*2), R9")
	f.op("MOVQ $%d, SI", amxBytes)
	f.op("MOVQ $%d, R14", panelStride)
	loop := f.label("blocks")
	if b.passes > 1 {
		d.spanPass(fr, b, true, across)
	}
	f.mark(loop)
	d.spanPass(fr, b, b.passes == 1, across)
	f.op("CMPQ %s, $0", fr.slot("panels"))
	f.op("JNZ %s", loop)
	f.releaseTiles()
	f.ret()
}

// spanPass is as many panels as a pass has units.
func (d direct) spanPass(fr frame, b inBlocks, prepare, across bool) {
	f := d.f
	elements := b.elements / b.passes
	for e := 0; e < elements; e += 2 * d.isa.width {
		f.op("MOVQ %s, R10", fr.slot("src"))
		d.quarters()
		f.op("MOVQ %s, DI", fr.slot("work"))
		var prepares, prefetches []string
		if prepare && e == 0 {
			prepares = f.capture(b.prepare)
			prefetches = f.capture(func() { d.prefetch(b.bytes, "PREFETCHT1", "DX") })
		}
		decodes := f.capture(func() {
			b.unit(e)
			if across {
				f.op("MOVQ %s, DI", fr.slot("dst"))
				d.joinPairs()
			} else {
				columns := f.transpose(d.isa)
				f.op("MOVQ %s, DI", fr.slot("dst"))
				f.storeFlipped(d.isa, columns, 0, 0)
			}
			f.op("ADDQ %s, DI", fr.slot("dstStep"))
			f.op("MOVQ DI, %s", fr.slot("dst"))
		})
		if b.passes > 1 && prepare {
			prepares = append(among(prefetches, prepares), f.capture(func() { f.op("MOVQ R10, %s", fr.slot("src")) })...) // which preparing may have changed
			prefetches = nil
		}
		d.spanPanel(fr, append(prepares, among(prefetches, decodes)...))
	}
	further, work := b.passBytes, b.passWorks
	if b.passes == 1 {
		further, work = b.bytes, 0
	}
	f.op("ADDQ $%d, %s", further, fr.slot("src"))
	f.op("ADDQ $%d, %s", work, fr.slot("work"))
}

// joinPairs writes rows 2k and 2k+1 as pairs, a panel's 32 columns.
func (d direct) joinPairs() {
	const tmp = 18
	for half := range 2 {
		d.load32(joinIndices(d.f, half), 16+half)
	}
	for k := range d.isa.width / 2 {
		d.f.op("VMOVDQA32 Z%d, Z%d", 2*k, tmp+k%4)
		d.f.op("VPERMT2W Z%d, Z16, Z%d", 2*k+1, 2*k)
		d.f.op("VPERMT2W Z%d, Z17, Z%d", 2*k+1, tmp+k%4)
		d.f.op("VMOVDQU32 Z%d, %s", 2*k, work(k*panelStride))
		d.f.op("VMOVDQU32 Z%d, %s", tmp+k%4, work(k*panelStride+64))
	}
}

// capture is the instructions that emit writes, in place of writing them.
func (f *file) capture(emit func()) []string {
	written := f.text
	f.text = bytes.Buffer{}
	emit()
	lines := strings.SplitAfter(strings.TrimSuffix(f.text.String(), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	if f.text.Len() == 0 {
		lines = nil
	}
	f.text = written
	return lines
}

// among is the lines of both in their order, those of few spread over the others: a
// run of prefetches would hold up what the tiles load.
func among(few, lines []string) []string {
	var all []string
	for i, line := range lines {
		from, to := i*len(few)/len(lines), (i+1)*len(few)/len(lines)
		all = append(append(all, few[from:to]...), line)
	}
	return all
}

// spanPanel is a panel of b, with other instructions spread over its steps.
func (d direct) spanPanel(fr frame, others []string) {
	f := d.f
	fresh, begin := f.label("fresh"), f.label("begin")
	f.op("MOVQ %s, AX", fr.slot("c"))
	f.op("CMPQ %s, $0", fr.slot("add"))
	f.op("JEQ %s", fresh)
	f.spanCorners(func(t, at int) { f.loadTile("AX", "R14", at, t) })
	f.op("JMP %s", begin)
	f.mark(fresh)
	f.spanCorners(func(t, _ int) { f.zeroTile(t) })
	f.mark(begin)
	const each = 8 // instructions of a step
	written, slots := 0, 0
	spread := func(tile func()) {
		tile()
		slots++
		for ; written < len(others)*slots/(spanSteps*each); written++ {
			f.text.WriteString(others[written])
		}
	}
	for step := range spanSteps {
		at := step * stepBytes
		for line := range spanAhead {
			f.op("PREFETCHT1 %d(R15)", 64*(step*spanAhead+line))
		}
		spread(func() { f.loadTile("CX", "R14", at, 6) })
		spread(func() { f.loadTile("BX", "SI", at, 4) })
		spread(func() { f.loadTile("CX", "R14", at+64, 7) })
		spread(func() { f.dotTiles(4, 6, 0) })
		spread(func() { f.loadTile("BX", "SI", at+amxRows*amxBytes, 5) })
		spread(func() { f.dotTiles(4, 7, 1) })
		spread(func() { f.dotTiles(5, 6, 2) })
		spread(func() { f.dotTiles(5, 7, 3) })
	}
	f.op("ADDQ $%d, R15", 64*spanSteps*spanAhead)
	d.spanLow(fr)
	f.op("MOVQ %s, AX", fr.slot("c"))
	f.spanCorners(func(t, at int) { f.storeTileAt(t, "AX", "R14", at) })
	f.op("ADDQ $%d, %s", 2*amxRows*panelStride, fr.slot("c"))
	f.op("ADDQ %s, CX", fr.slot("bStep"))
	f.spanOut(fr, "R10", "R11", "R12", "")
	f.op("DECQ %s", fr.slot("panels"))
}

// spanLow is the low-rank product of a panel.
func (d direct) spanLow(fr frame) {
	f := d.f
	loop, done := f.label("low"), f.label("nolow")
	f.op("MOVQ %s, R12", fr.slot("lowSteps"))
	f.op("TESTQ R12, R12")
	f.op("JEQ %s", done)
	f.op("MOVQ %s, R10", fr.slot("lowA"))
	f.op("MOVQ %s, R11", fr.slot("lowB"))
	f.mark(loop)
	f.loadTile("R11", "R14", 0, 6)
	f.loadTile("R10", "SI", 0, 4)
	f.loadTile("R11", "R14", 64, 7)
	f.dotTiles(4, 6, 0)
	f.loadTile("R10", "SI", amxRows*amxBytes, 5)
	f.dotTiles(4, 7, 1)
	f.dotTiles(5, 6, 2)
	f.dotTiles(5, 7, 3)
	f.op("ADDQ $%d, R10", stepBytes)
	f.op("ADDQ $%d, R11", stepBytes)
	f.op("DECQ R12")
	f.op("JNZ %s", loop)
	f.op("MOVQ %s, AX", fr.slot("lowStep"))
	f.op("ADDQ AX, %s", fr.slot("lowB"))
	f.mark(done)
}
