package main

import "fmt"

// gradScores is gradWeights with its scores: while the tiles multiply those of a panel of
// queries, the weights of the panel before are made. Two panels' scores take turns, few
// enough to stay in the first cache. A row of them is a key's: 32 of s and behind them 32
// of dp.
type gradScores struct {
	*file
	d int // columns of a head
}

const (
	partStride = 256
	partBytes  = flashRows * partStride
)

// Registers: SI the scores of this panel, DX of the next; AX and BX k and v; CX and DI the next
// panel's q and do; R8 and R9 p and ds, R10 pairs, R11 the panel's rows, R12 the panels left;
// R13 to R15 distances of rows.
func (f gradScores) panels() {
	fr := f.function(fmt.Sprintf("gradScores%d", f.d), fmt.Sprintf("is gradWeights for 32 keys and heads of %d columns with the products before it: s = k q' and dp = v do'. Before all it does n strips as gradStrips does.", f.d),
		[]arg{{"config", "unsafe.Pointer"}, {"list", "unsafe.Pointer"}, {"n", "int"}, {"k", "unsafe.Pointer"}, {"v", "unsafe.Pointer"}, {"q", "unsafe.Pointer"}, {"do", "unsafe.Pointer"}, {"work", "unsafe.Pointer"}, {"p", "unsafe.Pointer"}, {"ds", "unsafe.Pointer"}, {"pairs", "unsafe.Pointer"}, {"rows", "unsafe.Pointer"}, {"panels", "int"}, {"pairsStep", "int"}, {"key", "int"}, {"log", "float32"}, {"scale", "float32"}}, nil)
	f.op("MOVQ %s, AX", fr.slot("config"))
	f.loadConfig("AX")
	none := f.label("none")
	f.op("MOVQ %s, R14", fr.slot("list"))
	f.op("MOVQ %s, R15", fr.slot("n"))
	f.op("TESTQ R15, R15")
	f.op("JEQ %s", none)
	f.strips()
	f.mark(none)
	f.gradConstants(fr)
	for _, m := range [][2]string{{"k", "AX"}, {"v", "BX"}, {"q", "CX"}, {"do", "DI"}, {"work", "SI"}, {"p", "R8"}, {"ds", "R9"}, {"pairs", "R10"}, {"rows", "R11"}, {"panels", "R12"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("LEAQ %d(SI), DX", partBytes)
	for _, m := range []struct {
		stride   int
		register string
	}{{amxBytes, "R13"}, {panelStride, "R14"}, {partStride, "R15"}} {
		f.op("MOVQ $%d, %s", m.stride, m.register)
	}
	panel, last, pair := f.label("panel"), f.label("last"), f.label("pair")
	first := weave{file: f.file}
	first.through(f.products())
	f.onward()
	f.mark(panel)
	f.gradQueries(fr)
	f.op("DECQ R12")
	f.op("JEQ %s", last)
	w := weave{file: f.file, weights: flashRows / 2, weigh: f.pair}
	w.through(f.products())
	f.onward()
	f.op("ADDQ $%d, R8", flashRows*amxBytes)
	f.op("ADDQ $%d, R9", flashRows*amxBytes)
	f.op("ADDQ %s, R10", fr.slot("pairsStep"))
	f.op("ADDQ $%d, R11", gradPanel)
	f.op("JMP %s", panel)
	f.mark(last)
	f.releaseTiles()
	f.op("MOVQ $%d, CX", flashRows/2)
	f.mark(pair)
	f.pair(0)
	f.op("ADDQ $%d, SI", 2*partStride)
	f.op("ADDQ $%d, R8", 2*amxBytes)
	f.op("ADDQ $%d, R9", 2*amxBytes)
	f.op("ADDQ $%d, R10", panelStride)
	f.op("DECQ CX")
	f.op("JNZ %s", pair)
	f.ret()
}

// onward makes the next panel this one.
func (f gradScores) onward() {
	f.op("XCHGQ SI, DX")
	f.op("ADDQ $%d, CX", f.d/2*panelStride)
	f.op("ADDQ $%d, DI", f.d/2*panelStride)
}

// pair makes the weights of a pair of keys.
func (f gradScores) pair(i int) {
	for r := range 2 {
		row := (2*i + r) * partStride
		f.gradRow(gradPlaces{"SI", row, "SI", row + partStride/2, "R8", "R9", (2*i + r) * amxBytes}, 6+r)
	}
	f.pairRows("R10", i*panelStride)
}

func (f gradScores) products() []product {
	return []product{f.product("AX", "CX", 0), f.product("BX", "DI", partStride/2)}
}

// product multiplies keys and a panel of queries.
func (f gradScores) product(keys, queries string, part int) product {
	return product{
		steps: f.d / 32, cols: 2,
		fill: func(_, t int) { f.zeroTile(t) },
		keep: func(corner, t int) {
			f.storeTileAt(t, "DX", "R15", part+corner/2*amxRows*partStride+corner%2*64)
		},
		loadA: func(s, half, t int) { f.loadTile(keys, "R13", (2*s+half)*amxRows*amxBytes, t) },
		loadB: func(s, col, t int) { f.loadTile(queries, "R14", s*amxRows*panelStride+64*col, t) },
	}
}
