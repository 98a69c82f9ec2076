package main

// emitPeaks writes loops that do nothing but multiply registers: the rate that
// a product can reach at most. The accumulators are enough to hide the latency.
func emitPeaks(f *file) {
	loops := []struct {
		name, doc    string
		accumulators int
		clear        string
		multiply     func(c int)
	}{
		{"peakF32", "runs n rounds of 24 VFMADD231PS on 16 float32.", 24, "VPXORQ Z%d, Z%d, Z%d", func(c int) { f.op("VFMADD231PS Z30, Z31, Z%d", c) }},
		{"peakBF16", "runs n rounds of 24 VDPBF16PS on 16 pairs.", 24, "VPXORQ Z%d, Z%d, Z%d", func(c int) { f.dotPairs(30, 31, c) }},
		{"peakAVX2", "runs n rounds of 12 VFMADD231PS on 8 float32.", 12, "VXORPS Y%d, Y%d, Y%d", func(c int) { f.op("VFMADD231PS Y14, Y15, Y%d", c) }},
	}
	for _, l := range loops {
		fr := f.function(l.name, l.doc, []arg{{"n", "int"}}, nil)
		f.op("MOVQ %s, CX", fr.slot("n"))
		for _, r := range []int{12, 13, 14, 15} {
			f.op("VXORPS Y%d, Y%d, Y%d", r, r, r)
		}
		if l.name != "peakAVX2" {
			f.op("VPXORQ Z30, Z30, Z30")
			f.op("VPXORQ Z31, Z31, Z31")
		}
		for i := range l.accumulators {
			f.op(l.clear, i, i, i)
		}
		loop := f.label("loop")
		f.mark(loop)
		for i := range l.accumulators {
			l.multiply(i)
		}
		f.op("DECQ CX")
		f.op("JNZ %s", loop)
		f.ret()
	}
}
