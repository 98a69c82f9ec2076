package gemm

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Packed is a weight of N x K (out x in) elements in forward panels: the words
// of 32 rows side by side, K words deep, [N/32][K words][32]. A word is a
// float32 or a pair of bfloat16; rows past N and an odd last element are 0.
type Packed struct {
	Data unsafe.Pointer // of PackedBytes bytes, aligned to 64
	Type device.Type    // F32 or BF16
	N, K int
}

// PackedBytes is the size of a weight of n x k elements of type F32 or BF16.
func PackedBytes(t device.Type, n, k int) int64 {
	return int64(blocks(n, kern.Cols)) * int64(blocks(k, perWord(t))) * kern.Stride
}

// perWord is the number of elements along K in a word.
func perWord(t device.Type) int {
	if t == device.BF16 {
		return 2
	}
	return 1
}

// blocks is how many blocks of the given size cover n.
func blocks(n, size int) int { return (n + size - 1) / size }

func (w Packed) words() int { return blocks(w.K, perWord(w.Type)) }

func (w Packed) panelBytes() int { return w.words() * kern.Stride }

// panel is the address of word k of the panel with rows 32j to 32j+31.
func (w Packed) panel(j, k int) unsafe.Pointer {
	return unsafe.Add(w.Data, j*w.panelBytes()+k*kern.Stride)
}

// Rows is the part of n rows from start, which must be a multiple of 32.
func (w Packed) Rows(start, n int) (Packed, error) {
	if start%kern.Cols != 0 || start < 0 || n < 0 || start+n > w.N {
		return Packed{}, fmt.Errorf("gemm: rows %d to %d of a packed weight of %d: want a start that is a multiple of %d, and rows that exist", start, start+n, w.N, kern.Cols)
	}
	w.Data, w.N = w.panel(start/kern.Cols, 0), n
	return w, nil
}

// Row writes the K elements of one row to dst.
func (w Packed) Row(dst []float32, row int) {
	words := unsafe.Slice((*uint32)(w.panel(row/kern.Cols, 0)), w.words()*kern.Cols)[row%kern.Cols:]
	dst = dst[:w.K]
	if w.Type == device.F32 {
		for k := range dst {
			dst[k] = math.Float32frombits(words[k*kern.Cols])
		}
		return
	}
	for k := 0; k < len(dst); k += 2 {
		x := words[k/2*kern.Cols]
		dst[k] = math.Float32frombits(x << 16)
		if k+1 < len(dst) {
			dst[k+1] = math.Float32frombits(x & 0xffff0000)
		}
	}
}

func (w Packed) check() error {
	var errs []error
	if w.Type != device.F32 && w.Type != device.BF16 {
		errs = append(errs, fmt.Errorf("gemm: packed weight of type %s: want f32 or bf16", w.Type))
	}
	if w.N < 1 || w.K < 1 {
		errs = append(errs, fmt.Errorf("gemm: packed weight of %dx%d: want at least 1x1", w.N, w.K))
	}
	if w.Data == nil {
		errs = append(errs, errors.New("gemm: packed weight without memory"))
	}
	return errors.Join(errs...)
}
