package gguf

import "encoding/binary"

// Q5_0: 32 weights in 22 bytes: f16 d, 32 fifth bits in order, then the low
// four bits as in Q4_0.
//
//	w = d * (q - 16)

func decodeQ5_0(w []float32, b []byte) {
	d := loadF16(b)
	fifth := binary.LittleEndian.Uint32(b[2:])
	for i, q := range b[6:22] {
		w[i] = d * float32(int(q&15)|int(fifth>>i&1)<<4-16)
		w[i+16] = d * float32(int(q>>4)|int(fifth>>(i+16)&1)<<4-16)
	}
}

// Q5_1: 32 weights in 24 bytes: f16 d, f16 m, then as in Q5_0.
//
//	w = d * q + m

func decodeQ5_1(w []float32, b []byte) {
	d, m := loadF16(b), loadF16(b[2:])
	fifth := binary.LittleEndian.Uint32(b[4:])
	for i, q := range b[8:24] {
		w[i] = float32(d*float32(int(q&15)|int(fifth>>i&1)<<4)) + m
		w[i+16] = float32(d*float32(int(q>>4)|int(fifth>>(i+16)&1)<<4)) + m
	}
}
