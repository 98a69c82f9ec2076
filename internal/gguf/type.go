package gguf

import (
	"fmt"
	"math/bits"
)

// Type is the element format of a tensor. In a block format a row is cut into
// blocks of BlockSize elements that share scales.
type Type uint32

// The formats, with their numbers in the file (ggml.h, enum ggml_type).
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	I8   Type = 24
	I16  Type = 25
	I32  Type = 26
	I64  Type = 27
	F64  Type = 28
	BF16 Type = 30
)

// format is what the layout of a file needs to know of a type.
type format struct {
	name  string
	block int // elements in a block
	bytes int // bytes of a block
}

// format returns the zero format for a number that ggml does not use. Formats
// that are listed here and not above can be located in a file but not
// converted. Sizes: ggml-common.h.
func (t Type) format() format {
	switch t {
	case F32:
		return format{"F32", 1, 4}
	case F16:
		return format{"F16", 1, 2}
	case BF16:
		return format{"BF16", 1, 2}
	case F64:
		return format{"F64", 1, 8}
	case I8:
		return format{"I8", 1, 1}
	case I16:
		return format{"I16", 1, 2}
	case I32:
		return format{"I32", 1, 4}
	case I64:
		return format{"I64", 1, 8}
	case Q4_0:
		return format{"Q4_0", 32, 18}
	case Q4_1:
		return format{"Q4_1", 32, 20}
	case Q5_0:
		return format{"Q5_0", 32, 22}
	case Q5_1:
		return format{"Q5_1", 32, 24}
	case Q8_0:
		return format{"Q8_0", 32, 34}
	case Q4_K:
		return format{"Q4_K", 256, 144}
	case Q5_K:
		return format{"Q5_K", 256, 176}
	case Q6_K:
		return format{"Q6_K", 256, 210}
	}
	return t.otherFormat()
}

func (t Type) otherFormat() format {
	switch t {
	case 9:
		return format{"Q8_1", 32, 36}
	case 10:
		return format{"Q2_K", 256, 84}
	case 11:
		return format{"Q3_K", 256, 110}
	case 15:
		return format{"Q8_K", 256, 292}
	case 16:
		return format{"IQ2_XXS", 256, 66}
	case 17:
		return format{"IQ2_XS", 256, 74}
	case 18:
		return format{"IQ3_XXS", 256, 98}
	case 19:
		return format{"IQ1_S", 256, 50}
	case 20:
		return format{"IQ4_NL", 32, 18}
	case 21:
		return format{"IQ3_S", 256, 110}
	case 22:
		return format{"IQ2_S", 256, 82}
	case 23:
		return format{"IQ4_XS", 256, 136}
	case 29:
		return format{"IQ1_M", 256, 56}
	case 34:
		return format{"TQ1_0", 256, 54}
	case 35:
		return format{"TQ2_0", 256, 66}
	case 39:
		return format{"MXFP4", 32, 17}
	}
	return format{}
}

// String is ggml's name of the format, such as Q4_K.
func (t Type) String() string {
	if name := t.format().name; name != "" {
		return name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// BlockSize is the number of elements in a block; 1 for plain formats, 0 for
// an unknown one. A row must be a whole number of blocks.
func (t Type) BlockSize() int { return t.format().block }

// BlockBytes is the size of a block in bytes.
func (t Type) BlockBytes() int { return t.format().bytes }

// Size is the size in bytes of a tensor of the given shape, in ggml's order:
// shape[0] is the length of a row. It is an error if the row is not a whole
// number of blocks, a dimension is negative or the size overflows 63 bits.
func (t Type) Size(shape ...int) (int64, error) {
	f := t.format()
	if f.block == 0 {
		return 0, fmt.Errorf("gguf: %v is not known", t)
	}
	row := 1
	if len(shape) > 0 {
		row = shape[0]
	}
	if row%f.block != 0 {
		return 0, fmt.Errorf("gguf: rows of %d elements are not a multiple of the %d of a %v block", row, f.block, t)
	}
	elements := uint64(1)
	for _, n := range shape {
		if n < 0 {
			return 0, fmt.Errorf("gguf: shape %v has a negative dimension", shape)
		}
		high, low := bits.Mul64(elements, uint64(n))
		if high != 0 || low > 1<<63-1 {
			return 0, fmt.Errorf("gguf: number of elements of shape %v overflows", shape)
		}
		elements = low
	}
	high, size := bits.Mul64(elements/uint64(f.block), uint64(f.bytes))
	if high != 0 || size > 1<<63-1 {
		return 0, fmt.Errorf("gguf: size of shape %v of %v overflows", shape, t)
	}
	return int64(size), nil
}
