package main

import "fmt"

// isa is a width of registers: what differs between AVX2 and AVX-512 where one
// description serves both.
type isa struct {
	name  string // suffix of function names
	reg   string // register prefix
	width int    // words of 32 bits in a register
}

var (
	avx512 = isa{"AVX512", "Z", 16}
	avx2   = isa{"AVX2", "Y", 8}
)

func (v isa) r(i int) string { return fmt.Sprintf("%s%d", v.reg, i) }

func (v isa) bytes() int { return 4 * v.width }

// Register numbers of the transposition: rows lie in 0 to width-1.

func emitPacks(f *file) {
	for _, v := range []isa{avx512, avx2} {
		transposeRows(f, v)
		copyColumns(f, v)
		copyPanels(f, v)
		widenPanel(f, v)
		flipWords(f, v)
		flipWiden(f, v)
	}
	transposeConvert(f)
	copyColumnsBF16(f)
	flipPairs(f)
}

var rowsArgs = []arg{{"dst", "unsafe.Pointer"}, {"rows", "unsafe.Pointer"}, {"n", "int"}, {"stride", "int"}}

func loadRowsArgs(f *file, fr frame) {
	for _, m := range [][2]string{{"dst", "DI"}, {"rows", "R8"}, {"n", "CX"}, {"stride", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("XORQ AX, AX")
}

// transposeRows writes column k of the rows at dst+k*stride.
func transposeRows(f *file, v isa) {
	doc := fmt.Sprintf("writes word k of %d rows, whose addresses rows lists, at dst+k*stride for k < n.", v.width)
	fr := f.function("transpose"+v.name, doc, rowsArgs, nil)
	loadRowsArgs(f, fr)
	f.packAhead()
	loop, done := f.label("block"), f.label("done")
	f.mark(loop)
	f.tailMask(v, "CX", v.width, 1)
	f.op("LEAQ (DI)(R13*1), R12")
	for i := range v.width {
		f.op("MOVQ %d(R8), R9", 8*i)
		f.prefetchRow(v)
		f.ownRow()
		f.maskedLoad(v, "(R9)(AX*1)", i, 1)
	}
	f.storeColumns(f.transpose(v), v, "R10", "CX", done)
	f.op("ADDQ $%d, AX", v.bytes())
	f.op("JMP %s", loop)
	f.mark(done)
	f.ret()
}

// rowAhead is how far ahead of its words a row is brought in.
const rowAhead = 512

// prefetchRow brings in a step of the row in R9. Rows a power of two apart
// push each other out of the cache that the machine's own prefetch fills: out of all
// of the first cache of 8 ways of processors with AVX2 alone.
func (f *file) prefetchRow(v isa) {
	into := "PREFETCHT0"
	if v == avx2 {
		into = "PREFETCHT1"
	}
	f.op("%s %d(R9)(AX*1)", into, rowAhead)
}

// packAhead sets R13 to how far before it is written the place of a row of a panel
// comes into the first cache, 32 rows: a line that is written in parts has to be there
// first.
func (f *file) packAhead() {
	f.op("MOVQ R10, R13")
	f.op("SHLQ $5, R13")
}

// ownRow brings in the place of a row, in R12, to be written. Go's assembler
// does not know PREFETCHW.
func (f *file) ownRow() {
	f.op("LONG $0x0c0d0f41; BYTE $0x24 // PREFETCHW (R12)")
	f.op("ADDQ R10, R12")
}

// storeColumns writes one register after the other and leaves when the counter
// is at 0; a last column ends in a jump as well, where nothing is left.
func (f *file) storeColumns(columns []int, v isa, stride, counter, done string) {
	for _, c := range columns {
		f.op("VMOVUPS %s, (DI)", v.r(c))
		f.op("ADDQ %s, DI", stride)
		f.op("DECQ %s", counter)
		f.op("JEQ %s", done)
	}
}

// maskRegister is where AVX2 keeps a mask; AVX-512 has registers for that.
const maskRegister = 15

// tailMask makes mask register k select the first counter of width words.
func (f *file) tailMask(v isa, counter string, width, k int) {
	full, set := f.label("full"), f.label("masked")
	if v == avx2 {
		sliding := f.dwords("sliding", func(i int) uint32 {
			if i < 8 {
				return 0xffffffff
			}
			return 0
		})
		f.op("XORQ R11, R11")
		f.op("CMPQ %s, $8", counter)
		f.op("JGE %s", full)
		f.op("MOVQ $8, R11")
		f.op("SUBQ %s, R11", counter)
		f.mark(full)
		f.op("LEAQ %s, R12", sliding)
		f.op("VMOVUPS (R12)(R11*4), Y%d", maskRegister)
		return
	}
	f.op("MOVQ $0x%x, R11", uint64(1)<<width-1)
	f.op("CMPQ %s, $%d", counter, width)
	f.op("JGE %s", set)
	f.op("BZHIQ %s, R11, R11", counter)
	f.mark(set)
	f.op("KMOVQ R11, K%d", k)
}

func (f *file) maskedLoad(v isa, mem string, reg, k int) {
	if v == avx2 {
		f.op("VMASKMOVPS %s, Y%d, Y%d", mem, maskRegister, reg)
		return
	}
	f.op("VMOVUPS.Z %s, K%d, Z%d", mem, k, reg)
}

func (f *file) maskedStore(v isa, reg int, mem string, k int) {
	if v == avx2 {
		f.op("VMASKMOVPS Y%d, Y%d, %s", reg, maskRegister, mem)
		return
	}
	f.op("VMOVUPS Z%d, K%d, %s", reg, k, mem)
}

// transpose turns rows in registers 0 to width-1 and says which register holds
// which column. It uses all registers of AVX-512, 0 to 15 of AVX2.
func (f *file) transpose(v isa) (columns []int) {
	w := v.width
	for i := 0; i < w; i += 2 {
		f.op("VUNPCKLPS %s, %s, %s", v.r(i+1), v.r(i), v.r(w+i))
		f.op("VUNPCKHPS %s, %s, %s", v.r(i+1), v.r(i), v.r(w+i+1))
	}
	// Afterwards lane l of register 4g+j holds column 4l+j of rows 4g to 4g+3.
	for g := 0; g < w; g += 4 {
		for j := range 2 {
			f.op("VUNPCKLPD %s, %s, %s", v.r(w+g+j+2), v.r(w+g+j), v.r(g+2*j))
			f.op("VUNPCKHPD %s, %s, %s", v.r(w+g+j+2), v.r(w+g+j), v.r(g+2*j+1))
		}
	}
	if v == avx2 {
		return f.joinHalves()
	}
	return f.joinQuarters()
}

func (f *file) joinHalves() []int {
	for j := range 4 {
		f.op("VPERM2F128 $0x20, Y%d, Y%d, Y%d", 4+j, j, 8+j)
		f.op("VPERM2F128 $0x31, Y%d, Y%d, Y%d", 4+j, j, 12+j)
	}
	return []int{8, 9, 10, 11, 12, 13, 14, 15}
}

func (f *file) joinQuarters() []int {
	const even, odd = 0x88, 0xdd
	columns := make([]int, 16)
	for j := range 4 {
		at := 16 + 4*j
		for half := range 2 {
			a, b := 8*half+j, 8*half+4+j
			f.op("VSHUFF32X4 $0x%x, Z%d, Z%d, Z%d", even, b, a, at+half)
			f.op("VSHUFF32X4 $0x%x, Z%d, Z%d, Z%d", odd, b, a, at+2+half)
		}
	}
	for j := range 4 {
		at := 16 + 4*j
		for lane, m := range []struct{ imm, from int }{{even, 0}, {even, 2}, {odd, 0}, {odd, 2}} {
			f.op("VSHUFF32X4 $0x%x, Z%d, Z%d, Z%d", m.imm, at+m.from+1, at+m.from, 4*lane+j)
			columns[4*lane+j] = 4*lane + j
		}
	}
	return columns
}

// transposeConvert is transposeRows on float32 rounded to pairs of bfloat16.
func transposeConvert(f *file) {
	fr := f.function("transposeBF16", "writes pair k of 16 float32 rows as bfloat16 at dst+k*stride; n counts float32.", rowsArgs, nil)
	loadRowsArgs(f, fr)
	f.op("MOVQ CX, BX")
	f.op("INCQ BX")
	f.op("SHRQ $1, BX") // pairs left
	f.packAhead()
	loop, done := f.label("block"), f.label("done")
	f.mark(loop)
	f.op("LEAQ (DI)(R13*1), R12")
	f.tailMask(avx512, "CX", 32, 1)
	f.op("KSHIFTRQ $16, K1, K2")
	for i := range 16 {
		f.op("MOVQ %d(R8), R9", 8*i)
		for at := 0; at < 128; at += 64 {
			f.op("PREFETCHT0 %d(R9)(AX*1)", rowAhead+at)
		}
		f.ownRow()
		f.op("VMOVUPS.Z (R9)(AX*1), K1, Z%d", i)
		f.op("VMOVUPS.Z 64(R9)(AX*1), K2, Z16")
		f.convertTwo(i, 16, i)
	}
	f.storeColumns(f.transpose(avx512), avx512, "R10", "BX", done)
	f.op("ADDQ $128, AX")
	f.op("SUBQ $32, CX")
	f.op("JMP %s", loop)
	f.mark(done)
	f.ret()
}

var columnsArgs = []arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"srcStride", "int"}, {"cols", "int"}, {"dstStride", "int"}}

