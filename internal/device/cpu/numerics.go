package cpu

import (
	"strconv"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
)

// Numerics names what decides the bits of results: the kernels' level and the
// precision of products. Numbers of equal numerics can be compared bit by bit.
func (b *Backend) Numerics() string {
	if b.activations == device.F64 {
		return "f64"
	}
	if b.fast == nil {
		return feature.Generic.String() + "-" + device.F32.String()
	}
	precision := device.F32
	if b.fast.weights == device.BF16 {
		precision = device.BF16
	}
	name := b.fast.set.Level.String() + "-" + precision.String()
	if b.fast.rounded() == device.BF16 {
		name += "-gates" // what SwiGLU reads is rounded as well, in widths of whole panels
		if cols := b.RoundedCols(); cols < kern.Cols {
			name += strconv.Itoa(cols) // or in multiples of that
		}
	}
	return name
}
