package main

// amxThin is a product of 16 columns. Two panels of a keep four accumulators
// busy, as 32 columns of one panel would; c's rows are 64 bytes, those of the
// second panel behind the first's.
func amxThin(f *file) {
	fr := f.function("amxThin", "is c = a b, or c += a b, for two panels of a of 32 rows, aNext bytes apart, and the first 16 columns of a panel of b; c is 64 rows of 16 float32.",
		[]arg{{"config", "unsafe.Pointer"}, {"steps", "int"}, {"a", "unsafe.Pointer"}, {"aNext", "int"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"add", "int"}}, nil)
	for _, m := range [][2]string{{"config", "AX"}, {"steps", "CX"}, {"a", "SI"}, {"aNext", "R9"}, {"b", "DI"}, {"c", "DX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.loadConfig("AX")
	f.op("MOVQ $%d, R8", amxBytes)
	f.op("MOVQ $%d, R10", panelStride)
	f.op("ADDQ SI, R9") // the second panel
	loop := f.label("step")
	for t := range 4 {
		f.zeroTile(t)
	}
	f.op("CMPQ %s, $0", fr.slot("add"))
	f.op("JEQ %s", loop)
	for t := range 4 {
		f.loadTile("DX", "R8", t*amxRows*amxBytes, t)
	}
	f.mark(loop)
	f.loadTile("DI", "R10", 0, 7)
	for t := range 4 {
		a := 4 + t%3
		f.loadTile([]string{"SI", "R9"}[t/2], "R8", t%2*amxRows*amxBytes, a)
		f.dotTiles(a, 7, t)
	}
	f.op("ADDQ $%d, SI", 2*amxRows*amxBytes)
	f.op("ADDQ $%d, R9", 2*amxRows*amxBytes)
	f.op("ADDQ $%d, DI", amxRows*panelStride)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	for t := range 4 {
		f.storeTileAt(t, "DX", "R8", t*amxRows*amxBytes)
	}
	f.releaseTiles()
	f.op("RET")
}
