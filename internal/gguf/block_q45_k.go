package gguf

import "math"

// Q4_K: 256 weights in 144 bytes: f16 d, f16 m, 12 bytes of packed scales, 128
// bytes of two 4-bit numbers. Eight groups of 32 each have a 6-bit scale S and
// minimum M; groups 2p and 2p+1 are the low and the high halves of the same 32
// bytes.
//
//	w = d*S * q - m*M

func decodeQ4_K(w []float32, b []byte) {
	d, m := loadF16(b), loadF16(b[2:])
	for pair := range 4 {
		q := b[16+32*pair:][:32]
		scale0, min0 := groupScale(b[4:16], 2*pair)
		scale1, min1 := groupScale(b[4:16], 2*pair+1)
		d0, m0 := d*float32(scale0), m*float32(min0)
		d1, m1 := d*float32(scale1), m*float32(min1)
		low, high := w[64*pair:][:32], w[64*pair+32:][:32]
		for i := range 32 {
			low[i] = float32(d0*float32(q[i]&15)) - m0
			high[i] = float32(d1*float32(q[i]>>4)) - m1
		}
	}
}

// Q5_K: 256 weights in 176 bytes: as Q4_K with 32 bytes of fifth bits before
// the numbers; bit g of byte i belongs to weight i of group g.

func decodeQ5_K(w []float32, b []byte) {
	d, m := loadF16(b), loadF16(b[2:])
	fifth := b[16:48]
	for pair := range 4 {
		q := b[48+32*pair:][:32]
		scale0, min0 := groupScale(b[4:16], 2*pair)
		scale1, min1 := groupScale(b[4:16], 2*pair+1)
		d0, m0 := d*float32(scale0), m*float32(min0)
		d1, m1 := d*float32(scale1), m*float32(min1)
		low, high := w[64*pair:][:32], w[64*pair+32:][:32]
		for i := range 32 {
			low[i] = float32(d0*float32(q[i]&15|fifth[i]>>(2*pair)&1<<4)) - m0
			high[i] = float32(d1*float32(q[i]>>4|fifth[i]>>(2*pair+1)&1<<4)) - m1
		}
	}
}

// groupScale unpacks the 6-bit scale and minimum of group j of eight. The low
// four groups have six bits in place; the high four have four bits in the last
// four bytes and two in the top of the first eight.
func groupScale(packed []byte, j int) (scale, minimum byte) {
	if j < 4 {
		return packed[j] & 63, packed[j+4] & 63
	}
	return packed[j+4]&15 | packed[j-4]>>6<<4, packed[j+4]>>4 | packed[j]>>6<<4
}

// packScale is the inverse of groupScale for j in rising order.
func packScale(packed []byte, j int, scale, minimum byte) {
	if j < 4 {
		packed[j], packed[j+4] = scale, minimum
		return
	}
	packed[j+4] = scale&15 | minimum&15<<4
	packed[j-4] |= scale >> 4 << 6
	packed[j] |= minimum >> 4 << 6
}

// encodeQ4_K fits a scale and a minimum to each group, rounds those to six bits
// of the block's, and rounds the weights again with what they became.
func encodeQ4_K(b []byte, x []float32) {
	clear(b)
	var numbers [256]byte
	var scales, minima [8]float32
	for j := range 8 {
		group := x[32*j:][:32]
		scales[j], minima[j] = fitGroup(group, numbers[32*j:][:32])
	}
	mostScale, mostMin := top(scales[:]), top(minima[:])
	for j := range 8 {
		packScale(b[4:16], j, sixBits(scales[j], mostScale), sixBits(minima[j], mostMin))
	}
	storeF16(b, mostScale/63)
	storeF16(b[2:], mostMin/63)
	d, m := loadF16(b), loadF16(b[2:])
	for j := range 8 {
		scale, minimum := groupScale(b[4:16], j)
		renumber(x[32*j:][:32], numbers[32*j:][:32], d*float32(scale), m*float32(minimum))
	}
	packNibbles(b[16:], numbers[:])
}

// fitGroup weights each element by its magnitude plus the group's root mean
// square, as ggml does without an importance matrix.
func fitGroup(x []float32, numbers []byte) (scale, minimum float32) {
	squares := float32(0)
	for _, v := range x {
		squares += float32(v * v)
	}
	rms := float32(math.Sqrt(float64(squares / 32)))
	var weights [32]float32
	for i, v := range x {
		weights[i] = rms + abs(v)
	}
	return fitScaleMin(x, weights[:], numbers)
}

func top(x []float32) float32 {
	most := float32(0)
	for _, v := range x {
		most = max(most, v)
	}
	return most
}

func sixBits(x, most float32) byte {
	if most <= 0 {
		return 0
	}
	return byte(min(63, nearest(float32(63/most)*x)))
}

// renumber rounds x with the scale and minimum that the block stores. A group
// whose scale became zero keeps the numbers it has.
func renumber(x []float32, numbers []byte, scale, minimum float32) {
	if scale == 0 {
		return
	}
	for i, v := range x {
		numbers[i] = byte(max(0, min(15, nearest((v+minimum)/scale))))
	}
}

// packNibbles stores groups 2p and 2p+1 as the halves of the same bytes.
func packNibbles(b []byte, numbers []byte) {
	for pair := range 4 {
		for i := range 32 {
			b[32*pair+i] = numbers[64*pair+i] | numbers[64*pair+32+i]<<4
		}
	}
}
