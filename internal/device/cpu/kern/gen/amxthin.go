package main

// amxThin is a product of 16 columns. Two panels of a keep four accumulators
// busy, as 32 columns of one panel would; c's rows are 64 bytes, those of the
// second panel behind the first's.
func amxThin(f *file) {
	fr := f.thin("amxThin", "is c = a b, or c += a b, for two panels of a of 32 rows, aNext bytes apart, and the first 16 columns of a panel of b; c is 64 rows of 16 float32.", "aNext")
	f.op("MOVQ %s, R9", fr.slot("aNext"))
	f.op("ADDQ SI, R9") // the second panel
	f.thinSum(fr, func(t, a int) { f.loadTile([]string{"SI", "R9"}[t/2], "R8", t%2*amxRows*amxBytes, a) }, func() {
		f.op("ADDQ $%d, SI", 2*amxRows*amxBytes)
		f.op("ADDQ $%d, R9", 2*amxRows*amxBytes)
	})
	fr = f.thin("amxThinRows", "is amxThin for 64 plain rows of bfloat16, aRow bytes apart.", "aRow")
	f.op("MOVQ %s, BX", fr.slot("aRow"))
	f.op("MOVQ BX, AX")
	f.op("SHLQ $4, AX")
	quarters := []string{"SI", "R9", "R11", "R12"}
	for i, to := range quarters[1:] {
		f.op("LEAQ (%s)(AX*1), %s", quarters[i], to)
	}
	f.thinSum(fr, func(t, a int) { f.loadTile(quarters[t], "BX", 0, a) }, func() {
		for _, at := range quarters {
			f.op("ADDQ $%d, %s", amxBytes, at)
		}
	})
}

// thin begins a function of both forms.
func (f *file) thin(name, does, distance string) frame {
	fr := f.function(name, does,
		[]arg{{"config", "unsafe.Pointer"}, {"steps", "int"}, {"a", "unsafe.Pointer"}, {distance, "int"}, {"b", "unsafe.Pointer"}, {"c", "unsafe.Pointer"}, {"add", "int"}}, nil)
	for _, m := range [][2]string{{"config", "AX"}, {"steps", "CX"}, {"a", "SI"}, {"b", "DI"}, {"c", "DX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.loadConfig("AX")
	f.op("MOVQ $%d, R8", amxBytes)
	f.op("MOVQ $%d, R10", panelStride)
	return fr
}

// thinSum is the sum over K and the function's end: load brings 16 rows of a in,
// and next moves on to the next step.
func (f *file) thinSum(fr frame, load func(t, a int), next func()) {
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
		load(t, a)
		f.dotTiles(a, 7, t)
	}
	next()
	f.op("ADDQ $%d, DI", amxRows*panelStride)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	for t := range 4 {
		f.storeTileAt(t, "DX", "R8", t*amxRows*amxBytes)
	}
	f.releaseTiles()
	f.back()
}
