package main

import "fmt"

// Blocks to bfloat16, with AVX-512 and its conversions. Where elements are of
// four bits, the sixteen values that a group can have are scaled and rounded
// once, and each element is looked up.

func emitHalfBlocks(f *file) {
	h := halfBlocks{blocks{f, avx512}}
	h.q8()
	h.q4()
	h.q4K()
	h.q6K()
	h.nf4()
	h.int8()
}

type halfBlocks struct{ blocks }

// table registers: 8 to 10 hold constants, 11 a group's values.
const groupValues = 11

func (h halfBlocks) loop(name, doc string, before func(), srcBytes, elements int, body func()) {
	h.rows(name+"Half", doc, func(frame) { before() }, func(frame) {}, srcBytes, 2*elements, body)
}

// store32 rounds 32 elements and writes them at element i.
func (h halfBlocks) store32(low, high, i int) {
	h.f.convertTwo(low, high, low)
	h.op("VMOVDQU32", low, fmt.Sprintf("%d(DI)", 2*i))
}

// bytes32 scales 32 signed bytes at an offset of SI.
func (h halfBlocks) bytes32(at, i int) {
	for k, reg := range []int{1, 2} {
		h.op("VPMOVSXBD", fmt.Sprintf("%d(SI)", at+16*k), reg)
		h.op("VCVTDQ2PS", reg, reg)
		h.op("VMULPS", 0, reg, reg)
	}
	h.store32(1, 2, i)
}

func (h halfBlocks) q8() {
	one := func() {
		h.halfScale()
		h.bytes32(2, 0)
	}
	h.byFour("q8x0", "decodes blocks of Q8_0 to bfloat16.", func() {}, 34, one, func() {
		h.fourScales(34)
		for block := range 4 {
			for k, reg := range []int{1, 2} {
				h.op("VPMOVSXBD", fmt.Sprintf("%d(SI)", 34*block+2+16*k), reg)
				h.op("VCVTDQ2PS", reg, reg)
				h.f.op("VMULPS.BCST %d(DI), Z%d, Z%d", scalesAt+4*block, reg, reg)
			}
			h.store32(1, 2, 32*block)
		}
	})
}

// byFour is loop for blocks of 32 elements, one and four at a time.
func (h halfBlocks) byFour(name, doc string, before func(), srcBytes int, one, four func()) {
	h.rowsByFour(name+"Half", doc, func(frame) { before() }, func(frame) {}, srcBytes, 2*32, one, four)
}

// scalesAt is where fourScales writes, behind DI: the end of what the last of
// four blocks becomes, which is written after they are read.
const scalesAt = 2*4*32 - 16

// fourScales writes the binary16 that each of four blocks begins with as
// float32: one conversion, and memory gives each to all lanes.
func (h halfBlocks) fourScales(blockBytes int) {
	h.f.op("MOVWLZX %d(SI), AX", 3*blockBytes)
	for block := 2; block >= 0; block-- {
		h.f.op("MOVWLZX %d(SI), BX", block*blockBytes)
		h.f.op("SHLQ $16, AX")
		h.f.op("ORQ BX, AX")
	}
	h.f.op("VMOVQ AX, X0")
	h.f.op("VCVTPH2PS X0, X0")
	h.f.op("VMOVUPS X0, %d(DI)", scalesAt)
}

func (h halfBlocks) int8() {
	h.rows("int8Half", int8Doc+" The results are bfloat16.", func(frame) {}, h.rowScale, 32, 2*32, func() { h.bytes32(0, 0) })
}

// group rounds the 16 values in Z8 times the scale in Z0 to both halves of
// groupValues, so that bit 4 of an index does not matter.
func (h halfBlocks) group() {
	h.op("VMULPS", 8, 0, 1)
	h.f.convertOne(1, 1)
	h.f.op("VINSERTI64X4 $1, Y1, Z1, Z%d", groupValues)
}

func (h halfBlocks) float32s(name string, value func(i int) uint32) {
	h.load32(h.f.dwords(name, value), 8)
}

// smallFloats is the bits of n+0 to n+15, n an integer of few bits.
func smallFloats(n int) func(i int) uint32 {
	return func(i int) uint32 { return floatBits(n + i) }
}

