package model

import (
	"unsafe"

	"align/internal/device"
	"align/internal/half"
)

// WriteFloats uploads float32 values to a view of F32, F64 or BF16 elements.
func WriteFloats(b device.Backend, v device.View, values []float32) error {
	if len(values) == 0 {
		return nil
	}
	if v.Type == device.F32 {
		return b.Upload(v, unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), 4*len(values)))
	}
	if v.Type == device.BF16 {
		narrow := make([]uint16, len(values))
		for i, x := range values {
			narrow[i] = half.ToBF16(x)
		}
		return b.Upload(v, unsafe.Slice((*byte)(unsafe.Pointer(&narrow[0])), 2*len(narrow)))
	}
	wide := make([]float64, len(values))
	for i, x := range values {
		wide[i] = float64(x)
	}
	return b.Upload(v, unsafe.Slice((*byte)(unsafe.Pointer(&wide[0])), 8*len(wide)))
}

// ReadFloats downloads a view of F32, F64 or BF16 elements as float64.
func ReadFloats(b device.Backend, dst []float64, v device.View) ([]float64, error) {
	n := v.Len()
	if cap(dst) < n {
		dst = make([]float64, n)
	}
	dst = dst[:n]
	if n == 0 {
		return dst, nil
	}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), n*v.Type.Size())
	if err := b.Download(raw, v); err != nil {
		return nil, err
	}
	// Widened in place from the end, so that nothing is read after it is
	// overwritten.
	switch v.Type {
	case device.BF16:
		narrow := unsafe.Slice((*uint16)(unsafe.Pointer(&dst[0])), n)
		for i := n - 1; i >= 0; i-- {
			dst[i] = float64(half.FromBF16(narrow[i]))
		}
	case device.F32:
		narrow := unsafe.Slice((*float32)(unsafe.Pointer(&dst[0])), n)
		for i := n - 1; i >= 0; i-- {
			dst[i] = float64(narrow[i])
		}
	}
	return dst, nil
}

// ReadFloat32s downloads a view of F32, F64 or BF16 elements as float32.
func ReadFloat32s(b device.Backend, v device.View) ([]float32, error) {
	return readFloat32s(b, nil, v)
}

// readFloat32s is ReadFloat32s into dst, which is grown as needed.
func readFloat32s(b device.Backend, dst []float32, v device.View) ([]float32, error) {
	n := v.Len()
	if cap(dst) < n {
		dst = make([]float32, n)
	}
	dst = dst[:n]
	if n == 0 {
		return dst, nil
	}
	if v.Type == device.F32 {
		return dst, b.Download(unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 4*n), v)
	}
	wide, err := ReadFloats(b, nil, v)
	for i, x := range wide {
		dst[i] = float32(x)
	}
	return dst, err
}

// int32Bytes are the bytes of the values, in place.
func int32Bytes(values []int32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
}
