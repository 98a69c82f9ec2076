package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"

	"align/internal/half"
)

// ToFloat32 converts the little-endian elements of src, of type F32, F16, BF16
// or F64, to dst. src must hold len(dst) elements. F64 is rounded to nearest.
func ToFloat32(dst []float32, src []byte, d DType) error {
	if err := checkConvert(len(dst), len(src), d); err != nil {
		return err
	}
	switch d {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = half.FromBF16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = half.FromF16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	}
	return nil
}

// FromFloat32 converts src to the little-endian elements of dst, of type F32,
// F16, BF16 or F64. dst must hold len(src) elements. It rounds to nearest,
// ties to even.
func FromFloat32(dst []byte, src []float32, d DType) error {
	if err := checkConvert(len(src), len(dst), d); err != nil {
		return err
	}
	switch d {
	case F32:
		for i, x := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
		}
	case BF16:
		for i, x := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], half.ToBF16(x))
		}
	case F16:
		for i, x := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], half.ToF16(x))
		}
	case F64:
		for i, x := range src {
			binary.LittleEndian.PutUint64(dst[8*i:], math.Float64bits(float64(x)))
		}
	}
	return nil
}

func checkConvert(elements, bytes int, d DType) error {
	switch d {
	case F32, F16, BF16, F64:
	default:
		return fmt.Errorf("safetensors: dtype %q does not convert to or from float32: want F32, F16, BF16 or F64", string(d))
	}
	if want := elements * d.Bits() / 8; bytes != want {
		return fmt.Errorf("safetensors: %d elements of %s are %d bytes, got %d", elements, d, want, bytes)
	}
	return nil
}