func (h halfBlocks) q4() {
	constants := func() {
		h.float32s("minus8_to_7", smallFloats(-8))
		h.load32(h.f.dwords("nibble_words", func(int) uint32 { return 0x000f000f }), 9)
		h.load32(h.f.dwords("second_words", func(int) uint32 { return 0x00100010 }), 10)
		h.load32(h.f.dwords("spread_bytes", func(i int) uint32 {
			at := uint32(i/4%2*8 + i%4*2)
			return 0x80008000 | (at+1)<<16 | at
		}), 12)
		h.load32(h.f.dwords("upper_nibbles", func(i int) uint32 { return uint32(i/8) * 0x00040004 }), 13)
	}
	// Two blocks share a table of 32 values, of which bit 4 chooses a half.
	four := func() {
		const orAnd = 0xea // (a and b) or c
		h.fourScales(18)
		for pair := range 2 {
			for k, reg := range []int{1, 2} {
				h.f.op("VMULPS.BCST %d(DI), Z8, Z%d", scalesAt+4*(2*pair+k), reg)
			}
			h.f.convertTwo(1, 2, groupValues)
			for k, reg := range []int{3, 4} {
				block := 2*pair + k
				h.f.op("VBROADCASTI32X4 %d(SI), Z%d", 18*block+2, reg)
				h.f.op("VPSHUFB Z12, Z%d, Z%d", reg, reg)
				h.f.op("VPSRLVW Z13, Z%d, Z%d", reg, reg)
				if k == 0 {
					h.and(9, reg, reg)
				} else {
					h.f.op("VPTERNLOGD $0x%x, Z10, Z9, Z%d", orAnd, reg)
				}
				h.f.op("VPERMW Z%d, Z%d, Z%d", groupValues, reg, reg)
				h.op("VMOVDQU32", reg, fmt.Sprintf("%d(DI)", 2*32*block))
			}
		}
	}
	one := func() {
		h.halfScale()
		h.group()
		h.f.op("VPMOVZXBW 2(SI), Y2")
		h.f.op("VPSRLW $4, Y2, Y3")
		h.f.op("VINSERTI64X4 $1, Y3, Z2, Z2")
		h.f.op("VPERMW Z%d, Z2, Z2", groupValues)
		h.op("VMOVDQU32", 2, "(DI)")
	}
	h.byFour("q4x0", "decodes blocks of Q4_0 to bfloat16.", constants, 18, one, four)
}

func (h halfBlocks) nf4() {
	constants := func() {
		h.float32s("nf4", func(i int) uint32 { return normalFloat[i] })
		h.load32(h.f.twiceBytes(), 9)
		h.load32(h.f.firstNibbles(), 10)
	}
	h.loop("nf4", "decodes blocks of NF4 to bfloat16.", constants, 36, 64, func() {
		h.op("VBROADCASTSS", "(SI)", 0)
		h.group()
		for k, reg := range []int{2, 3} {
			h.f.op("VBROADCASTI32X4 %d(SI), Z%d", 4+16*k, reg)
			h.f.op("VPSHUFB Z9, Z%d, Z%d", reg, reg)
			h.f.op("VPSRLVW Z10, Z%d, Z%d", reg, reg)
			h.f.op("VPERMW Z%d, Z%d, Z%d", groupValues, reg, reg)
			h.op("VMOVDQU32", reg, fmt.Sprintf("%d(DI)", 64*k))
		}
	})
}

// twiceBytes spreads 16 bytes, which stand in each lane of 128 bits, to words of
// their own, each twice.
func (f *file) twiceBytes() string {
	return f.dwords("twice_bytes", func(i int) uint32 { return 0x80008000 | uint32(i)<<16 | uint32(i) })
}

// firstNibbles moves the high half of a byte down in the first of its words:
// it comes first.
func (f *file) firstNibbles() string { return f.dwords("first_nibbles", func(int) uint32 { return 4 }) }

func (h halfBlocks) q4K() {
	const factors = 2 * 224
	constants := func() {
		h.float32s("from_0", smallFloats(0))
		h.load32(h.f.dwords("nibble_words", func(int) uint32 { return 0x000f000f }), 9)
		h.load32(h.f.dwords("second_words", func(int) uint32 { return 0x00100010 }), 10)
	}
	h.loop("q4K", "decodes blocks of Q4_K to bfloat16.", constants, 144, 256, func() {
		h.q4KFactors(factors)
		for pair := range 4 {
			for k, reg := range []int{1, 2} {
				group := 2*pair + k
				h.f.op("VMULPS.BCST %d(DI), Z8, Z%d", factors+4*group, reg)
				h.f.op("VSUBPS.BCST %d(DI), Z%d, Z%d", factors+32+4*group, reg, reg)
			}
			h.f.convertTwo(1, 2, groupValues)
			h.op("VPMOVZXBW", fmt.Sprintf("%d(SI)", 16+32*pair), 3)
			h.and(9, 3, 4)
			h.op("VPSRLW", "$4", 3, 3)
			h.or(10, 3, 3)
			h.f.op("VPERMW Z%d, Z4, Z4", groupValues)
			h.f.op("VPERMW Z%d, Z3, Z3", groupValues)
			h.op("VMOVDQU32", 4, fmt.Sprintf("%d(DI)", 2*64*pair))
			h.op("VMOVDQU32", 3, fmt.Sprintf("%d(DI)", 2*(64*pair+32)))
		}
	})
}

