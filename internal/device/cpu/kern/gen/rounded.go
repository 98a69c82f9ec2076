package main

// emitRoundTile is rows of a tile on their way to a y in bfloat16.
func emitRoundTile(f *file) {
	fr := f.function("roundTileBF16", "is y = c rounded, for rows of 32 float32 that follow each other; those of y are yRow bytes apart.",
		[]arg{{"y", "unsafe.Pointer"}, {"yRow", "int"}, {"c", "unsafe.Pointer"}, {"rows", "int"}}, nil)
	for _, m := range [][2]string{{"y", "DI"}, {"yRow", "BX"}, {"c", "SI"}, {"rows", "CX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	row := f.label("row")
	f.mark(row)
	f.halfTileRow("SI", "DI", "VMOVDQU64")
	f.op("ADDQ $%d, SI", panelStride)
	f.op("ADDQ BX, DI")
	f.op("DECQ CX")
	f.op("JNZ %s", row)
	f.ret()
}
