package main

import "fmt"

// NEON has 32 vectors of four float32: a tile is 8 rows high and goes over its
// 32 columns in strips of 12, 12 and 8, each with all of K. Vectors 0 and 1 are
// a's, 2 to 4 b's, 8 to 31 the accumulators.

const (
	rowsNEON  = 8
	accNEON   = 8
	laneNEON  = 4
	bytesNEON = 4 * laneNEON
)

var stripsNEON = []struct{ col, vectors int }{{0, 3}, {12, 3}, {24, 2}}

func emitNEON(f *file) {
	for mr := 1; mr <= rowsNEON; mr++ {
		tileNEON(f, mr)
	}
	widenNEON(f)
	peakNEON(f)
}

// Go's assembler has no products by element: these write them as words (Arm's
// Architecture Reference Manual, FMLA and FMUL (by element), single precision).
func (f *file) byElement(name string, opcode, m, element, n, d int) {
	word := opcode | (element&1)<<21 | m<<16 | (element>>1)<<11 | n<<5 | d
	f.op("WORD $0x%08x // %s V%d.S[%d], V%d.S4, V%d.S4", word, name, m, element, n, d)
}

// mulAddElement is d += n * m[element].
func (f *file) mulAddElement(m, element, n, d int) {
	f.byElement("FMLA", 0x4f801000, m, element, n, d)
}

// mulElement is d = n * m[element].
func (f *file) mulElement(m, element, n, d int) {
	f.byElement("FMUL", 0x4f809000, m, element, n, d)
}

func tileNEON(f *file, mr int) {
	fr := f.function(fmt.Sprintf("tileNEONx%d", mr), fmt.Sprintf("is a tile of %d rows with NEON.", mr), tileArgs, nil)
	f.op("MOVD %s, R4", fr.slot("ldc"))
	f.op("MOVD %s, R6", fr.slot("add"))
	for _, s := range stripsNEON {
		f.op("MOVD %s, R0", fr.slot("k"))
		f.op("MOVD %s, R1", fr.slot("a"))
		f.op("MOVD %s, R2", fr.slot("b"))
		f.op("ADD $%d, R2", 4*s.col)
		f.beginNEON(fr, mr, s.col, s.vectors)
		loop, sums := f.label("word"), f.label("sums")
		f.op("CBZ R0, %s", sums)
		f.mark(loop)
		for i := range (mr + laneNEON - 1) / laneNEON {
			f.op("FMOVQ %d(R1), F%d", bytesNEON*i, i) // may read past the panel, into its slack
		}
		for j := range s.vectors {
			f.op("FMOVQ %d(R2), F%d", bytesNEON*j, 2+j)
		}
		f.op("ADD $%d, R1", 4*mr)
		f.op("ADD $%d, R2", panelStride)
		for i := range mr {
			for j := range s.vectors {
				f.mulAddElement(i/laneNEON, i%laneNEON, 2+j, accNEON+i*s.vectors+j)
			}
		}
		f.op("SUBS $1, R0, R0")
		f.op("BNE %s", loop)
		f.mark(sums)
		f.storeNEON(fr, mr, s.col, s.vectors)
	}
	f.op("RET")
}

// beginNEON sets a strip's accumulators to 0, or to c where add is onward.
func (f *file) beginNEON(fr frame, mr, col, vectors int) {
	fresh, begun := f.label("zeros"), f.label("begun")
	f.op("CMP $%d, R6", onward)
	f.op("BNE %s", fresh)
	f.op("MOVD %s, R7", fr.slot("c"))
	f.op("ADD $%d, R7", 4*col)
	for i := range mr {
		for j := range vectors {
			f.op("FMOVQ %d(R7), F%d", bytesNEON*j, accNEON+i*vectors+j)
		}
		f.op("ADD R4, R7")
	}
	f.op("B %s", begun)
	f.mark(fresh)
	for i := range mr * vectors {
		v := accNEON + i
		f.op("VEOR V%d.B16, V%d.B16, V%d.B16", v, v, v)
	}
	f.mark(begun)
}

// storeNEON writes a strip of c.
func (f *file) storeNEON(fr frame, mr, col, vectors int) {
	fresh, done := f.label("fresh"), f.label("done")
	f.op("FMOVS %s, F0", fr.slot("alpha"))
	f.op("MOVD %s, R7", fr.slot("c"))
	f.op("ADD $%d, R7", 4*col)
	f.op("CMP $0, R6")
	f.op("BLE %s", fresh)
	rows := func(one func(acc, at int)) {
		for i := range mr {
			for j := range vectors {
				one(accNEON+i*vectors+j, bytesNEON*j)
			}
			f.op("ADD R4, R7")
		}
	}
	rows(func(acc, at int) {
		f.op("FMOVQ %d(R7), F1", at)
		f.mulAddElement(0, 0, acc, 1)
		f.op("FMOVQ F1, %d(R7)", at)
	})
	f.op("B %s", done)
	f.mark(fresh)
	rows(func(acc, at int) {
		f.mulElement(0, 0, acc, 1)
		f.op("FMOVQ F1, %d(R7)", at)
	})
	f.mark(done)
}

// widenNEON is widenPanel.
func widenNEON(f *file) {
	fr := f.function("widenNEON", "turns n rows of 32 pairs of bfloat16 into 2n rows of 32 float32.", []arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}}, nil)
	f.op("MOVD %s, R0", fr.slot("dst"))
	f.op("MOVD %s, R1", fr.slot("src"))
	f.op("MOVD %s, R2", fr.slot("n"))
	f.op("MOVD $0xffff0000, R3")
	f.op("VDUP R3, V2.S4")
	loop, done := f.label("row"), f.label("done")
	f.op("CBZ R2, %s", done)
	f.mark(loop)
	for at := 0; at < panelStride; at += bytesNEON {
		f.op("FMOVQ %d(R1), F0", at)
		f.op("VSHL $16, V0.S4, V1.S4")
		f.op("VAND V0.B16, V2.B16, V3.B16")
		f.op("FMOVQ F1, %d(R0)", at)
		f.op("FMOVQ F3, %d(R0)", panelStride+at)
	}
	f.op("ADD $%d, R1", panelStride)
	f.op("ADD $%d, R0", 2*panelStride)
	f.op("SUBS $1, R2, R2")
	f.op("BNE %s", loop)
	f.mark(done)
	f.op("RET")
}

// peakNEON is the rate of FMLA in registers alone.
func peakNEON(f *file) {
	const accumulators = 24
	fr := f.function("peakNEON", fmt.Sprintf("runs n rounds of %d FMLA of four float32.", accumulators), []arg{{"n", "int"}}, nil)
	f.op("MOVD %s, R0", fr.slot("n"))
	loop := f.label("loop")
	f.mark(loop)
	for i := range accumulators {
		f.mulAddElement(0, i%laneNEON, 1, accNEON+i)
	}
	f.op("SUBS $1, R0, R0")
	f.op("BNE %s", loop)
	f.op("RET")
}