func (h halfBlocks) q6K() {
	const factors = 2 * 224
	load := func(name string, word uint32, reg int) {
		h.f.op("VMOVDQU %s, Y%d", h.f.dwords(name, func(int) uint32 { return word }), reg)
	}
	constants := func() {
		load("nibbles", 0x0f0f0f0f, 7)
		load("two_bits_bytes", 0x30303030, 8)
		load("bytes_32", 0x20202020, 9)
	}
	h.loop("q6K", "decodes blocks of Q6_K to bfloat16.", constants, 210, 256, func() {
		h.q6KFactors(factors)
		for half := range 2 {
			h.f.op("VMOVDQU %d(SI), Y12", 64*half)
			h.f.op("VMOVDQU %d(SI), Y13", 64*half+32)
			h.f.op("VMOVDQU %d(SI), Y14", 128+32*half)
			for part, shift := range []string{"VPSLLW $4", "VPSLLW $2", "", "VPSRLW $2"} {
				low, high := 12+part%2, 14
				if part >= 2 {
					h.f.op("VPSRLW $4, Y%d, Y1", low)
					low = 1
				}
				h.f.op("VPAND Y7, Y%d, Y1", low)
				if shift != "" {
					h.f.op("%s, Y14, Y2", shift)
					high = 2
				}
				h.f.op("VPAND Y8, Y%d, Y2", high)
				h.f.op("VPOR Y1, Y2, Y1")
				h.f.op("VPSUBB Y9, Y1, Y1")
				h.f.op("VEXTRACTI128 $1, Y1, X2")
				for k, reg := range []int{1, 2} {
					h.op("VPMOVSXBD", fmt.Sprintf("X%d", reg), reg)
					h.op("VCVTDQ2PS", reg, reg)
					h.f.op("VMULPS.BCST %d(DI), Z%d, Z%d", factors+4*(8*half+2*part+k), reg, reg)
				}
				h.store32(1, 2, 128*half+32*part)
			}
		}
	})
}

// joinRows makes words of rows 2k and 2k+1 of bfloat16, a panel's 32 columns.
func joinRows(f *file) {
	fr := f.function("joinHalf", "writes 32 bfloat16 of rows 2k and 2k+1, of n rows, as pairs at dst+k*dstStride; a missing last row is 0.",
		[]arg{{"dst", "unsafe.Pointer"}, {"src", "unsafe.Pointer"}, {"n", "int"}, {"srcStride", "int"}, {"dstStride", "int"}}, nil)
	for _, m := range [][2]string{{"dst", "DI"}, {"src", "SI"}, {"n", "CX"}, {"srcStride", "R8"}, {"dstStride", "R10"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	for half := range 2 {
		f.op("VMOVDQU32 %s, Z%d", joinIndices(f, half), 4+half)
	}
	loop, whole := f.label("pair"), f.label("whole")
	f.mark(loop)
	f.op("VMOVDQU32 (SI), Z0")
	f.op("VPXORQ Z1, Z1, Z1")
	f.op("CMPQ CX, $1")
	f.op("JEQ %s", whole)
	f.op("VMOVDQU32 (SI)(R8*1), Z1")
	f.mark(whole)
	f.op("VMOVDQA32 Z0, Z2")
	f.op("VPERMT2W Z1, Z4, Z0")
	f.op("VPERMT2W Z1, Z5, Z2")
	f.op("VMOVDQU32 Z0, (DI)")
	f.op("VMOVDQU32 Z2, 64(DI)")
	f.op("LEAQ (SI)(R8*2), SI")
	f.op("ADDQ R10, DI")
	f.op("SUBQ $2, CX")
	f.op("JGT %s", loop)
	f.ret()
}

// joinIndices picks elements of two registers that become pairs.
func joinIndices(f *file, half int) string {
	return f.dwords(fmt.Sprintf("join_%d", half), func(i int) uint32 { return uint32(16*half+i) | uint32(32+16*half+i)<<16 })
}
