package cpu

import (
	"unsafe"

	"align/internal/device"
)

// heads is q, k, v or o as the tiles have it: rows of heads in float32 or, whole
// panels wide, in the bfloat16 that products round them to.
type heads struct {
	wide []float32
	half []uint16
}

func headsOf(v device.View) heads {
	if v.Type == device.BF16 {
		return heads{half: device.Slice[uint16](v)}
	}
	return heads{wide: device.Slice[float32](v)}
}

// from is the elements from the i-th on.
func (h heads) from(i int) heads {
	if h.half != nil {
		return heads{half: h.half[i:]}
	}
	return heads{wide: h.wide[i:]}
}

// wanted says whether there are any.
func (h heads) wanted() bool { return h.half != nil || h.wide != nil }

// at is the address of element i.
func (h heads) at(i int) unsafe.Pointer {
	if h.half != nil {
		return unsafe.Pointer(&h.half[i])
	}
	return unsafe.Pointer(&h.wide[i])
}
