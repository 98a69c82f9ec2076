package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"align/internal/half"
)

// The products below stand in float32(...) so that no compiler joins them with
// the addition after them: the results are the same bits on every machine.

// Dequantize converts the blocks of src, of type F32, F16, BF16, Q8_0, Q4_0,
// Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K, to dst. len(dst) must be a whole number
// of blocks and src must hold exactly those. The values are bit-equal to those
// of ggml's dequantize_row_* compiled without fused multiply-add.
func Dequantize(t Type, dst []float32, src []byte) error {
	if !CanDequantize(t) {
		return fmt.Errorf("gguf: %v cannot be converted to float32", t)
	}
	if err := checkBlocks(t, len(dst), len(src)); err != nil {
		return err
	}
	size, bytes := t.BlockSize(), t.BlockBytes()
	if size == 1 {
		decodeBlock(t, dst, src)
		return nil
	}
	for len(dst) > 0 {
		decodeBlock(t, dst[:size], src[:bytes])
		dst, src = dst[size:], src[bytes:]
	}
	return nil
}

// CanDequantize reports whether Dequantize converts from t.
func CanDequantize(t Type) bool {
	switch t {
	case F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K:
		return true
	}
	return false
}

// decodeBlock converts one block; of a plain format, any number of elements.
// The calls are direct, so that a caller's buffer can stay on its stack.
func decodeBlock(t Type, w []float32, b []byte) {
	switch t {
	case F32:
		decodeF32(w, b)
	case F16:
		decodeF16(w, b)
	case BF16:
		decodeBF16(w, b)
	case Q8_0:
		decodeQ8_0(w, b)
	case Q4_0:
		decodeQ4_0(w, b)
	case Q4_1:
		decodeQ4_1(w, b)
	case Q5_0:
		decodeQ5_0(w, b)
	case Q5_1:
		decodeQ5_1(w, b)
	case Q4_K:
		decodeQ4_K(w, b)
	case Q5_K:
		decodeQ5_K(w, b)
	case Q6_K:
		decodeQ6_K(w, b)
	}
}

func decodeF32(w []float32, b []byte) {
	for i := range w {
		w[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
}

func decodeF16(w []float32, b []byte) {
	for i := range w {
		w[i] = loadF16(b[2*i:])
	}
}

func decodeBF16(w []float32, b []byte) {
	for i := range w {
		w[i] = half.FromBF16(binary.LittleEndian.Uint16(b[2*i:]))
	}
}

// checkBlocks compares a number of elements with the bytes of their blocks.
func checkBlocks(t Type, elements, bytes int) error {
	if elements%t.BlockSize() != 0 {
		return fmt.Errorf("gguf: %d elements are not a multiple of the %d of a %v block", elements, t.BlockSize(), t)
	}
	if want := elements / t.BlockSize() * t.BlockBytes(); bytes != want {
		return fmt.Errorf("gguf: %d elements of %v are %d bytes, got %d", elements, t, want, bytes)
	}
	return nil
}
