package gguf

// Q4_0: 32 weights in 18 bytes: f16 d, then 16 bytes of two 4-bit numbers, the
// low ones for the first half of the block.
//
//	w = d * (q - 8)

func decodeQ4_0(w []float32, b []byte) {
	d := loadF16(b)
	for i, q := range b[2:18] {
		w[i] = d * float32(int(q&15)-8)
		w[i+16] = d * float32(int(q>>4)-8)
	}
}

// encodeQ4_0 takes d = m / -8 where m is the value with the largest magnitude,
// so that m itself is the number 0.
func encodeQ4_0(b []byte, x []float32) {
	d := signedMax(x) / -8
	inv := inverse(d)
	storeF16(b, d)
	for i := range 16 {
		low := min(15, int(float32(x[i]*inv)+8.5))
		high := min(15, int(float32(x[i+16]*inv)+8.5))
		b[2+i] = byte(low) | byte(high)<<4
	}
}

// signedMax is the first value with the largest magnitude.
func signedMax(x []float32) float32 {
	most := float32(0)
	for _, v := range x {
		if abs(v) > abs(most) {
			most = v
		}
	}
	return most
}

// Q4_1: 32 weights in 20 bytes: f16 d, f16 m, then numbers as in Q4_0.
//
//	w = d * q + m

func decodeQ4_1(w []float32, b []byte) {
	d, m := loadF16(b), loadF16(b[2:])
	for i, q := range b[4:20] {
		w[i] = float32(d*float32(q&15)) + m
		w[i+16] = float32(d*float32(q>>4)) + m
	}
}