func loadColumnsArgs(f *file, fr frame) {
	for _, m := range [][2]string{{"dst", "DI"}, {"src", "SI"}, {"n", "CX"}, {"srcStride", "R8"}, {"cols", "R9"}, {"dstStride", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
}

// copyColumns copies the first words of n rows; a whole register is stored.
func copyColumns(f *file, v isa) {
	doc := fmt.Sprintf("copies cols of at most %d words of n rows to rows dstStride apart, filled up with zeros.", v.width)
	fr := f.function("columns"+v.name, doc, columnsArgs, nil)
	loadColumnsArgs(f, fr)
	f.tailMask(v, "R9", v.width, 1)
	f.packAhead()
	f.op("LEAQ (DI)(R13*1), R12")
	loop := f.label("row")
	f.mark(loop)
	f.ownRow()
	f.maskedLoad(v, "(SI)", 0, 1)
	f.op("VMOVUPS %s, (DI)", v.r(0))
	f.op("ADDQ R8, SI")
	f.op("ADDQ R10, DI")
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.ret()
}

// copyPanels copies n rows of whole panels. Rows are far apart, so that the machine
// does not foresee them: each brings in the fourth after it, and the place of that. With
// AVX2 it is the eighth, to the second cache, whose task has half the panels.
func copyPanels(f *file, v isa) {
	fr := f.function("panels"+v.name, "copies n rows of 32 words for each of so many panels, dstStep bytes apart.",
		[]arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"srcStride", "int"}, {"panels", "int"}, {"dstStep", "int"}}, nil)
	for _, m := range [][2]string{{"dst", "DI"}, {"src", "SI"}, {"n", "CX"}, {"srcStride", "R8"}, {"panels", "R9"}, {"dstStep", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	rows, into := 4, "PREFETCHT0"
	if v == avx2 {
		rows, into = 8, "PREFETCHT1"
	}
	f.op("LEAQ (R8*%d), R11", rows)
	row, panel := f.label("row"), f.label("panel")
	f.mark(row)
	f.op("MOVQ SI, AX")
	f.op("MOVQ DI, DX")
	f.op("MOVQ R9, BX")
	f.mark(panel)
	for at := 0; at < panelStride; at += 64 {
		f.op("%s %d(AX)(R11*1)", into, at)
		if v == avx512 {
			f.op("BYTE $0x0f; BYTE $0x0d; BYTE $0x8a; LONG $0x%08x // PREFETCHW %d(DX)", 4*panelStride+at, 4*panelStride+at)
		}
	}
	for i := range panelStride / v.bytes() {
		f.op("VMOVUPS %d(AX), %s", i*v.bytes(), v.r(i))
	}
	for i := range panelStride / v.bytes() {
		f.op("VMOVUPS %s, %d(DX)", v.r(i), i*v.bytes())
	}
	f.op("ADDQ $%d, AX", panelStride)
	f.op("ADDQ R10, DX")
	f.op("DECQ BX")
	f.op("JNZ %s", panel)
	f.op("ADDQ R8, SI")
	f.op("ADDQ $%d, DI", panelStride)
	f.op("DECQ CX")
	f.op("JNZ %s", row)
	f.ret()
}

// copyColumnsBF16 joins rows 2k and 2k+1 into pairs; a missing last row is 0.
func copyColumnsBF16(f *file) {
	fr := f.function("columnsBF16", "rounds cols of at most 16 float32 of n rows to bfloat16 and writes rows 2k and 2k+1 as pairs at dst+k*dstStride.", columnsArgs, nil)
	loadColumnsArgs(f, fr)
	f.tailMask(avx512, "R9", 16, 1)
	f.op("VMOVUPS %s, Z3", f.dwords("interleave", func(i int) uint32 { return uint32(i) | uint32(16+i)<<16 }))
	loop, whole, done := f.label("pair"), f.label("whole"), f.label("done")
	f.mark(loop)
	f.op("VMOVUPS.Z (SI), K1, Z0")
	f.op("VPXORQ Z1, Z1, Z1")
	f.op("CMPQ CX, $1")
	f.op("JEQ %s", whole)
	f.op("VMOVUPS.Z (SI)(R8*1), K1, Z1")
	f.mark(whole)
	f.convertTwo(0, 1, 2)
	f.op("VPERMW Z2, Z3, Z2")
	f.op("VMOVUPS Z2, (DI)")
	f.op("LEAQ (SI)(R8*2), SI")
	f.op("ADDQ R10, DI")
	f.op("SUBQ $2, CX")
	f.op("JGT %s", loop)
	f.mark(done)
	f.ret()
}

// widenPanel turns rows of 32 pairs into twice as many rows of 32 float32.
func widenPanel(f *file, v isa) {
	fr := f.function("widen"+v.name, "turns n rows of 32 pairs of bfloat16 into 2n rows of 32 float32.", []arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}}, nil)
	f.op("MOVQ %s, DI", fr.slot("dst"))
	f.op("MOVQ %s, SI", fr.slot("src"))
	f.op("MOVQ %s, CX", fr.slot("n"))
	f.highHalves(v, 15)
	loop := f.label("row")
	f.mark(loop)
	for i := range tileCols / v.width {
		f.op("VMOVUPS %d(SI), %s", i*v.bytes(), v.r(0))
		f.widenPair(v, 0, 1, 15)
		f.op("VMOVUPS %s, %d(DI)", v.r(1), i*v.bytes())
		f.op("VMOVUPS %s, %d(DI)", v.r(0), panelStride+i*v.bytes())
	}
	f.op("ADDQ $%d, SI", panelStride)
	f.op("ADDQ $%d, DI", 2*panelStride)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.ret()
}

