package main

import (
	"fmt"
	"math/bits"
	"slices"
)

// Go's assembler does not know AVX512_BF16: these write the instructions as
// bytes. EVEX, map 0F38, W0, 512 bits, registers only (Intel's manual, volume
// 2, section 2.7.1).

const (
	prefixF3 = 2
	prefixF2 = 3
)

func (f *file) evex(prefix, opcode, dst, first, rm int, what string) {
	not := func(bit int) int { return ^bit & 1 }
	p1 := not(dst>>3)<<7 | not(rm>>4)<<6 | not(rm>>3)<<5 | not(dst>>4)<<4 | 2
	p2 := (^first&15)<<3 | 1<<2 | prefix
	p3 := 2<<5 | not(first>>4)<<3
	modrm := 0xc0 | dst&7<<3 | rm&7
	f.op("LONG $0x%02x%02x%02x62; BYTE $0x%02x; BYTE $0x%02x // %s", p3, p2, p1, opcode, modrm, what)
}

// dotPairs is dst += first*rm on pairs of bfloat16, VDPBF16PS.
func (f *file) dotPairs(rm, first, dst int) {
	f.evex(prefixF3, 0x52, dst, first, rm, fmt.Sprintf("VDPBF16PS Z%d, Z%d, Z%d", rm, first, dst))
}

// convertTwo rounds the float32 of low and high to the low and high half of
// dst, VCVTNE2PS2BF16.
func (f *file) convertTwo(low, high, dst int) {
	f.evex(prefixF2, 0x72, dst, high, low, fmt.Sprintf("VCVTNE2PS2BF16 Z%d, Z%d, Z%d", low, high, dst))
}

// convertOne rounds src to the 16 bfloat16 of dst's lower half, VCVTNEPS2BF16.
func (f *file) convertOne(src, dst int) {
	f.evex(prefixF3, 0x72, dst, 0, src, fmt.Sprintf("VCVTNEPS2BF16 Z%d, Y%d", src, dst))
}

// dotPairsOf is dotPairs with a pair at some bytes, a multiple of 4, behind AX in all lanes.
func (f *file) dotPairsOf(at, rm, dst int) { f.dotPairsAt(place{disp: at, base: "AX"}, rm, dst) }

// place is bytes of memory: disp(base)(index*times), without an index where times is 0.
type place struct {
	disp        int
	base, index string
	times       int
}

func (p place) String() string {
	if p.times == 0 {
		return fmt.Sprintf("%d(%s)", p.disp, p.base)
	}
	return fmt.Sprintf("%d(%s)(%s*%d)", p.disp, p.base, p.index, p.times)
}

// registers are the general ones in the order of their numbers.
var registers = []string{"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}

// dotPairsAt is dotPairs with the pair at a place, up to 127 words from its base, in all lanes.
func (f *file) dotPairsAt(at place, rm, dst int) {
	not := func(bit int) int { return ^bit & 1 }
	base, index := slices.Index(registers, at.base), max(0, slices.Index(registers, at.index))
	p1 := not(dst>>3)<<7 | not(index>>3)<<6 | not(base>>3)<<5 | not(dst>>4)<<4 | 2
	p2 := (^rm&15)<<3 | 1<<2 | prefixF3
	p3 := 2<<5 | 1<<4 | not(rm>>4)<<3
	modrm, sib := 1<<6|dst&7<<3|base&7, ""
	if at.times > 0 {
		modrm = 1<<6 | dst&7<<3 | 4
		sib = fmt.Sprintf("BYTE $0x%02x; ", bits.TrailingZeros(uint(at.times))<<6|index&7<<3|base&7)
	}
	f.op("LONG $0x%02x%02x%02x62; BYTE $0x52; BYTE $0x%02x; %sBYTE $0x%02x // VDPBF16PS.BCST %s, Z%d, Z%d", p3, p2, p1, modrm, sib, at.disp/4, at, rm, dst)
}
