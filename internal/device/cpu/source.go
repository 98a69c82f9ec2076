package cpu

import (
	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// viewSource is a plain weight of a type that has no panels, binary16, float64
// and the types of blocks: a product reads it piece by piece.
type viewSource struct {
	w   device.View
	set *kern.Set
}

// Read writes elements [col, col+len(dst)) of a row to dst.
func (s *viewSource) Read(dst []float32, row, col int) {
	size := s.w.Type.BlockSize()
	if s.w.Type.IsBlock() && col%size == 0 {
		whole := len(dst) / size * size
		if readBlocks(s.set, dst[:whole], s.w, row, col) {
			dst, col = dst[whole:], col+whole
		}
	}
	if len(dst) > 0 {
		widen(dst, s.w, row*s.w.Cols+col)
	}
}

// readBlocks decodes whole blocks by the level's functions, where it has one for
// their type; the bits are those of widenBlocks.
func readBlocks(set *kern.Set, dst []float32, w device.View, row, col int) bool {
	if len(dst) == 0 {
		return true
	}
	src := rawBytes(w.Row(row, 1))
	if w.Type == device.Int8 {
		set.Bytes(dst, src[4+col:][:len(dst)], float32At(src)/127)
		return true
	}
	src = src[w.Type.RowBytes(col):][:w.Type.RowBytes(len(dst))]
	switch w.Type {
	case device.Q8_0:
		set.Q8_0(dst, src)
	case device.Q4_0:
		set.Q4_0(dst, src)
	case device.Q4_K:
		set.Q4_K(dst, src)
	case device.Q6_K:
		set.Q6_K(dst, src)
	case device.NF4:
		set.NF4(dst, src)
	default:
		return false
	}
	return true
}
