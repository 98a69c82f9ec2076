package main

// Direct products of the types whose blocks hold 256 elements, in groups that
// have scales of their own. The work holds a row's 16 factors, 64 bytes from row to
// row, and, of Q6_K, its numbers as bytes.

// sixBitsAt is where the bytes of the first row of Q6_K begin in the work, and
// sixBitsRow their distance.
const (
	sixBitsAt  = 18 * 64
	sixBitsRow = 256
)

// lanes is a constant of four words of 32 bits, in a register of 128 bits.
func (d direct) lanes(name string, words [4]uint32, reg int) {
	d.f.op("VMOVDQU %s, X%d", d.f.dwords(name, func(i int) uint32 { return words[i%4] }), reg)
}

// q4KPrepare writes the scales of the 8 groups of each row, and then their
// minima: six bits each, of which the last four groups have the upper two behind
// those of the first four.
func (d direct) q4KPrepare() {
	const most, second, shift, six, upper, halves = 10, 11, 12, 13, 14, 15
	d.lanes("q4K_most", [4]uint32{0x07060504, 0x0f0e0d0c, 0x0b0a0908, 0x0f0e0d0c}, most)
	d.lanes("q4K_upper", [4]uint32{0x80808080, 0x07060504, 0x80808080, 0x0b0a0908}, second)
	d.lanes("q4K_shift", [4]uint32{0, 0, 0, 4}, shift)
	d.lanes("q4K_bits", [4]uint32{0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f}, six)
	d.lanes("two_bits_bytes", [4]uint32{0x30303030, 0x30303030, 0x30303030, 0x30303030}, upper)
	d.f.op("VMOVDQU %s, Y%d", d.f.dwords("q4K_halves", func(i int) uint32 { return 0x01000100 + uint32(i/4%2)*0x02020202 }), halves)
	for i := range d.isa.width {
		d.f.op("VMOVDQU %s, X0", d.at(i, 0))
		d.f.op("VPBROADCASTD %s, Y3", d.at(i, 0))
		d.f.op("VPSHUFB X%d, X0, X1", most)
		d.f.op("VPSHUFB X%d, X0, X2", second)
		d.f.op("VPSRLVD X%d, X1, X1", shift)
		d.f.op("VPSRLD $2, X2, X2")
		d.f.op("VPAND X%d, X1, X1", six)
		d.f.op("VPAND X%d, X2, X2", upper)
		d.f.op("VPOR X1, X2, X1")
		d.f.op("VPSHUFB Y%d, Y3, Y3", halves)
		if d.isa == avx512 {
			d.f.op("VCVTPH2PS Y3, Z3")
			d.factors("VPMOVZXBD", "X1", 3, 64*i)
			continue
		}
		d.f.op("VEXTRACTI128 $1, Y3, X4")
		d.f.op("VPSRLDQ $8, X1, X2")
		for half, x := range []string{"X1", "X2"} {
			d.f.op("VCVTPH2PS X%d, Y%d", 3+half, 3+half)
			d.factors("VPMOVZXBD", x, 3+half, 64*i+32*half)
		}
	}
}

// factors writes widened bytes times a register.
func (d direct) factors(widen, from string, by, at int) {
	d.op(widen, from, 1)
	d.op("VCVTDQ2PS", 1, 1)
	d.op("VMULPS", by, 1, 1)
	d.op("VMOVUPS", 1, work(at))
}

// q4KRows decodes one of the two groups that share 32 bytes.
func (d direct) q4KRows(e int) {
	const bytes = 16
	group := 4 * (e / 32)
	if d.half {
		d.load32(d.f.dwords("from_0", smallFloats(0)), 16)
		scale := func(i int) string { return work(64*i + group) }
		minimum := func(i int) string { return work(64*i + 32 + group) }
		d.tableRows(scale, minimum, func(i int) {
			d.op("VPMOVZXBW", d.at(i, bytes), i)
			if e > 0 {
				d.op("VPSRLW", "$4", i, i)
			}
		})
		return
	}
	d.wholeNibbles(bytes+e%32, e >= 32, 0)
	for i := range d.isa.width {
		d.times(work(64*i+group), i)
		d.withScale("VSUBPS", work(64*i+32+group), i)
	}
}

