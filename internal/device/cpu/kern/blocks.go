package kern

import (
	"encoding/binary"
	"math"
	"unsafe"

	"align/internal/gguf"
	"align/internal/safetensors"
)

// Decode decodes n blocks (Int8: groups of 32 elements) of each of some rows,
// which begin srcStep bytes apart, to rows dstStep bytes apart. n and rows are
// at least 1. It brings in what lies ahead bytes behind what it reads. Int8
// finds a row's largest magnitude back bytes before its first group; the others
// take no back.
type Decode func(dst, src unsafe.Pointer, n, rows, dstStep, srcStep, ahead, back int)

// Decoders is the decoders of the types whose elements share scales (package
// device), to float32 or bfloat16.
type Decoders struct{ Q8_0, Q4_0, NF4, Q4_K, Q6_K, Int8 Decode }

// Direct is c += x w for DirectRows rows of w, n blocks (Int8: groups of 32
// elements) of each, srcStep bytes apart, decoded in registers, and m rows of x in
// a panel of A [words][m]; c is m rows of Cols float32. The bits are
// those of a Tile on the decoded rows.
type Direct func(c, x, src unsafe.Pointer, n, srcStep, m int, work *DirectWork)

// DirectRows is the rows of w that a Direct takes.
const DirectRows = Cols

// DirectWork is memory that a Direct or a PackBlocks works in. Int8 finds the
// distances of the rows' numbers in Scales.
type DirectWork struct {
	Scales [DirectRows]float32
	_      [82 * 64]byte // what a row's groups are scaled by, six bits as bytes, and bytes that wait
	// Ahead is how many bytes behind the first block the memory begins that a Direct of
	// bfloat16 brings in, as much as it decodes, in order. It need not be the program's.
	Ahead int
}

// PackBlocks writes a panel of B of the rows that a Direct multiplies by.
type PackBlocks func(dst, src unsafe.Pointer, n, srcStep int, work *DirectWork)

// InBlocks is what decodes blocks of a type and transposes them in registers:
// DirectFloat and PackFloat to float32, the others to bfloat16. Each may be nil.
type InBlocks struct {
	Direct      Direct
	Pack        PackBlocks
	PackFloat   PackBlocks
	Span        SpanBlocks
	SpanAcross  SpanBlocks // where the sums run over the rows
	DirectFloat Direct
	FloatRows   int // the most rows of x that DirectFloat takes, where there is a limit
	Few         FewBlocks
}

// FewBlocks is Products.Few for groups of FewGroup rows of blocks, n of each, srcStep
// bytes apart, each group next bytes behind the one before, and m rows of x in a panel
// [words][m]; c is rows of m float32. Int8 takes two groups at most. It works in
// FewSpace bytes at rows.
type FewBlocks func(c, x, src unsafe.Pointer, n, srcStep, next, groups, m, add int, work *DirectWork, rows unsafe.Pointer)

// FewGroup is the rows of w that a FewBlocks takes at a time.
const FewGroup = DirectRows / 2

// FewSpace is the bytes that a FewBlocks works in.
const FewSpace = 16 << 10

// SpanBlocks is a Span of MakingRows rows, MakingWords words and MakingPanels
// panels, which makes as many units of a panel of B on its way.
type SpanBlocks func(s *Span, m *Making)

// Making is parts of panels of B on their way from DirectRows/2 rows of blocks. A
// unit is their next 32 elements: 16 words of half a panel, or where the sums run
// over the rows, 8 words of one.
type Making struct {
	Dst     unsafe.Pointer // of the first unit's words, Stride bytes from word to word
	DstStep int            // from unit to unit
	Src     unsafe.Pointer // the first row's first block
	SrcStep int            // from row to row
	Work    *DirectWork
	Second  bool           // the rows are the second half of DirectRows
	Units   int            // that are made
	Next    unsafe.Pointer // the next span's A, which is brought in; it need not be memory of the program
}

const (
	MakingRows   = 32
	MakingWords  = 128
	MakingPanels = 8
	MakingUnit   = 16 // words of a row in a unit
)

// Sizes of the blocks in bytes; their elements are 32, 64 (NF4) or 256 (K).
const (
	q8Bytes  = 34
	q4Bytes  = 18
	nf4Bytes = 36
	q4KBytes = 144
	q6KBytes = 210
)

// int8Group is how many elements of Int8 a decoder counts as one block.
const int8Group = 32

// oneRow is a decoder of n blocks of a row to float32.
type oneRow func(dst []float32, src []byte)

func genericDecoders(half bool) Decoders {
	make := func(elements, bytes int, row oneRow) Decode { return genericDecode(half, elements, bytes, row) }
	return Decoders{
		Q8_0: make(32, q8Bytes, reader(gguf.Q8_0)),
		Q4_0: make(32, q4Bytes, reader(gguf.Q4_0)),
		NF4:  make(64, nf4Bytes, nf4Generic),
		Q4_K: make(256, q4KBytes, reader(gguf.Q4_K)),
		Q6_K: make(256, q6KBytes, reader(gguf.Q6_K)),
		Int8: int8Generic(half),
	}
}

// reader cannot fail: the sizes are of whole blocks.
func reader(t gguf.Type) oneRow {
	return func(dst []float32, src []byte) { _ = gguf.Dequantize(t, dst, src) }
}

func genericDecode(half bool, elements, bytes int, row oneRow) Decode {
	return func(dst, src unsafe.Pointer, n, rows, dstStep, srcStep, _, _ int) {
		wide := make([]float32, n*elements)
		for i := range rows {
			row(wide, raw(at(src, i*srcStep), n*bytes))
			storeDecoded(at(dst, i*dstStep), wide, half)
		}
	}
}

func storeDecoded(dst unsafe.Pointer, wide []float32, half bool) {
	if half {
		roundGeneric(dst, unsafe.Pointer(unsafe.SliceData(wide)), len(wide))
		return
	}
	copy(floats(dst, len(wide)), wide)
}

func raw(p unsafe.Pointer, n int) []byte { return unsafe.Slice((*byte)(p), n) }

func nf4Generic(w []float32, b []byte) {
	values := safetensors.NF4Code()
	for ; len(w) > 0; w, b = w[64:], b[nf4Bytes:] {
		most := math.Float32frombits(binary.LittleEndian.Uint32(b))
		for i, q := range b[4:nf4Bytes] {
			w[2*i], w[2*i+1] = values[q>>4]*most, values[q&15]*most
		}
	}
}

func int8Generic(half bool) Decode {
	return func(dst, src unsafe.Pointer, n, rows, dstStep, srcStep, _, back int) {
		wide := make([]float32, n*int8Group)
		for i := range rows {
			row := at(src, i*srcStep)
			step := math.Float32frombits(binary.LittleEndian.Uint32(raw(at(row, -back), 4))) / 127
			for i, q := range raw(row, len(wide)) {
				wide[i] = float32(int8(q)) * step
			}
			storeDecoded(at(dst, i*dstStep), wide, half)
		}
	}
}
