package main

import "fmt"

// A sweep takes a panel of a over several panels of b, and a low-rank product with
// it: where K is short, a call for each tile, the sums' way to c and back between the
// two products and rows of c that come too late are a twentieth of the time. The
// low-rank sums come first and wait in work, so that each element has the bits of a
// tile and then another that adds to it.

// sweepRows are the heights of panels that an x of 169 rows or more has.
var sweepRows = []int{rows512 - 1, rows512}

// sweepAhead is how far a sweep reads ahead in b: from the second cache to the first.
const sweepAhead = 2 << 10

var sweepArgs = []arg{
	{"k", "int"}, {"a", "unsafe.Pointer"}, {"b", "unsafe.Pointer"}, {"bStep", "int"},
	{"lowK", "int"}, {"lowA", "unsafe.Pointer"}, {"lowB", "unsafe.Pointer"}, {"lowStep", "int"},
	{"c", "unsafe.Pointer"}, {"ldc", "int"}, {"panels", "int"}, {"alpha", "float32"}, {"add", "int"},
	{"half", "int"}, {"behind", "int"}, {"work", "unsafe.Pointer"}, {"every", "int"}, {"next", "unsafe.Pointer"}, {"nextLeft", "int"}, {"then", "unsafe.Pointer"},
}

func emitSweeps(f *file) {
	for _, mr := range sweepRows {
		sweep{f, mr, false, func(b, a, c int) { f.op("VFMADD231PS Z%d, Z%d, Z%d", b, a, c) }}.packed(fmt.Sprintf("sweepF32x%d", mr))
	}
	for _, mr := range sweepRows {
		sweep{f, mr, true, f.dotPairs}.packed(fmt.Sprintf("sweepBF16x%d", mr))
	}
	for _, mr := range sweepRows {
		sweep{f, mr, true, f.dotPairs}.plain(fmt.Sprintf("sweepRowsBF16x%d", mr))
	}
}

// sweep has the accumulators of row i in Z(2i) and Z(2i+1). Where rounds says so it can
// write them as bfloat16.
type sweep struct {
	*file
	mr       int
	rounds   bool
	multiply func(b, a, c int)
}

// packed takes a panel of a.
func (f sweep) packed(name string) {
	fr := f.function(name, fmt.Sprintf("is c = alpha (a b + lowA lowB), or c += that if add is not 0, for %d rows and so many panels of b. If half is not 0, c is bfloat16 and add 0; if behind is not, what lies so many bytes behind c is added to all of that.", f.mr), sweepArgs, nil)
	f.panels(fr, func() {}, f.step, func(words int) { f.op("ADDQ $%d, SI", 4*f.mr*words) })
}

// plain takes rows of a where they lie. The first seven go by SI, the others by AX.
func (f sweep) plain(name string) {
	args := append(append([]arg{}, sweepArgs...), arg{"aRow", "int"})
	fr := f.function(name, fmt.Sprintf("is sweepBF16x%d for plain rows of a, aRow bytes apart.", f.mr), args, nil)
	f.op("MOVQ %s, R10", fr.slot("aRow"))
	f.sevenRows()
	f.panels(fr, func() {
		f.op("LEAQ (SI)(R13*1), AX")
		f.op("LEAQ (AX)(R10*2), AX")
	}, func(s int) {
		for row := s; row < f.mr; row += tileUnroll {
			f.op("PREFETCHT0 %s", rowFrom([]string{"SI", "AX"}[row/7], row%7, rowsAhead/4))
		}
		f.stepOf(f.mr, s, f.multiply, func(row int) string { return rowFrom([]string{"SI", "AX"}[row/7], row%7, s).String() })
	}, func(words int) {
		f.op("ADDQ $%d, SI", 4*words)
		f.op("ADDQ $%d, AX", 4*words)
	})
}

// rowsAhead is how far ahead of its words a row is brought into the first cache.
const rowsAhead = 192

// sevenRows makes 3 and 5 times R10, with which seven rows have a base.
func (f *file) sevenRows() {
	f.op("LEAQ (R10)(R10*2), R11")
	f.op("LEAQ (R10)(R10*4), R13")
}

// rowFrom is where word s lies of a row from base on.
func rowFrom(base string, row, s int) place {
	at := [7]place{{}, {index: "R10", times: 1}, {index: "R10", times: 2}, {index: "R11", times: 1}, {index: "R10", times: 4}, {index: "R13", times: 1}, {index: "R11", times: 2}}[row]
	at.disp, at.base = 4*s, base
	return at
}

func (f sweep) step(s int) { step512(f.file, f.mr, s, f.multiply) }