// q6KPrepare writes the scales of the 16 groups of each row and its numbers as
// bytes, and makes these the rows.
func (d direct) q6KPrepare() {
	f := d.f
	for i := range d.isa.width {
		f.op("VPBROADCASTW %s, Y0", d.at(i, 208))
		if d.isa == avx512 {
			f.op("VCVTPH2PS Y0, Z0")
		} else {
			f.op("VCVTPH2PS X0, Y0")
		}
		for group := 0; group < 16; group += d.isa.width {
			d.factors("VPMOVSXBD", d.at(i, 192+group), 0, 64*i+4*group)
		}
	}
	d.sixBits()
	f.op("LEAQ %s, R10", work(sixBitsAt))
	f.op("MOVQ $%d, R8", sixBitsRow)
	f.op("MOVQ $%d, R9", 3*sixBitsRow)
	d.quarters()
}

// sixBits writes rows of bytes. A half of a block has four runs of 32: the low
// bits of the first two are the low halves of 64 bytes and those of the others the
// high halves; all share 32 bytes of upper bits, two each.
func (d direct) sixBits() {
	const low, upper, less = 10, 11, 12
	d.load32(d.f.dwords("nibbles", func(int) uint32 { return 0x0f0f0f0f }), low)
	d.load32(d.f.dwords("two_bits_bytes", func(int) uint32 { return 0x30303030 }), upper)
	d.load32(d.f.dwords("bytes_32", func(int) uint32 { return 0x20202020 }), less)
	if d.isa == avx512 {
		d.load32(d.f.dwords("up_4_2", func(i int) uint32 { return 0x00040004 - uint32(i/8)*0x00020002 }), 13)
		d.load32(d.f.dwords("down_0_2", func(i int) uint32 { return uint32(i/8) * 0x00020002 }), 14)
	}
	for i := range d.isa.width {
		for half := range 2 {
			if d.isa == avx512 {
				d.sixBitsWide(i, half, low, upper, less)
			} else {
				d.sixBitsNarrow(i, half, low, upper, less)
			}
		}
	}
}

func (d direct) sixBitsWide(i, half, low, upper, less int) {
	f := d.f
	f.op("VMOVDQU32 %s, Z1", d.at(i, 64*half))
	f.op("VBROADCASTI64X4 %s, Z2", d.at(i, 128+32*half))
	f.op("VPSRLW $4, Z1, Z3")
	f.op("VPSLLVW Z13, Z2, Z4")
	f.op("VPSRLVW Z14, Z2, Z2")
	for k, r := range []struct{ bits, upper int }{{1, 4}, {3, 2}} {
		d.and(low, r.bits, r.bits)
		f.op("VPTERNLOGD $0x%x, Z%d, Z%d, Z%d", orAnd, r.bits, upper, r.upper)
		f.op("VPSUBB Z%d, Z%d, Z%d", less, r.upper, r.upper)
		f.op("VMOVDQU32 Z%d, %s", r.upper, work(sixBitsAt+sixBitsRow*i+128*half+64*k))
	}
}

func (d direct) sixBitsNarrow(i, half, low, upper, less int) {
	f := d.f
	f.op("VMOVDQU %s, Y3", d.at(i, 128+32*half))
	for part, shift := range []string{"VPSLLW $4", "VPSLLW $2", "VPSLLW $0", "VPSRLW $2"} {
		f.op("VMOVDQU %s, Y1", d.at(i, 64*half+32*(part%2)))
		if part >= 2 {
			f.op("VPSRLW $4, Y1, Y1")
		}
		f.op("%s, Y3, Y2", shift)
		f.op("VPAND Y%d, Y1, Y1", low)
		f.op("VPAND Y%d, Y2, Y2", upper)
		f.op("VPOR Y1, Y2, Y1")
		f.op("VPSUBB Y%d, Y1, Y1", less)
		f.op("VMOVDQU Y1, %s", work(sixBitsAt+sixBitsRow*i+128*half+32*part))
	}
}
