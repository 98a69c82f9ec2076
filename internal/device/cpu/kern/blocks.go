package kern

import (
	"encoding/binary"
	"math"
	"unsafe"

	"align/internal/gguf"
	"align/internal/safetensors"
)

// blocks is the functions that decode block-quantised weights; the methods of
// Set say what they compute. Those of q4K and q6K take one block's numbers and
// the factors of its groups, which may lie in the last sixteen elements of dst.
type blocks struct {
	q8x0, q4x0, nf4 func(dst, src unsafe.Pointer, n int)
	q4K, q6K        func(dst, src, factors unsafe.Pointer)
	bytes           func(dst, src unsafe.Pointer, n int, step float32) // n is a multiple of 16
}

// Sizes of the blocks in bytes; their elements are 32, 64 (NF4) or 256 (K).
const (
	q8Bytes  = 34
	q4Bytes  = 18
	nf4Bytes = 36
	q4KBytes = 144
	q6KBytes = 210
)

// Q8_0 decodes whole blocks of Q8_0 (ggml-common.h), to the bits of package
// gguf. len(dst) is a multiple of 32.
func (s *Set) Q8_0(dst []float32, src []byte) {
	n := len(dst) / 32
	s.q8x0(first(dst, len(dst)), first(src, n*q8Bytes), n)
}

// Q4_0 decodes whole blocks of Q4_0, as Q8_0.
func (s *Set) Q4_0(dst []float32, src []byte) {
	n := len(dst) / 32
	s.q4x0(first(dst, len(dst)), first(src, n*q4Bytes), n)
}

// NF4 decodes whole blocks of 64 elements (package device, NF4).
func (s *Set) NF4(dst []float32, src []byte) {
	n := len(dst) / 64
	s.nf4(first(dst, len(dst)), first(src, n*nf4Bytes), n)
}

// Q4_K decodes whole blocks of 256 elements of Q4_K, to the bits of package gguf.
func (s *Set) Q4_K(dst []float32, src []byte) {
	for ; len(dst) >= 256; dst, src = dst[256:], src[q4KBytes:] {
		factors := lastSixteen(dst)
		gguf.Q4KFactors(factors, src)
		s.q4K(first(dst, 256), first(src[16:q4KBytes], 128), unsafe.Pointer(factors))
	}
}

// Q6_K decodes whole blocks of 256 elements of Q6_K, to the bits of package gguf.
func (s *Set) Q6_K(dst []float32, src []byte) {
	for ; len(dst) >= 256; dst, src = dst[256:], src[q6KBytes:] {
		factors := lastSixteen(dst)
		gguf.Q6KFactors(factors, src)
		s.q6K(first(dst, 256), first(src[:q6KBytes], 192), unsafe.Pointer(factors))
	}
}

// lastSixteen is where a block's factors wait: memory of their own would be a
// heap allocation, and each is read before its place in the block is written.
func lastSixteen(block []float32) *[16]float32 { return (*[16]float32)(block[240:256]) }

// Bytes is dst = step*src of signed bytes.
func (s *Set) Bytes(dst []float32, src []byte, step float32) {
	n := len(dst)
	whole := n / 16 * 16
	s.bytes(first(dst, n), first(src, n), whole, step)
	bytesGeneric(first(dst[whole:], n-whole), first(src[whole:], n-whole), n-whole, step)
}

func genericBlocks() blocks {
	return blocks{
		q8x0:  func(dst, src unsafe.Pointer, n int) { dequantize(gguf.Q8_0, dst, src, 32*n, q8Bytes*n) },
		q4x0:  func(dst, src unsafe.Pointer, n int) { dequantize(gguf.Q4_0, dst, src, 32*n, q4Bytes*n) },
		nf4:   nf4Generic,
		q4K:   q4KGeneric,
		q6K:   q6KGeneric,
		bytes: bytesGeneric,
	}
}

func raw(p unsafe.Pointer, n int) []byte { return unsafe.Slice((*byte)(p), n) }

// dequantize cannot fail: the sizes are of whole blocks.
func dequantize(t gguf.Type, dst, src unsafe.Pointer, elements, bytes int) {
	_ = gguf.Dequantize(t, floats(dst, elements), raw(src, bytes))
}

func nf4Generic(dst, src unsafe.Pointer, n int) {
	values, w, b := safetensors.NF4Code(), floats(dst, 64*n), raw(src, nf4Bytes*n)
	for ; len(w) > 0; w, b = w[64:], b[nf4Bytes:] {
		most := math.Float32frombits(binary.LittleEndian.Uint32(b))
		for i, q := range b[4:nf4Bytes] {
			w[2*i], w[2*i+1] = values[q>>4]*most, values[q&15]*most
		}
	}
}

func q4KGeneric(dst, src, factors unsafe.Pointer) {
	w, q, f := floats(dst, 256), raw(src, 128), [16]float32(floats(factors, 16))
	for i := range w {
		group := i / 32
		number := q[group/2*32+i%32] >> (4 * (group % 2)) & 15
		w[i] = float32(f[2*group]*float32(number)) - f[2*group+1]
	}
}

func q6KGeneric(dst, src, factors unsafe.Pointer) {
	w, q, f := floats(dst, 256), raw(src, 192), [16]float32(floats(factors, 16))
	for i := range w {
		half, part, at := i/128, i/32%4, i%32
		low := q[64*half+32*(part%2)+at] >> (4 * (part / 2)) & 15
		high := q[128+32*half+at] >> (2 * part) & 3
		w[i] = f[i/16] * float32(int(low|high<<4)-32)
	}
}

func bytesGeneric(dst, src unsafe.Pointer, n int, step float32) {
	w := floats(dst, n)
	for i, q := range raw(src, n) {
		w[i] = float32(int8(q)) * step
	}
}
