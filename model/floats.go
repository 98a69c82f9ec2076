package model

import (
	"unsafe"

	"align/internal/device"
)

// WriteFloats uploads float32 values to a view of F32 or F64 elements.
func WriteFloats(b device.Backend, v device.View, values []float32) error {
	if len(values) == 0 {
		return nil
	}
	if v.Type == device.F32 {
		return b.Upload(v, unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), 4*len(values)))
	}
	wide := make([]float64, len(values))
	for i, x := range values {
		wide[i] = float64(x)
	}
	return b.Upload(v, unsafe.Slice((*byte)(unsafe.Pointer(&wide[0])), 8*len(wide)))
}

// ReadFloat32s downloads a view of F32 or F64 elements as float32.
func ReadFloat32s(b device.Backend, v device.View) ([]float32, error) {
	wide, err := ReadFloats(b, nil, v)
	if err != nil {
		return nil, err
	}
	values := make([]float32, len(wide))
	for i, x := range wide {
		values[i] = float32(x)
	}
	return values, nil
}
