package main

import "fmt"

// The 16 values of a block of Q4_0 are its scale times -8 to 7. Rounding keeps signs and
// powers of two, so that four roundings of a scale, times 1, 3, 5 and 7, are all there
// is to round: the other values are those with another exponent and sign, which an
// addition gives. Of a scale that is zero, infinite or no number that is not so; rows
// with such a one are decoded as elsewhere.

const (
	fewOdds    = 16 // and 17: the multiples
	fewOffsets = 18
	fewPlaces  = 19 // and three more: where the words of two rows stand
	fewRounded = 23 // and 24: roundings of eight rows each
	fewMask    = 27
	fewSecond  = 28
	fewSpread  = 29
	fewUpper   = 30
)

// fewOdd goes to a label where one of 16 scales is none to shift: zero, infinite or no
// number.
func (d direct) fewOdd(odd string) {
	d.f.op("VFPCLASSPSZ $0x9f, %s, K1", work(0))
	d.f.op("KORTESTW K1, K1")
	d.f.op("JNZ %s", odd)
}

// fewQ4 is the unit of Q4_0, whose scales are in the work.
func (d direct) fewQ4() {
	f := d.f
	d.load32(f.dwords("times_1_3", func(i int) uint32 { return floatBits(1 + i/8*2) }), fewOdds)
	d.load32(f.dwords("times_5_7", func(i int) uint32 { return floatBits(5 + i/8*2) }), fewOdds+1)
	d.load32(f.dwords("q4_offsets", pairOf(q4Offset)), fewOffsets)
	d.load32(f.dwords("nibble_words", func(int) uint32 { return 0x000f000f }), fewMask)
	d.load32(f.dwords("second_words", func(int) uint32 { return 0x00100010 }), fewSecond)
	d.load32("spread_bytes<>(SB)", fewSpread)
	d.load32("upper_nibbles<>(SB)", fewUpper)
	f.op("KMOVD %s, K2", f.dwords("q4_nonzero", func(int) uint32 { return ^uint32(1<<8 | 1<<24) }))
	for pair := range 4 {
		d.load32(f.dwords(fmt.Sprintf("q4_places_%d", pair), pairOf(func(i int) uint32 { return q4Odd(i)*8 + uint32(2*pair+i/16) })), fewPlaces+pair)
	}
	for half := range 2 {
		f.op("VBROADCASTF64X4 %s, Z0", work(32*half))
		d.op("VMULPS", fewOdds, 0, 1)
		d.op("VMULPS", fewOdds+1, 0, 2)
		f.convertTwo(1, 2, fewRounded+half)
	}
	for pair := range d.isa.width / 2 {
		table := 25 + pair%2
		f.op("VPERMW.Z Z%d, Z%d, K2, Z%d", fewRounded+pair/4, fewPlaces+pair%4, table)
		f.op("VPADDW.Z Z%d, Z%d, K2, Z%d", fewOffsets, table, table)
		for k := range 2 {
			i := 2*pair + k
			f.op("VBROADCASTI32X4 %s, Z%d", d.at(i, 2), i)
			f.op("VPSHUFB Z%d, Z%d, Z%d", fewSpread, i, i)
			f.op("VPSRLVW Z%d, Z%d, Z%d", fewUpper, i, i)
			if k == 0 {
				d.and(fewMask, i, i)
			} else {
				f.op("VPTERNLOGD $0x%x, Z%d, Z%d, Z%d", orAnd, fewSecond, fewMask, i)
			}
			f.op("VPERMW Z%d, Z%d, Z%d", table, i, i)
		}
	}
}

// pairOf joins words 2i and 2i+1.
func pairOf(word func(i int) uint32) func(i int) uint32 {
	return func(i int) uint32 { return word(2*i)&0xffff | word(2*i+1)<<16 }
}

// q4Odd says which of 1, 3, 5 and 7 value i, or i less 16, is a multiple of, by powers of
// two.
func q4Odd(i int) uint32 {
	size, _ := q4Value(i)
	for size%2 == 0 {
		size /= 2
	}
	return size / 2
}

// q4Offset is what value i adds to that multiple's rounding: an exponent and a sign.
func q4Offset(i int) (offset uint32) {
	size, negative := q4Value(i)
	for ; size%2 == 0; size /= 2 {
		offset += 1 << 7
	}
	if negative {
		offset += 1 << 15
	}
	return offset
}

// q4Value is value i by size; that of zero is of no matter.
func q4Value(i int) (size uint32, negative bool) {
	if v := i%16 - 8; v < 0 {
		return uint32(-v), true
	}
	return uint32(max(1, i%16-8)), false
}
