package main

import "fmt"

// The functions below decode block-quantised weights to float32 or bfloat16.
// Their products are those of the formats' own readers, one rounding each and
// none joined with an addition, so that the results have their bits; bfloat16
// is that rounded once more.
//
// Registers of vectors: 0 the scale, 1 to 6 the elements, 7 the mask of the low
// four bits, 8 what is subtracted, 8 to 10 tables. General: DI where a block
// goes, SI where it comes from, CX the blocks of the row that are left, R11 and
// R12 the row's beginnings, R13 the rows left, R14 their distance, R15 how far
// ahead to prefetch; AX, BX, R8 to R10 are free.

const (
	nibbleMask = 7
	nibbleZero = 8
	valuesLow  = 9
	valuesHigh = 10
)

func emitBlocks(f *file) {
	for _, s := range []isa{avx512, avx2} {
		b := blocks{f, s}
		b.q8()
		b.q4()
		b.q4K()
		b.q6K()
		b.nf4()
		b.int8()
	}
	emitHalfBlocks(f)
	emitDirect(f)
	joinRows(f)
}

type blocks struct {
	f   *file
	isa isa
}

// op writes an instruction on whole registers.
func (b blocks) op(name string, operands ...any) {
	for i, o := range operands {
		if n, ok := o.(int); ok {
			operands[i] = b.isa.r(n)
		}
	}
	text := fmt.Sprint(operands[0])
	for _, o := range operands[1:] {
		text += fmt.Sprintf(", %v", o)
	}
	b.f.op("%s %s", name, text)
}

var decodeArgs = []arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"rows", "int"}, {"dstStep", "int"}, {"srcStep", "int"}, {"ahead", "int"}, {"back", "int"}}

// rows is a function of n blocks of each of some rows, of which body decodes
// one at SI to DI; row runs at a row's beginning.
func (b blocks) rows(name, doc string, before, row func(fr frame), srcBytes, dstBytes int, body func()) {
	b.rowsByFour(name, doc, before, row, srcBytes, dstBytes, body, nil)
}

