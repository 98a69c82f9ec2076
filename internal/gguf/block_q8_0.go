package gguf

import "math"

// Q8_0: 32 weights in 34 bytes: f16 d, then int8 q[32].
//
//	w = d * q

func decodeQ8_0(w []float32, b []byte) {
	d := loadF16(b)
	for i, q := range b[2:34] {
		w[i] = d * float32(int8(q))
	}
}

// encodeQ8_0 takes d = max|x| / 127 and rounds halves away from zero.
func encodeQ8_0(b []byte, x []float32) {
	most := float32(0)
	for _, v := range x {
		most = max(most, abs(v))
	}
	d := most / 127
	inv := inverse(d)
	storeF16(b, d)
	for i, v := range x {
		b[2+i] = byte(int8(math.Round(float64(v * inv))))
	}
}
