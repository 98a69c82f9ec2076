package model

import (
	"io"

	"align/internal/device"
	"align/internal/safetensors"
)

// Values gives the n values of a flat buffer from an offset on. They stand until
// the next call.
type Values func(offset, n int) ([]float32, error)

// InMemory are values that are on the host.
func InMemory(flat []float32) Values {
	return func(offset, n int) ([]float32, error) { return flat[offset:][:n], nil }
}

// OnDevice are a view's values, read from the device as they are asked for: what
// writes them needs no copy of them all.
func OnDevice(b device.Backend, v device.View) Values {
	var part []float32
	return func(offset, n int) (_ []float32, err error) {
		at := device.View{Addr: v.Addr + uintptr(offset*v.Type.Size()), Rows: n, Cols: 1, Type: v.Type}
		part, err = readFloat32s(b, part, at)
		return part, err
	}
}

// valuesChunk is how many values are asked for at a time.
const valuesChunk = 1 << 18

// tensor is n of the values, from an offset on, as a tensor of the type.
func (v Values) tensor(name string, t safetensors.DType, shape []int, offset, n int) safetensors.Tensor {
	return safetensors.Tensor{Name: name, DType: t, Shape: shape, Data: func(w io.Writer) error {
		for at := 0; at < n; at += valuesChunk {
			part, err := v(offset+at, min(valuesChunk, n-at))
			if err != nil {
				return err
			}
			if err := safetensors.FromFloats(name, t, nil, part).Data(w); err != nil {
				return err
			}
		}
		return nil
	}}
}
