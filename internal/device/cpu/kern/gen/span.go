package main

var spanArgs = []arg{
	{"config", "unsafe.Pointer"}, {"steps", "int"}, {"a", "unsafe.Pointer"}, {"aStep", "int"}, {"b", "unsafe.Pointer"}, {"bStep", "int"},
	{"lowSteps", "int"}, {"lowA", "unsafe.Pointer"}, {"lowB", "unsafe.Pointer"}, {"lowStep", "int"},
	{"c", "unsafe.Pointer"}, {"panels", "int"}, {"add", "int"},
	{"out", "unsafe.Pointer"}, {"tiles", "unsafe.Pointer"}, {"outRows", "int"}, {"ldc", "int"}, {"outBytes", "int"},
	{"behind", "int"}, {"next", "unsafe.Pointer"}, {"nextStep", "int"}, {"ahead", "int"},
}

// spanLines is the lines that a step brings in from next on, and of what lies ahead of b:
// to the second cache, as more in the first would drive out what the tiles read.
const spanLines = 4

// emitSpan writes a product whose panel of a stays in the first cache while
// those of b pass by, and whose tiles of c follow each other in memory, so that
// they share no place in it: rows of y a power of two apart would.
func emitSpan(f *file) {
	fr := f.function("amxSpan", "is c = a b + lowA lowB, or c += that, on AMX tiles of 17 to 32 rows, for panels of b and tiles of c of 32 rows of 32.", spanArgs, nil)
	for _, m := range [][2]string{{"config", "AX"}, {"a", "R11"}, {"b", "R12"}, {"c", "DX"}, {"panels", "R13"}, {"aStep", "R15"}, {"lowB", "BX"}, {"next", "R14"}, {"ahead", "R9"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.loadConfig("AX")
	f.op("MOVQ $%d, R8", amxBytes)
	f.op("MOVQ $%d, R10", panelStride)
	panel, fresh, begin, loop, low, lowLoop, store := f.label("panel"), f.label("fresh"), f.label("begin"), f.label("step"), f.label("low"), f.label("lowStep"), f.label("store")
	f.mark(panel)
	f.op("MOVQ R11, SI")
	f.op("MOVQ R12, DI")
	f.op("MOVQ %s, CX", fr.slot("steps"))
	f.op("CMPQ %s, $0", fr.slot("add"))
	f.op("JEQ %s", fresh)
	f.spanCorners(func(t, at int) { f.loadTile("DX", "R10", at, t) })
	f.op("JMP %s", begin)
	f.mark(fresh)
	f.spanCorners(func(t, _ int) { f.zeroTile(t) })
	f.mark(begin)
	f.op("TESTQ CX, CX")
	f.op("JEQ %s", low)
	f.mark(loop)
	for line := range spanLines {
		f.op("PREFETCHT1 %d(R14)", 64*line)
		f.op("PREFETCHT1 %d(DI)(R9*1)", 64*line)
	}
	f.op("ADDQ %s, R14", fr.slot("nextStep"))
	f.spanStep()
	f.op("JNZ %s", loop)
	f.mark(low)
	f.op("MOVQ %s, CX", fr.slot("lowSteps"))
	f.op("TESTQ CX, CX")
	f.op("JEQ %s", store)
	f.op("MOVQ %s, SI", fr.slot("lowA"))
	f.op("MOVQ BX, DI")
	f.mark(lowLoop)
	f.spanStep()
	f.op("JNZ %s", lowLoop)
	f.op("ADDQ %s, BX", fr.slot("lowStep"))
	f.mark(store)
	f.spanCorners(func(t, at int) { f.storeTileAt(t, "DX", "R10", at) })
	f.op("ADDQ $%d, DX", 2*amxRows*panelStride)
	f.op("ADDQ %s, R12", fr.slot("bStep"))
	f.spanOut(fr, "CX", "SI", "DI", "R10")
	f.op("DECQ R13")
	f.op("JNZ %s", panel)
	f.releaseTiles()
	f.ret()
	copyOut := func(behind string) func() {
		return func() {
			f.tileRow("R9", "VMOVUPS", "DI", behind, "VMOVUPS")
			f.op("ADDQ $%d, DI", panelStride)
		}
	}
	f.spanCopy("tilesOut", "copies panels tiles of 32 rows of 32 float32, as amxSpan writes them, to rows of c side by side.", nil, copyOut(""))
	f.spanCopy("tilesOutBehind", "is tilesOut of sums with what lies so many bytes behind c.", []arg{{"behind", "int"}}, copyOut("R10"))
	f.spanCopy("tilesOutHalf", "is tilesOut to rows of bfloat16.", nil, func() {
		f.halfTileRow("R9", "DI", "VMOVDQU64")
		f.op("ADDQ $%d, DI", panelStride/2)
	})
	f.spanCopy("tilesIn", "is tilesOut the other way.", nil, func() {
		f.tileRow("DI", "VMOVUPS", "R9", "", "VMOVUPS")
		f.op("ADDQ $%d, DI", panelStride)
	})
}

// tileRow copies a row of a tile, with what lies behind its place if that is named.
func (f *file) tileRow(from, load, to, behind, store string) {
	for i := range 2 {
		f.op("%s %d(%s), Z%d", load, 64*i, from, i)
	}
	for i := range 2 {
		if behind != "" {
			f.op("VADDPS %d(%s)(%s*1), Z%d, Z%d", 64*i, to, behind, i, i)
		}
		f.op("%s Z%d, %d(%s)", store, i, 64*i, to)
	}
}

// halfTileRow rounds a row of a tile on its way.
func (f *file) halfTileRow(from, to, store string) {
	f.op("VMOVUPS (%s), Z0", from)
	f.op("VMOVUPS 64(%s), Z1", from)
	f.convertTwo(0, 1, 2)
	f.op("%s Z2, (%s)", store, to)
}

// spanOut copies some rows of a finished tile past the caches, as float32 or, where
// its row has 64 bytes, bfloat16: a few stores to memory at a time, which the next
// panel's product hides. It takes AX and three registers. Where stride names the register
// of panelStride they may also be sums with what lies behind them.
func (f *file) spanOut(fr frame, rows, from, to, stride string) {
	row, half, done := f.label("row"), f.label("half"), f.label("done")
	f.op("MOVQ %s, %s", fr.slot("outRows"), rows)
	f.op("TESTQ %s, %s", rows, rows)
	f.op("JEQ %s", done)
	f.op("MOVQ %s, %s", fr.slot("tiles"), from)
	f.op("MOVQ %s, %s", fr.slot("out"), to)
	f.op("ADDQ $%d, %s", 2*amxRows*panelStride, fr.slot("tiles"))
	f.op("MOVQ %s, AX", fr.slot("outBytes"))
	f.op("ADDQ AX, %s", fr.slot("out"))
	f.op("CMPQ AX, $%d", panelStride)
	f.op("MOVQ %s, AX", fr.slot("ldc"))
	f.op("JNE %s", half)
	each := func(row string, copy func()) {
		f.mark(row)
		copy()
		f.op("ADDQ $%d, %s", panelStride, from)
		f.op("ADDQ AX, %s", to)
		f.op("DECQ %s", rows)
		f.op("JNZ %s", row)
	}
	if stride != "" {
		f.op("CMPQ %s, $0", fr.slot("behind"))
		f.op("JEQ %s", row)
		f.op("MOVQ %s, %s", fr.slot("behind"), stride)
		each(f.label("sum"), func() {
			for i := range 2 { // for the next panel
				f.op("PREFETCHT0 %d(%s)(%s*1)", panelStride+64*i, to, stride)
			}
			f.tileRow(from, "VMOVUPS", to, stride, "VMOVNTPS")
		})
		f.op("MOVQ $%d, %s", panelStride, stride)
		f.op("JMP %s", done)
	}
	each(row, func() { f.tileRow(from, "VMOVUPS", to, "", "VMOVNTPS") })
	f.op("JMP %s", done)
	each(half, func() { f.halfTileRow(from, to, "VMOVNTDQ") })
	f.mark(done)
}

// spanStep is one step of K, ended by the count in CX.
func (f *file) spanStep() {
	f.loadTile("DI", "R10", 0, 6)
	f.loadTile("SI", "R8", 0, 4)
	f.loadTile("DI", "R10", 64, 7)
	f.dotTiles(4, 6, 0)
	f.loadTile("SI", "R8", amxRows*amxBytes, 5)
	f.dotTiles(4, 7, 1)
	f.dotTiles(5, 6, 2)
	f.dotTiles(5, 7, 3)
	f.op("ADDQ R15, SI")
	f.op("ADDQ $%d, DI", amxRows*panelStride)
	f.op("DECQ CX")
}

// spanCorners does something with each accumulator and its place in a tile of c.
func (f *file) spanCorners(do func(t, at int)) {
	for t := range 4 {
		do(t, t/2*amxRows*panelStride+t%2*amxBytes)
	}
}

// spanCopy walks over the rows of tiles, at R9, and of c, at DI, which copy moves on.
func (f *file) spanCopy(name, doc string, more []arg, copy func()) {
	args := []arg{{"c", "unsafe.Pointer"}, {"ldc", "int"}, {"t", "unsafe.Pointer"}, {"rows", "int"}, {"panels", "int"}}
	fr := f.function(name, doc, append(args, more...), nil)
	for _, m := range more {
		f.op("MOVQ %s, R10", fr.slot(m.name))
	}
	for _, m := range [][2]string{{"c", "DX"}, {"ldc", "BX"}, {"t", "SI"}, {"rows", "CX"}, {"panels", "R8"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	row, panel := f.label("row"), f.label("panel")
	f.mark(row)
	f.op("MOVQ R8, AX")
	f.op("MOVQ DX, DI")
	f.op("MOVQ SI, R9")
	f.mark(panel)
	copy()
	f.op("ADDQ $%d, R9", 2*amxRows*panelStride)
	f.op("DECQ AX")
	f.op("JNZ %s", panel)
	f.op("ADDQ $%d, SI", panelStride)
	f.op("ADDQ BX, DX")
	f.op("DECQ CX")
	f.op("JNZ %s", row)
	f.op("SFENCE") // after what amxSpan stored around the caches
	f.ret()
}
