package gguf

// Q6_K: 256 weights in 210 bytes: 128 bytes of low four bits, 64 bytes of high
// two bits, 16 int8 scales, f16 d. Each half of the block has four runs of 32
// weights whose low bits share 64 bytes and whose high bits share 32; a scale
// serves 16 weights.
//
//	w = d * scale * (q - 32)

func decodeQ6_K(w []float32, b []byte) {
	d := loadF16(b[208:])
	for half := range 2 {
		low, high := b[64*half:][:64], b[128+32*half:][:32]
		scales := b[192+8*half:][:8]
		out := w[128*half:][:128]
		for i := range 32 {
			group := i / 16
			q0 := low[i]&15 | high[i]&3<<4
			q1 := low[i+32]&15 | high[i]>>2&3<<4
			q2 := low[i]>>4 | high[i]>>4&3<<4
			q3 := low[i+32]>>4 | high[i]>>6<<4
			out[i] = d * float32(int8(scales[group])) * float32(int(q0)-32)
			out[i+32] = d * float32(int8(scales[group+2])) * float32(int(q1)-32)
			out[i+64] = d * float32(int8(scales[group+4])) * float32(int(q2)-32)
			out[i+96] = d * float32(int8(scales[group+6])) * float32(int(q3)-32)
		}
	}
}

// encodeQ6_K fits a scale to each 16 weights, rounds those to eight bits of the
// block's, and rounds the weights again with what they became.
func encodeQ6_K(b []byte, x []float32) {
	clear(b)
	var numbers [256]byte
	var scales [16]float32
	for j := range scales {
		scales[j] = fitScale(x[16*j:][:16], numbers[16*j:][:16])
	}
	most := signedMax(scales[:])
	if abs(most) < smallestScale {
		return
	}
	inv := -128 / most
	storeF16(b[208:], 1/inv)
	d := loadF16(b[208:])
	for j, s := range scales {
		scale := int8(min(127, nearest(inv*s)))
		b[192+j] = byte(scale)
		renumberSigned(x[16*j:][:16], numbers[16*j:][:16], d*float32(scale))
	}
	packSix(b, numbers[:])
}

// renumberSigned rounds x with the scale that the block stores. A group whose
// scale became zero keeps the numbers it has.
func renumberSigned(x []float32, numbers []byte, scale float32) {
	if scale == 0 {
		return
	}
	for i, v := range x {
		numbers[i] = byte(max(-32, min(31, nearest(v/scale))) + 32)
	}
}

// packSix stores the low four and the high two bits.
func packSix(b []byte, numbers []byte) {
	for half := range 2 {
		n := numbers[128*half:][:128]
		low, high := b[64*half:][:64], b[128+32*half:][:32]
		for i := range 32 {
			low[i] = n[i]&15 | n[i+64]&15<<4
			low[i+32] = n[i+32]&15 | n[i+96]&15<<4
			high[i] = n[i]>>4 | n[i+32]>>4<<2 | n[i+64]>>4<<4 | n[i+96]>>4<<6
		}
	}
}
