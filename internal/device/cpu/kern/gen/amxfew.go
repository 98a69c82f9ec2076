package main

// amxFew is the product of a weight that is not in panels with few rows of x.
// The weight's rows are the left side, as they lie, so that no transposition is
// needed; c is 32 of them by 16 rows of x. A sum has the order of amxTile's,
// whose sides are exchanged.
func amxFew(f *file) {
	fr := f.function("amxFew", "is c = a b, or c += a b: a is 32 rows of bfloat16, aStride bytes apart, b a panel [k][16] of pairs, c 32 rows of 16 float32.",
		[]arg{{"config", "unsafe.Pointer"}, {"steps", "int"}, {"a", "unsafe.Pointer"}, {"aStride", "int"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"add", "int"}}, nil)
	for _, m := range [][2]string{{"config", "AX"}, {"steps", "CX"}, {"a", "SI"}, {"aStride", "R10"}, {"b", "DI"}, {"c", "DX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.loadConfig("AX")
	f.op("MOVQ $%d, R8", amxBytes)
	f.op("MOVQ R10, R9")
	f.op("SHLQ $4, R9")
	f.op("ADDQ SI, R9") // row 16 of a
	loop := f.label("step")
	f.zeroTile(0)
	f.zeroTile(2)
	f.op("CMPQ %s, $0", fr.slot("add"))
	f.op("JEQ %s", loop)
	f.loadTile("DX", "R8", 0, 0)
	f.loadTile("DX", "R8", amxRows*amxBytes, 2)
	f.mark(loop)
	f.loadTile("DI", "R8", 0, 6)
	f.loadTile("SI", "R10", 0, 4)
	f.loadTile("R9", "R10", 0, 5)
	f.dotTiles(4, 6, 0)
	f.dotTiles(5, 6, 2)
	f.op("ADDQ $%d, SI", amxBytes)
	f.op("ADDQ $%d, R9", amxBytes)
	f.op("ADDQ $%d, DI", amxRows*amxBytes)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.storeTileAt(0, "DX", "R8", 0)
	f.storeTileAt(2, "DX", "R8", amxRows*amxBytes)
	f.releaseTiles()
	f.back()
}
