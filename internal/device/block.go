package device

// Types of frozen weights whose elements share scales. Each row is a whole
// number of blocks and stands by itself, so that a view of such a type has
// rows, but no address of a single element. Q8_0 to Q6_K are the blocks of
// GGUF, byte for byte (ggml-common.h).
const (
	Q8_0 Type = iota + 16
	Q4_0
	Q4_1
	Q5_0
	Q5_1
	Q4_K
	Q5_K
	Q6_K
	// NF4 is a block of 64 elements in 36 bytes: the largest magnitude as a
	// little-endian float32, then 64 indices into the 16 values of NF4
	// (https://arxiv.org/abs/2305.14314, appendix E), the first of each two in
	// the high half of its byte. The indices are those of bitsandbytes.
	NF4
	// Int8 is a row in 4 bytes and one for each element: the largest magnitude
	// m as a little-endian float32, then q of -127 to 127; w = q*(m/127)
	// (https://arxiv.org/abs/2208.07339, the weights of LLM.int8).
	Int8
)

// BlockTypes lists the types whose elements share scales.
func BlockTypes() []Type { return []Type{Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, NF4, Int8} }

// block is the layout of a type of blocks. A size of 0 is a whole row, which
// then has bytes beside one for each element.
type block struct {
	name        string
	size, bytes int
}

func (t Type) block() block {
	switch t {
	case Q8_0:
		return block{"q8_0", 32, 34}
	case Q4_0:
		return block{"q4_0", 32, 18}
	case Q4_1:
		return block{"q4_1", 32, 20}
	case Q5_0:
		return block{"q5_0", 32, 22}
	case Q5_1:
		return block{"q5_1", 32, 24}
	case Q4_K:
		return block{"q4_k", 256, 144}
	case Q5_K:
		return block{"q5_k", 256, 176}
	case Q6_K:
		return block{"q6_k", 256, 210}
	case NF4:
		return block{"nf4", 64, 36}
	case Int8:
		return block{"int8", 0, 4}
	}
	return block{}
}

// IsBlock says whether the elements of the type share scales: such a view can
// only be a placed weight.
func (t Type) IsBlock() bool { return t.block().name != "" }

// BlockSize is the number of elements that a row's length must be a multiple
// of: 1 for element types and for Int8.
func (t Type) BlockSize() int { return max(1, t.block().size) }

// RowBytes is the size in bytes of a row of n elements, a multiple of
// BlockSize.
func (t Type) RowBytes(n int) int64 {
	switch b := t.block(); {
	case b.name == "":
		return int64(n) * int64(t.Size())
	case b.size == 0:
		return int64(b.bytes) + int64(n)
	default:
		return int64(n/b.size) * int64(b.bytes)
	}
}
