package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"align/internal/half"
)

// maxQuantizable is the largest float16: above it a scale cannot be stored.
const maxQuantizable = 65504

// Quantize converts src to the blocks of dst, of type F32, F16, BF16, Q8_0,
// Q4_0, Q4_K or Q6_K. len(src) must be a whole number of blocks and dst must
// have exactly their size. The blocks are those of ggml's quantize_row_*_ref
// compiled without fused multiply-add. A block format or F16 refuses NaN,
// infinities and values above 65504.
func Quantize(t Type, dst []byte, src []float32) error {
	block, err := t.blockEncoder()
	if err != nil {
		return err
	}
	if err := checkBlocks(t, len(src), len(dst)); err != nil {
		return err
	}
	if t != F32 && t != BF16 {
		if err := checkRange(t, src); err != nil {
			return err
		}
	}
	size, bytes := t.BlockSize(), t.BlockBytes()
	if size == 1 {
		block(dst, src)
		return nil
	}
	for len(src) > 0 {
		block(dst[:bytes], src[:size])
		dst, src = dst[bytes:], src[size:]
	}
	return nil
}

// CanQuantize reports whether Quantize converts to t.
func CanQuantize(t Type) bool {
	_, err := t.blockEncoder()
	return err == nil
}

// blockEncoder returns the function that converts one block; for a plain
// format, any number of elements.
func (t Type) blockEncoder() (func(b []byte, x []float32), error) {
	switch t {
	case F32:
		return encodeF32, nil
	case F16:
		return encodeF16, nil
	case BF16:
		return encodeBF16, nil
	case Q8_0:
		return encodeQ8_0, nil
	case Q4_0:
		return encodeQ4_0, nil
	case Q4_K:
		return encodeQ4_K, nil
	case Q6_K:
		return encodeQ6_K, nil
	}
	return nil, fmt.Errorf("gguf: float32 cannot be converted to %v", t)
}

func encodeF32(b []byte, x []float32) {
	for i, v := range x {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
}

func encodeF16(b []byte, x []float32) {
	for i, v := range x {
		storeF16(b[2*i:], v)
	}
}

func encodeBF16(b []byte, x []float32) {
	for i, v := range x {
		binary.LittleEndian.PutUint16(b[2*i:], half.ToBF16(v))
	}
}

func checkRange(t Type, src []float32) error {
	for i, x := range src {
		if !(abs(x) <= maxQuantizable) { // false for NaN too
			return fmt.Errorf("gguf: element %d is %g: %v holds values up to %d", i, x, t, maxQuantizable)
		}
	}
	return nil
}

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// inverse is 1/d, or 0 where d is 0 or so small that 1/d overflows; such a
// scale is 0 as a float16 anyway.
func inverse(d float32) float32 {
	if d == 0 || abs(1/d) > math.MaxFloat32 {
		return 0
	}
	return 1 / d
}

// nearest rounds to the nearest integer, ties to even, for |x| below 2^22, as
// ggml's nearest_int does; beyond that the result is some integer.
func nearest(x float32) int {
	const magic = 12582912 // 1.5 * 2^23: the unit of the last place is 1
	return int(math.Float32bits(x+magic)&0x7fffff) - 0x400000
}
