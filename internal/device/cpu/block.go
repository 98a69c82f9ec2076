package cpu

import (
	"math"

	"align/internal/device"
	"align/internal/gguf"
	"align/internal/safetensors"
)

// largestBlock is the number of elements in the largest block of any type.
const largestBlock = 256

// widenBlocks is widen for a type of blocks: elements [at, at+len(dst)) stand in
// one row. Values are rounded to float32, as those of the formats' own readers
// are, and then widened.
func widenBlocks[E float](dst []E, v device.View, at int) {
	row, col := rawBytes(v.Row(at/v.Cols, 1)), at%v.Cols
	if v.Type == device.Int8 {
		widenInt8(dst, row, col)
		return
	}
	size := v.Type.BlockSize()
	var block [largestBlock]float32
	for len(dst) > 0 {
		whole := len(dst) / size * size
		if direct, ok := any(dst).([]float32); ok && col%size == 0 && whole > 0 {
			decodeBlocks(direct[:whole], v.Type, row, col)
			dst, col = dst[whole:], col+whole
			continue
		}
		decodeBlocks(block[:size], v.Type, row, col/size*size)
		wanted := block[col%size : min(size, col%size+len(dst))]
		for i, x := range wanted {
			dst[i] = E(x)
		}
		dst, col = dst[len(wanted):], col+len(wanted)
	}
}

// decodeBlocks decodes whole blocks of a row, from element col on.
func decodeBlocks(dst []float32, t device.Type, row []byte, col int) {
	src := row[t.RowBytes(col):][:t.RowBytes(len(dst))]
	if t == device.NF4 {
		decodeNF4(dst, src)
		return
	}
	// An error would be of a type or a size that Place has refused.
	_ = gguf.Dequantize(ggufType(t), dst, src)
}

// ggufType is the number in GGUF of a type that is stored as there.
func ggufType(t device.Type) gguf.Type {
	switch t {
	case device.Q8_0:
		return gguf.Q8_0
	case device.Q4_0:
		return gguf.Q4_0
	case device.Q4_1:
		return gguf.Q4_1
	case device.Q5_0:
		return gguf.Q5_0
	case device.Q5_1:
		return gguf.Q5_1
	case device.Q4_K:
		return gguf.Q4_K
	case device.Q5_K:
		return gguf.Q5_K
	}
	return gguf.Q6_K
}

func decodeNF4(dst []float32, src []byte) {
	values := safetensors.NF4Code()
	for ; len(dst) >= 64; dst, src = dst[64:], src[36:] {
		most := float32At(src)
		for i, q := range src[4:36] {
			dst[2*i] = values[q>>4] * most
			dst[2*i+1] = values[q&15] * most
		}
	}
}

func widenInt8[E float](dst []E, row []byte, col int) {
	step := float32At(row) / 127
	for i, q := range row[4+col:][:len(dst)] {
		dst[i] = E(float32(int8(q)) * step)
	}
}

// float32At is the little-endian float32 that b begins with.
func float32At(b []byte) float32 {
	return math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
}