// highHalves fills a register with the mask of a pair's second element.
func (f *file) highHalves(v isa, reg int) {
	f.op("VMOVUPS %s, %s", f.dwords("high", func(int) uint32 { return 0xffff0000 }), v.r(reg))
}

// widenPair turns pairs into the first elements, in first, and the second
// elements, in place.
func (f *file) widenPair(v isa, pair, first, mask int) {
	f.op("VPSLLD $16, %s, %s", v.r(pair), v.r(first))
	f.op("VANDPS %s, %s, %s", v.r(pair), v.r(mask), v.r(pair))
}

var flipArgs = []arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"dstStep", "int"}, {"ahead", "int"}}

// flip begins a function that turns n consecutive blocks of a forward panel;
// block writes one from SI to DI. What lies ahead bytes behind a block comes
// into the second cache meanwhile.
func flip(f *file, name, doc string, srcBytes int, block func()) {
	fr := f.function(name, doc, flipArgs, nil)
	for _, m := range [][2]string{{"dst", "DI"}, {"src", "SI"}, {"n", "CX"}, {"dstStep", "R10"}, {"ahead", "R11"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	loop := f.label("block")
	f.mark(loop)
	for at := 0; at < srcBytes; at += 64 {
		f.op("PREFETCHT1 %d(SI)(R11*1)", at)
	}
	block()
	f.op("ADDQ $%d, SI", srcBytes)
	f.op("ADDQ R10, DI")
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.ret()
}

// storeFlipped writes columns as rows of a panel, from row and column on.
func (f *file) storeFlipped(v isa, columns []int, row, col int) {
	for i, c := range columns {
		f.op("VMOVUPS %s, %d(DI)", v.r(c), panelStride*(row+i)+4*col)
	}
}

// flipWords transposes blocks of 32x32 words.
func flipWords(f *file, v isa) {
	flip(f, "flip"+v.name, "transposes n blocks of 32x32 words into panels dstStep apart.", tileCols*panelStride, func() {
		for col := 0; col < tileCols; col += v.width {
			for row := 0; row < tileCols; row += v.width {
				for i := range v.width {
					f.op("VMOVUPS %d(SI), %s", panelStride*(col+i)+4*row, v.r(i))
				}
				f.storeFlipped(v, f.transpose(v), row, col)
			}
		}
	})
}

// flipWiden transposes blocks of 16x32 pairs into 32x32 float32.
func flipWiden(f *file, v isa) {
	flip(f, "flipWiden"+v.name, "transposes n blocks of 16x32 pairs of bfloat16 into 32x32 float32, dstStep apart.", tileCols*panelStride/2, func() {
		for col := 0; col < tileCols; col += v.width {
			for row := 0; row < tileCols; row += v.width {
				f.highHalves(v, v.width)
				for i := 0; i < v.width; i += 2 {
					f.op("VMOVUPS %d(SI), %s", panelStride*(col+i)/2+4*row, v.r(i+1))
					f.widenPair(v, i+1, i, v.width)
				}
				f.storeFlipped(v, f.transpose(v), row, col)
			}
		}
	})
}

// flipPairs transposes blocks of 16x32 pairs along k into pairs along n.
func flipPairs(f *file) {
	word := func(half int) func(int) uint32 {
		return func(i int) uint32 { return uint32(4*i+half) | uint32(4*i+2+half)<<16 }
	}
	first, second := f.dwords("firsts", word(0)), f.dwords("seconds", word(1))
	flip(f, "flipPairs", "turns n blocks [16][32] of pairs (k,k+1) of 32 rows into blocks [16][32] of pairs of rows, dstStep apart.", tileCols*panelStride/2, func() {
		for col := 0; col < tileCols; col += 16 {
			f.op("VMOVUPS %s, Z16", first)
			f.op("VMOVUPS %s, Z17", second)
			for i := 0; i < 16; i += 2 {
				at := panelStride * (col + i) / 2
				f.op("VMOVUPS %d(SI), Z%d", at, i)
				f.op("VMOVAPS Z%d, Z%d", i, i+1)
				f.op("VPERMT2W %d(SI), Z16, Z%d", at+64, i)
				f.op("VPERMT2W %d(SI), Z17, Z%d", at+64, i+1)
			}
			f.storeFlipped(avx512, f.transpose(avx512), 0, col)
		}
	})
}