// panels takes the panels of b. begin follows when a is in SI, step is a word of a, and
// onward goes on in it.
func (f sweep) panels(fr frame, begin func(), step, onward func(int)) {
	for _, m := range [][2]string{{"b", "R12"}, {"c", "DX"}, {"ldc", "BX"}, {"behind", "R14"}, {"next", "R9"}, {"every", "R15"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	panel, whole := f.label("panel"), f.label("whole")
	f.mark(panel)
	f.clearSums(2 * f.mr)
	f.op("MOVQ %s, CX", fr.slot("lowK"))
	f.op("TESTQ CX, CX")
	f.op("JEQ %s", whole)
	f.low(fr)
	f.clearSums(2 * f.mr)
	f.mark(whole)
	f.op("MOVQ %s, CX", fr.slot("k"))
	f.op("MOVQ %s, SI", fr.slot("a"))
	begin()
	f.op("MOVQ R12, DI")
	f.op("MOVQ DX, R8")
	// R15 is the words from a row of c to the next, less those of a round.
	f.wordLoop(tileUnroll, nextLine, "R15", f.bringBoth, func(s int) {
		f.op("PREFETCHT0 %d(DI)", panelStride*s+sweepAhead)
		f.op("PREFETCHT0 %d(DI)", panelStride*s+64+sweepAhead)
		step(s)
	}, onward)
	f.store(fr)
	f.op("ADDQ %s, R12", fr.slot("bStep"))
	f.next(fr)
	f.op("DECQ %s", fr.slot("panels"))
	f.op("JNZ %s", panel)
	f.ret()
}

// low leaves the low-rank sums of a panel in work.
func (f sweep) low(fr frame) {
	word := f.label("word")
	f.op("MOVQ %s, SI", fr.slot("lowA"))
	f.op("MOVQ %s, DI", fr.slot("lowB"))
	f.op("MOVQ DI, R8")
	f.op("ADDQ %s, R8", fr.slot("lowStep"))
	f.op("MOVQ R8, %s", fr.slot("lowB"))
	f.op("MOVQ %s, R8", fr.slot("work"))
	f.op("PCALIGN $64")
	f.mark(word)
	f.step(0)
	f.op("ADDQ $%d, DI", panelStride)
	f.op("ADDQ $%d, SI", 4*f.mr)
	f.op("DECQ CX")
	f.op("JNZ %s", word)
	for i := range 2 * f.mr {
		f.op("VMOVUPS Z%d, %d(R8)", i, 64*i)
	}
}

// store writes a panel's rows of c and goes on to the next panel's.
func (f sweep) store(fr frame) {
	add, low, store, wide, done := f.label("add"), f.label("low"), f.label("store"), f.label("wide"), f.label("stored")
	f.op("MOVQ DX, R8")
	f.op("VBROADCASTSS %s, Z31", fr.slot("alpha"))
	f.op("CMPQ %s, $0", fr.slot("add"))
	f.op("JNE %s", add)
	f.op("CMPL %s, $0x%08x", fr.slot("alpha"), floatBits(1))
	f.op("JEQ %s", low)
	for i := range 2 * f.mr {
		f.op("VMULPS Z31, Z%d, Z%d", i, i)
	}
	f.op("JMP %s", low)
	f.mark(add)
	for i := range f.mr {
		f.op("VFMADD213PS (R8), Z31, Z%d", 2*i)
		f.op("VFMADD213PS 64(R8), Z31, Z%d", 2*i+1)
		f.op("ADDQ BX, R8")
	}
	f.op("MOVQ DX, R8")
	f.mark(low)
	f.op("CMPQ %s, $0", fr.slot("lowK"))
	f.op("JEQ %s", store)
	f.op("MOVQ %s, AX", fr.slot("work"))
	for i := range 2 * f.mr {
		f.op("VFMADD231PS %d(AX), Z31, Z%d", 64*i, i)
	}
	f.mark(store)
	f.behind()
	if f.rounds {
		f.op("CMPQ %s, $0", fr.slot("half"))
		f.op("JEQ %s", wide)
		for i := range f.mr {
			f.convertTwo(2*i, 2*i+1, 2*i)
			f.op("VMOVDQU64 Z%d, (R8)", 2*i)
			f.op("ADDQ BX, R8")
		}
		f.op("ADDQ $%d, DX", panelStride/2)
		f.op("JMP %s", done)
		f.mark(wide)
	}
	for i := range f.mr {
		f.op("VMOVUPS Z%d, (R8)", 2*i)
		f.op("VMOVUPS Z%d, 64(R8)", 2*i+1)
		f.op("ADDQ BX, R8")
	}
	f.op("ADDQ $%d, DX", panelStride)
	f.mark(done)
}

// bringBoth brings in the row of c at R8 and what lies behind it.
func (f sweep) bringBoth() {
	f.bringRow()
	f.op("PREFETCHT0 (R8)(R14*1)")
	f.op("PREFETCHT0 64(R8)(R14*1)")
}

// behind adds what lies behind c, which is in R8.
func (f sweep) behind() {
	none := f.label("none")
	f.op("TESTQ R14, R14")
	f.op("JEQ %s", none)
	f.op("LEAQ (R8)(R14*1), AX")
	for i := range f.mr {
		f.op("VADDPS (AX), Z%d, Z%[1]d", 2*i)
		f.op("VADDPS 64(AX), Z%d, Z%[1]d", 2*i+1)
		f.op("ADDQ BX, AX")
	}
	f.mark(none)
}

// next turns to what comes behind the next panel of a, once that is brought in.
func (f sweep) next(fr frame) {
	same := f.label("same")
	f.op("DECQ %s", fr.slot("nextLeft"))
	f.op("JNE %s", same)
	f.op("MOVQ %s, R9", fr.slot("then"))
	f.mark(same)
}
