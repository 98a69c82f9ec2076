package safetensors

import (
	"fmt"
	"math/bits"
)

// DType is the element type of a tensor, spelled as in the header.
type DType string

// The element types of the format.
const (
	Bool   DType = "BOOL"
	F4     DType = "F4"
	F6E2M3 DType = "F6_E2M3"
	F6E3M2 DType = "F6_E3M2"
	U8     DType = "U8"
	I8     DType = "I8"
	F8E5M2 DType = "F8_E5M2"
	F8E4M3 DType = "F8_E4M3"
	F8E8M0 DType = "F8_E8M0"
	I16    DType = "I16"
	U16    DType = "U16"
	F16    DType = "F16"
	BF16   DType = "BF16"
	I32    DType = "I32"
	U32    DType = "U32"
	F32    DType = "F32"
	C64    DType = "C64"
	F64    DType = "F64"
	I64    DType = "I64"
	U64    DType = "U64"
)

// Bits is the size of one element in bits; 0 for a type the format lacks.
func (d DType) Bits() int {
	_, size := d.rank()
	return size
}

// rank is the place of the type in the reference implementation's enumeration,
// which decides the order of tensors in a file, and its size in bits
// (safetensors/src/tensor.rs, enum Dtype).
func (d DType) rank() (order, size int) {
	switch d {
	case Bool:
		return 1, 8
	case F4:
		return 2, 4
	case F6E2M3:
		return 3, 6
	case F6E3M2:
		return 4, 6
	case U8:
		return 5, 8
	case I8:
		return 6, 8
	case F8E5M2:
		return 7, 8
	case F8E4M3:
		return 8, 8
	case F8E8M0:
		return 9, 8
	case I16:
		return 10, 16
	case U16:
		return 11, 16
	case F16:
		return 12, 16
	case BF16:
		return 13, 16
	case I32:
		return 14, 32
	case U32:
		return 15, 32
	case F32:
		return 16, 32
	case C64:
		return 17, 64
	case F64:
		return 18, 64
	case I64:
		return 19, 64
	case U64:
		return 20, 64
	}
	return 0, 0
}

// bytesOf is the size in bytes of a tensor. It is an error if a dimension is
// negative, the size overflows 63 bits or it is not a whole number of bytes.
func bytesOf(d DType, shape []int) (int64, error) {
	size := d.Bits()
	if size == 0 {
		return 0, fmt.Errorf("unknown dtype %q", string(d))
	}
	total := uint64(1)
	for _, n := range append(shape[:len(shape):len(shape)], size) {
		if n < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		high, low := bits.Mul64(total, uint64(n))
		if high != 0 || low > 1<<63-1 {
			return 0, fmt.Errorf("size of shape %v overflows", shape)
		}
		total = low
	}
	if total%8 != 0 {
		return 0, fmt.Errorf("shape %v of %s is not a whole number of bytes", shape, d)
	}
	return int64(total / 8), nil
}