// rowsByFour is rows with a body for four blocks at a time, if there is one.
func (b blocks) rowsByFour(name, doc string, before, row func(fr frame), srcBytes, dstBytes int, body, four func()) {
	f := b.f
	fr := f.function(name, doc, decodeArgs, nil)
	for _, m := range [][2]string{{"dst", "R11"}, {"src", "R12"}, {"rows", "R13"}, {"srcStep", "R14"}, {"ahead", "R15"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	before(fr)
	next, loop := f.label("row"), f.label("block")
	f.mark(next)
	f.op("MOVQ R11, DI")
	f.op("MOVQ R12, SI")
	f.op("MOVQ %s, CX", fr.slot("n"))
	row(fr)
	step := func(blocks int, body func()) {
		for at := 0; at < blocks*srcBytes; at += 64 {
			f.op("PREFETCHT0 %d(SI)(R15*1)", at)
		}
		body()
		f.op("ADDQ $%d, SI", blocks*srcBytes)
		f.op("ADDQ $%d, DI", blocks*dstBytes)
	}
	done := f.label("rowdone")
	if four != nil {
		fours, rest := f.label("four"), f.label("rest")
		f.op("SUBQ $4, CX")
		f.op("JLT %s", rest)
		f.mark(fours)
		step(4, four)
		f.op("SUBQ $4, CX")
		f.op("JGE %s", fours)
		f.mark(rest)
		f.op("ADDQ $4, CX")
		f.op("JEQ %s", done)
	}
	f.mark(loop)
	step(1, body)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.mark(done)
	f.op("ADDQ %s, R11", fr.slot("dstStep"))
	f.op("ADDQ R14, R12")
	f.op("DECQ R13")
	f.op("JNZ %s", next)
	f.ret()
}

// loop is rows to float32, with nothing to do at a row's beginning.
func (b blocks) loop(name, doc string, before func(), srcBytes, elements int, body func()) {
	b.rows(name+b.isa.name, doc, func(frame) { before() }, func(frame) {}, srcBytes, 4*elements, body)
}

// halfAt fills a register with the binary16 at an offset of SI.
func (b blocks) halfAt(at, reg int) {
	b.f.op("MOVWLZX %d(SI), AX", at)
	b.f.op("VMOVD AX, X%d", reg)
	b.f.op("VCVTPH2PS X%d, X%d", reg, reg)
	b.op("VBROADCASTSS", fmt.Sprintf("X%d", reg), reg)
}

// halfScale fills register 0 with the binary16 at SI.
func (b blocks) halfScale() { b.halfAt(0, 0) }

func (b blocks) load32(sym string, reg int) {
	if b.isa == avx2 {
		b.op("VMOVDQU", sym, reg)
		return
	}
	b.op("VMOVDQU32", sym, reg)
}

func (b blocks) and(mask, x, dst int) { b.op(b.integer("VPAND"), mask, x, dst) }
func (b blocks) or(x, y, dst int)     { b.op(b.integer("VPOR"), x, y, dst) }

// integer is the instruction's name, which AVX-512 gives the element's size.
func (b blocks) integer(name string) string {
	if b.isa == avx512 {
		return name + "D"
	}
	return name
}

// constants fills the mask of four bits and the number that stands for zero.
func (b blocks) constants(zero uint32) {
	b.load32(b.f.dwords("nibble", func(int) uint32 { return 15 }), nibbleMask)
	b.load32(b.f.dwords(fmt.Sprintf("whole_%d", zero), func(int) uint32 { return zero }), nibbleZero)
}

// scaled stores the integers in reg times the scale at element i of dst.
func (b blocks) scaled(reg, scale, i int) {
	b.op("VCVTDQ2PS", reg, reg)
	b.op("VMULPS", scale, reg, reg)
	b.op("VMOVUPS", reg, fmt.Sprintf("%d(DI)", 4*i))
}

func (b blocks) q8() {
	b.loop("q8x0", "decodes blocks of Q8_0.", func() {}, 34, 32, func() {
		b.halfScale()
		for i := 0; i < 32; i += b.isa.width {
			b.op("VPMOVSXBD", fmt.Sprintf("%d(SI)", 2+i), 1)
			b.scaled(1, 0, i)
		}
	})
}

func (b blocks) q4() {
	b.loop("q4x0", "decodes blocks of Q4_0.", func() { b.constants(8) }, 18, 32, func() {
		b.halfScale()
		for i := 0; i < 16; i += b.isa.width {
			b.op("VPMOVZXBD", fmt.Sprintf("%d(SI)", 2+i), 1)
			b.and(nibbleMask, 1, 2)
			b.op("VPSRLD", "$4", 1, 1)
			b.op("VPSUBD", nibbleZero, 2, 2)
			b.op("VPSUBD", nibbleZero, 1, 1)
			b.scaled(2, 0, i)
			b.scaled(1, 0, 16+i)
		}
	})
}

// q4KFactors writes the scales of a block's 8 groups and then their minima to
// the last 64 bytes of what the block becomes, each of which is read before its
// place is written; at is where they begin behind DI.
func (b blocks) q4KFactors(at int) {
	f := b.f
	f.op("MOVL 4(SI), R8")
	f.op("MOVL 8(SI), R9")
	f.op("MOVL 12(SI), R10")
	f.op("MOVL R10, BX")
	f.op("SHRL $4, BX")
	for _, r := range []struct{ low, rest string }{{"R8", "R10"}, {"R9", "BX"}} {
		f.op("MOVL %s, AX", r.low)
		f.op("SHRL $2, AX")
		f.op("ANDL $0x30303030, AX")
		f.op("ANDL $0x0f0f0f0f, %s", r.rest)
		f.op("ORL AX, %s", r.rest)
		f.op("SHLQ $32, %s", r.rest)
		f.op("ANDL $0x3f3f3f3f, %s", r.low)
		f.op("ORQ %s, %s", r.rest, r.low)
	}
	for i, r := range []string{"R8", "R9"} {
		f.op("MOVWLZX %d(SI), AX", 2*i)
		f.op("VMOVD AX, X0")
		f.op("VCVTPH2PS X0, X0")
		f.op("VBROADCASTSS X0, Y0")
		f.op("VMOVQ %s, X1", r)
		f.op("VPMOVZXBD X1, Y1")
		f.op("VCVTDQ2PS Y1, Y1")
		f.op("VMULPS Y0, Y1, Y1")
		f.op("VMOVUPS Y1, %d(DI)", at+32*i)
	}
}

func (b blocks) q4K() {
	const factors = 4 * 240
	factor := func(group, which, reg int) {
		b.op("VBROADCASTSS", fmt.Sprintf("%d(DI)", factors+32*which+4*group), reg)
	}
	b.loop("q4K", "decodes blocks of Q4_K.", func() { b.constants(8) }, 144, 256, func() {
		b.q4KFactors(factors)
		for pair := range 4 {
			factor(2*pair, 0, 3)
			factor(2*pair, 1, 4)
			factor(2*pair+1, 0, 5)
			factor(2*pair+1, 1, 6)
			for i := 0; i < 32; i += b.isa.width {
				b.op("VPMOVZXBD", fmt.Sprintf("%d(SI)", 16+32*pair+i), 1)
				b.and(nibbleMask, 1, 2)
				b.op("VPSRLD", "$4", 1, 1)
				b.lowered(2, 3, 4, 64*pair+i)
				b.lowered(1, 5, 6, 64*pair+32+i)
			}
		}
	})
}

// lowered stores the integers in reg times the scale, less the minimum.
func (b blocks) lowered(reg, scale, minimum, i int) {
	b.op("VCVTDQ2PS", reg, reg)
	b.op("VMULPS", scale, reg, reg)
	b.op("VSUBPS", minimum, reg, reg)
	b.op("VMOVUPS", reg, fmt.Sprintf("%d(DI)", 4*i))
}

// q6KFactors writes the scales of a block's 16 groups to where q4KFactors does.
func (b blocks) q6KFactors(at int) {
	b.halfAt(208, 0)
	for i := 0; i < 16; i += b.isa.width {
		b.op("VPMOVSXBD", fmt.Sprintf("%d(SI)", 192+i), 1)
		b.op("VCVTDQ2PS", 1, 1)
		b.op("VMULPS", 0, 1, 1)
		b.op("VMOVUPS", 1, fmt.Sprintf("%d(DI)", at+4*i))
	}
}

func (b blocks) q6K() {
	const factors = 4 * 240
	constants := func() {
		b.constants(32)
		b.load32(b.f.dwords("two_bits", func(int) uint32 { return 3 << 4 }), valuesLow)
	}
	b.loop("q6K", "decodes blocks of Q6_K.", constants, 210, 256, func() {
		b.q6KFactors(factors)
		for half := range 2 {
			for i := 0; i < 32; i += b.isa.width {
				for part, shift := range []int{4, 2, 0, -2} {
					b.op("VPMOVZXBD", fmt.Sprintf("%d(SI)", 64*half+32*(part%2)+i), 1)
					b.op("VPMOVZXBD", fmt.Sprintf("%d(SI)", 128+32*half+i), 2)
					if part >= 2 {
						b.op("VPSRLD", "$4", 1, 1)
					}
					b.and(nibbleMask, 1, 1)
					switch {
					case shift > 0:
						b.op("VPSLLD", fmt.Sprintf("$%d", shift), 2, 2)
					case shift < 0:
						b.op("VPSRLD", fmt.Sprintf("$%d", -shift), 2, 2)
					}
					b.and(valuesLow, 2, 2)
					b.or(1, 2, 1)
					b.op("VPSUBD", nibbleZero, 1, 1)
					b.op("VBROADCASTSS", fmt.Sprintf("%d(DI)", factors+4*(8*half+2*part+i/16)), 0)
					b.scaled(1, 0, 128*half+32*part+i)
				}
			}
		}
	})
}

// normalFloat is the 16 values of NF4 as bits of float32
// (bitsandbytes/functional.py, get_4bit_type).
var normalFloat = [16]uint32{
	0xbf800000, 0xbf3239b1, 0xbf066b30, 0xbeca32a0, 0xbe91a24d, 0xbe3d353f, 0xbdba7871, 0x00000000,
	0x3da2faff, 0x3e24cae3, 0x3e7c04dd, 0x3ead033a, 0x3ee1a4b8, 0x3f1007ab, 0x3f3913b3, 0x3f800000,
}

func (b blocks) nf4() {
	low := b.f.dwords("nf4", func(i int) uint32 { return normalFloat[i] })
	high := b.f.dwords("nf4_high", func(i int) uint32 { return normalFloat[8+i%8] })
	constants := func() {
		b.load32(low, valuesLow)
		if b.isa == avx2 {
			b.load32(high, valuesHigh)
		}
		b.f.op("VMOVDQU %s, X%d", b.f.dwords("nibbles", func(int) uint32 { return 0x0f0f0f0f }), nibbleMask)
	}
	b.loop("nf4", "decodes blocks of NF4.", constants, 36, 64, func() {
		b.op("VBROADCASTSS", "(SI)", 0)
		for i := 0; i < 32; i += 16 {
			b.f.op("VMOVDQU %d(SI), X1", 4+i)
			b.f.op("VPSRLW $4, X1, X2")
			b.f.op("VPAND X%d, X1, X1", nibbleMask)
			b.f.op("VPAND X%d, X2, X2", nibbleMask)
			b.f.op("VPUNPCKLBW X1, X2, X3") // the high half of a byte comes first
			b.f.op("VPUNPCKHBW X1, X2, X4")
			b.normal(3, 2*i)
			b.normal(4, 2*i+16)
		}
	})
}

// normal stores the values of the 16 indices in the bytes of reg.
func (b blocks) normal(reg, i int) {
	for done := 0; done < 16; done += b.isa.width {
		b.op("VPMOVZXBD", fmt.Sprintf("X%d", reg), 1)
		if b.isa == avx2 {
			b.f.op("VPERMPS Y%d, Y1, Y5", valuesLow)
			b.f.op("VPERMPS Y%d, Y1, Y6", valuesHigh)
			b.f.op("VPSLLD $28, Y1, Y1") // bit 3 chooses the table
			b.f.op("VBLENDVPS Y1, Y6, Y5, Y1")
			b.f.op("VPSRLDQ $8, X%d, X%d", reg, reg)
		} else {
			b.f.op("VPERMPS Z%d, Z1, Z1", valuesLow)
		}
		b.op("VMULPS", 0, 1, 1)
		b.op("VMOVUPS", 1, fmt.Sprintf("%d(DI)", 4*(i+done)))
	}
}

// rowScale fills register 0 with a row's largest magnitude over 127, the
// distance of its numbers; the magnitude lies back bytes before the numbers.
func (b blocks) rowScale(fr frame) {
	b.f.op("MOVQ SI, AX")
	b.f.op("SUBQ %s, AX", fr.slot("back"))
	b.f.op("VMOVSS (AX), X0")
	b.f.op("VDIVSS %s, X0, X0", b.f.wide(127))
	b.op("VBROADCASTSS", "X0", 0)
}

const int8Doc = "decodes groups of 32 signed bytes of rows with one scale each, back bytes before the first group."

func (b blocks) int8() {
	b.rows("int8"+b.isa.name, int8Doc, func(frame) {}, b.rowScale, 32, 4*32, func() {
		for i := 0; i < 32; i += b.isa.width {
			b.op("VPMOVSXBD", fmt.Sprintf("%d(SI)", i), 1)
			b.scaled(1, 0, i)
		}
	})
}
