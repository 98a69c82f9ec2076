package main

import "fmt"

// The functions below turn block-quantised weights into float32. Their products
// are those of the formats' own readers, one rounding each and none joined with
// an addition, so that the results have their bits.
//
// Registers: 0 the scale, 1 to 6 the elements, 7 the mask of the low four bits,
// 8 what is subtracted, 9 and 10 the values of NF4.

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

// loop is a function of n blocks, of which body decodes one at SI to DI.
func (b blocks) loop(name, doc string, before func(), srcBytes, elements int, body func()) {
	f := b.f
	fr := f.function(name+b.isa.name, doc, []arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}}, nil)
	f.op("MOVQ %s, DI", fr.slot("dst"))
	f.op("MOVQ %s, SI", fr.slot("src"))
	f.op("MOVQ %s, CX", fr.slot("n"))
	before()
	done, loop := f.label("done"), f.label("block")
	f.op("TESTQ CX, CX")
	f.op("JLE %s", done)
	f.mark(loop)
	body()
	f.op("ADDQ $%d, SI", srcBytes)
	f.op("ADDQ $%d, DI", 4*elements)
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.mark(done)
	f.ret()
}

// halfScale fills register 0 with the binary16 at SI.
func (b blocks) halfScale() {
	b.f.op("MOVWLZX (SI), AX")
	b.f.op("VMOVD AX, X0")
	b.f.op("VCVTPH2PS X0, X0")
	b.op("VBROADCASTSS", "X0", 0)
}

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
	b.loop("q8x0", "decodes n blocks of Q8_0.", func() {}, 34, 32, func() {
		b.halfScale()
		for i := 0; i < 32; i += b.isa.width {
			b.op("VPMOVSXBD", fmt.Sprintf("%d(SI)", 2+i), 1)
			b.scaled(1, 0, i)
		}
	})
}

func (b blocks) q4() {
	b.loop("q4x0", "decodes n blocks of Q4_0.", func() { b.constants(8) }, 18, 32, func() {
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

// block begins a function of one block, whose factors are at DX.
func (b blocks) block(name, doc string) {
	f := b.f
	fr := f.function(name+b.isa.name, doc, []arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"factors", "unsafe.Pointer"}}, nil)
	f.op("MOVQ %s, DI", fr.slot("dst"))
	f.op("MOVQ %s, SI", fr.slot("src"))
	f.op("MOVQ %s, DX", fr.slot("factors"))
}

func (b blocks) q4K() {
	b.block("q4K", "decodes the 128 bytes of numbers of a block of Q4_K; factors are scale and minimum of each of 8 groups.")
	b.constants(8)
	factor := func(group, which, reg int) {
		b.op("VBROADCASTSS", fmt.Sprintf("%d(DX)", 8*group+4*which), reg)
	}
	for pair := range 4 {
		factor(2*pair, 0, 3)
		factor(2*pair, 1, 4)
		factor(2*pair+1, 0, 5)
		factor(2*pair+1, 1, 6)
		for i := 0; i < 32; i += b.isa.width {
			b.op("VPMOVZXBD", fmt.Sprintf("%d(SI)", 32*pair+i), 1)
			b.and(nibbleMask, 1, 2)
			b.op("VPSRLD", "$4", 1, 1)
			b.lowered(2, 3, 4, 64*pair+i)
			b.lowered(1, 5, 6, 64*pair+32+i)
		}
	}
	b.f.ret()
}

// lowered stores the integers in reg times the scale, less the minimum.
func (b blocks) lowered(reg, scale, minimum, i int) {
	b.op("VCVTDQ2PS", reg, reg)
	b.op("VMULPS", scale, reg, reg)
	b.op("VSUBPS", minimum, reg, reg)
	b.op("VMOVUPS", reg, fmt.Sprintf("%d(DI)", 4*i))
}

func (b blocks) q6K() {
	b.block("q6K", "decodes the low and high bits of a block of Q6_K; factors are the scales of its 16 groups.")
	b.constants(32)
	b.load32(b.f.dwords("two_bits", func(int) uint32 { return 3 << 4 }), valuesLow)
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
				b.op("VBROADCASTSS", fmt.Sprintf("%d(DX)", 4*(8*half+2*part+i/16)), 0)
				b.scaled(1, 0, 128*half+32*part+i)
			}
		}
	}
	b.f.ret()
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
	b.loop("nf4", "decodes n blocks of NF4.", constants, 36, 64, func() {
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

func (b blocks) int8() {
	f := b.f
	fr := f.function("bytes"+b.isa.name, "is dst = step*src for n signed bytes, a multiple of 16.", []arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"step", "float32"}}, nil)
	f.op("MOVQ %s, DI", fr.slot("dst"))
	f.op("MOVQ %s, SI", fr.slot("src"))
	f.op("MOVQ %s, CX", fr.slot("n"))
	b.op("VBROADCASTSS", fr.slot("step"), 0)
	done, loop := f.label("done"), f.label("block")
	f.op("SUBQ $16, CX")
	f.op("JLT %s", done)
	f.mark(loop)
	for i := 0; i < 16; i += b.isa.width {
		b.op("VPMOVSXBD", fmt.Sprintf("%d(SI)", i), 1)
		b.scaled(1, 0, i)
	}
	f.op("ADDQ $16, SI")
	f.op("ADDQ $64, DI")
	f.op("SUBQ $16, CX")
	f.op("JGE %s", loop)
	f.mark(done)
	f.ret()
}
