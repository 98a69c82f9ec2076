package main

// gradWeights turns scores and do v' of attention's backward pass, keys down and
// queries across, into weights p and their gradient ds = p (dp - delta) scale
// (https://arxiv.org/abs/2205.14135, algorithm 4), all in bfloat16. A panel is 32
// queries: scores come in the order of FlashKey, weights go in their own.

const (
	gradRow   = 4*256 + 64 // bytes from key to key: 128 queries, off a power of two
	gradBias  = 0          // of a panel's rows: weightOne + weightRound - 512 log2(e) lse,
	gradDelta = 128        // -scale delta,
	gradSeen  = 256        // and the keys that each query sees
	gradPanel = 384
	zBias     = 16
	zDelta    = 18
	zSeen     = 20
	zScale    = 22
	zOrder    = 23
	zKey      = 24
	zOne      = 25
	zZero     = 26
	zFirst    = 27 // of two registers of pairs, 16 queries in their own order
	zSecond   = 28
)

func emitGradWeights(f *file) {
	fr := f.function("gradWeights", "makes p and ds, rows of 32 words of keys by panels of 32 queries blockBytes apart, and pairs, the same ds as words of two keys, pairsStep apart.",
		[]arg{{"s", "unsafe.Pointer"}, {"dp", "unsafe.Pointer"}, {"p", "unsafe.Pointer"}, {"ds", "unsafe.Pointer"}, {"pairs", "unsafe.Pointer"}, {"rows", "unsafe.Pointer"}, {"panels", "int"}, {"keyPairs", "int"}, {"blockBytes", "int"}, {"pairsStep", "int"}, {"key", "int"}, {"log", "float32"}, {"scale", "float32"}}, nil)
	for _, m := range [][2]string{{"s", "SI"}, {"dp", "DX"}, {"p", "R8"}, {"ds", "R9"}, {"pairs", "R10"}, {"rows", "R11"}, {"panels", "R12"}, {"blockBytes", "R13"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.gradConstants(fr)
	panel, pair := f.label("panel"), f.label("pair")
	f.mark(panel)
	f.gradQueries(fr)
	f.op("MOVQ %s, CX", fr.slot("keyPairs"))
	f.op("MOVQ SI, AX")
	f.op("MOVQ DX, BX")
	f.op("MOVQ R8, DI")
	f.op("MOVQ R9, R14")
	f.op("MOVQ R10, R15")
	f.mark(pair)
	for r := range 2 {
		f.gradRow(gradPlaces{"AX", r * gradRow, "BX", r * gradRow, "DI", "R14", 64 * r}, 6+r)
	}
	f.pairRows("R15", 0)
	f.op("ADDQ $%d, AX", 2*gradRow)
	f.op("ADDQ $%d, BX", 2*gradRow)
	f.op("ADDQ $128, DI")
	f.op("ADDQ $128, R14")
	f.op("ADDQ $%d, R15", panelStride)
	f.op("DECQ CX")
	f.op("JNZ %s", pair)
	f.op("ADDQ $128, SI")
	f.op("ADDQ $128, DX")
	f.op("ADDQ R13, R8")
	f.op("ADDQ R13, R9")
	f.op("ADDQ %s, R10", fr.slot("pairsStep"))
	f.op("ADDQ $%d, R11", gradPanel)
	f.op("DECQ R12")
	f.op("JNZ %s", panel)
	f.ret()
	emitGradStrips(f)
	for _, d := range []int{64, 128} {
		gradScores{f, d}.panels()
	}
}

func (f *file) gradConstants(fr frame) {
	f.op("VBROADCASTSS %s, Z%d", fr.slot("log"), zLog)
	f.op("VBROADCASTSS %s, Z%d", fr.slot("scale"), zScale)
	flash{file: f}.constants()
	f.op("VMOVUPS %s, Z%d", f.dwords("two_halves", func(i int) uint32 {
		word := func(q int) uint32 { return uint32(q/8*4 + q%4 + q%8/4*16) }
		return word(2*i) | word(2*i+1)<<16
	}), zOrder)
	f.op("VPBROADCASTD %s, Z%d", f.dwords("one", func(int) uint32 { return 1 }), zOne)
	f.op("VPXORQ Z%d, Z%d, Z%d", zZero, zZero, zZero)
	for half := range 2 {
		f.op("VMOVUPS %s, Z%d", f.dwords([]string{"first_pairs", "second_pairs"}[half], func(i int) uint32 {
			q := 16*half + i
			return uint32(q/8*4 + q%4 + q%8/4*16)
		}), zFirst+half)
	}
}

// gradQueries takes what R11 points to, of a panel's queries.
func (f *file) gradQueries(fr frame) {
	for i := range 2 {
		f.op("VMOVUPS %d(R11), Z%d", gradBias+64*i, zBias+i)
		f.op("VMOVUPS %d(R11), Z%d", gradDelta+64*i, zDelta+i)
		f.op("VMOVUPS %d(R11), Z%d", gradSeen+64*i, zSeen+i)
	}
	f.op("VPBROADCASTD %s, Z%d", fr.slot("key"), zKey)
}

// emitGradStrips writes what amxTall does for a list of strips, so that the tiles
// are set up once for all of them.
func emitGradStrips(f *file) {
	fr := f.function("gradStrips", "is c = a b, or c += a b, on AMX tiles for n strips of 32 rows, package kern's GradStrip.",
		[]arg{{"config", "unsafe.Pointer"}, {"list", "unsafe.Pointer"}, {"n", "int"}}, nil)
	f.op("MOVQ %s, AX", fr.slot("config"))
	f.op("MOVQ %s, R14", fr.slot("list"))
	f.op("MOVQ %s, R15", fr.slot("n"))
	f.loadConfig("AX")
	f.strips()
	f.releaseTiles()
	f.back()
}

// strips does the R15 strips of the list at R14, one at least.
func (f *file) strips() {
	const stripSteps, stripA, stripB, stripBStep, stripC, stripLDC, stripPanels, stripAdd, stripSize = 0, 8, 16, 24, 32, 40, 48, 56, 64
	f.op("MOVQ $%d, R8", amxBytes)
	f.op("MOVQ $%d, R10", panelStride)
	strip, panel, fresh, loop, begin := f.label("strip"), f.label("panel"), f.label("fresh"), f.label("step"), f.label("begin")
	f.mark(strip)
	for _, m := range []struct {
		field    int
		register string
	}{{stripA, "R11"}, {stripB, "R12"}, {stripC, "DX"}, {stripLDC, "BX"}, {stripPanels, "R13"}} {
		f.op("MOVQ %d(R14), %s", m.field, m.register)
	}
	f.op("MOVQ BX, R9")
	f.op("SHLQ $4, R9")
	f.mark(panel)
	f.op("MOVQ R11, SI")
	f.op("MOVQ R12, DI")
	f.op("MOVQ %d(R14), CX", stripSteps)
	f.op("LEAQ (DX)(R9*1), AX") // row 16 of c
	f.op("CMPQ %d(R14), $0", stripAdd)
	f.op("JEQ %s", fresh)
	f.amxCorners(2, func(t int, base string, at int) { f.loadTile(base, "BX", at, t) })
	f.op("JMP %s", begin)
	f.mark(fresh)
	f.amxCorners(2, func(t int, _ string, _ int) { f.zeroTile(t) })
	f.mark(begin)
	f.mark(loop)
	f.loadTile("DI", "R10", 0, 6)
	f.loadTile("SI", "R8", 0, 4)
	f.loadTile("DI", "R10", 64, 7)
	f.dotTiles(4, 6, 0)
	f.loadTile("SI", "R8", amxRows*amxBytes, 5)
	f.dotTiles(4, 7, 1)
	f.dotTiles(5, 6, 2)
	f.dotTiles(5, 7, 3)
	f.op("ADDQ $%d, SI", 2*amxRows*amxBytes)
	f.op("ADDQ $%d, DI", amxRows*panelStride)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.amxCorners(2, func(t int, base string, at int) { f.storeTileAt(t, base, "BX", at) })
	f.op("ADDQ $%d, DX", panelStride)
	f.op("ADDQ %d(R14), R12", stripBStep)
	f.op("DECQ R13")
	f.op("JNZ %s", panel)
	f.op("ADDQ $%d, R14", stripSize)
	f.op("DECQ R15")
	f.op("JNZ %s", strip)
}

// gradPlaces is where a key's row of scores, of do v', of p and of ds lies.
type gradPlaces struct {
	scores string
	at     int
	dp     string
	dpAt   int
	p, ds  string
	to     int
}

// gradRow is a key's row, whose ds it leaves in a register.
func (f *file) gradRow(x gradPlaces, ds int) {
	for i := range 2 {
		f.op("VPCMPD $6, Z%d, Z%d, K%d", zKey, zSeen+i, 2+i) // seen > key
		f.op("VMOVUPS %d(%s), Z%d", x.at+64*i, x.scores, i)
		f.op("VFMADD213PS Z%d, Z%d, Z%d", zBias+i, zLog, i)
		f.op("VCVTPS2DQ.Z Z%d, K%d, Z%d", i, 2+i, i)
	}
	f.op("VPADDD Z%d, Z%d, Z%d", zOne, zKey, zKey)
	f.op("VPACKUSDW Z1, Z0, Z0")
	f.op("VPSRLW $3, Z0, Z1")
	f.op("VPERMB.Z Z%d, Z1, K1, Z1", zTable)
	f.op("VPSUBUSW Z1, Z0, Z0")
	f.op("VPSRLW $2, Z0, Z0")
	f.op("VMOVUPS Z0, %d(%s)", x.to, x.p)
	// Back to float32, in the order of the scores.
	f.op("VPUNPCKLWD Z0, Z%d, Z1", zZero)
	f.op("VPUNPCKHWD Z0, Z%d, Z2", zZero)
	for i := range 2 {
		f.op("VMOVUPS %d(%s), Z%d", x.dpAt+64*i, x.dp, 3+i)
		f.op("VFMADD213PS Z%d, Z%d, Z%d", zDelta+i, zScale, 3+i)
		f.op("VMULPS.Z Z%d, Z%d, K%d, Z%d", 1+i, 3+i, 2+i, 3+i)
	}
	f.convertTwo(3, 4, 5)
	f.op("VPERMW Z5, Z%d, Z%d", zOrder, ds)
	f.op("VMOVUPS Z%d, %d(%s)", ds, x.to, x.ds)
}

// pairRows writes the ds of two keys, in registers 6 and 7, as pairs.
func (f *file) pairRows(to string, at int) {
	f.op("VPUNPCKLWD Z7, Z6, Z0")
	f.op("VPUNPCKHWD Z7, Z6, Z2")
	f.op("VMOVAPS Z0, Z1")
	f.op("VPERMT2D Z2, Z%d, Z0", zFirst)
	f.op("VPERMT2D Z2, Z%d, Z1", zSecond)
	f.op("VMOVUPS Z0, %d(%s)", at, to)
	f.op("VMOVUPS Z1, %d(%s)", at+64, to)
}
