package model

import (
	"bytes"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/safetensors"
)

// Values on a device are written as those in memory are, part by part.
func TestValuesOnDevice(t *testing.T) {
	for _, typ := range []device.Type{device.F32, device.F64} {
		b, err := cpu.New(cpu.Options{Threads: 1, Activations: typ})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		flat := make([]float32, 2*valuesChunk+70)
		for i := range flat {
			flat[i] = float32(i) / 3
		}
		memory, err := b.Alloc(int64(len(flat) * typ.Size()))
		if err != nil {
			t.Fatal(err)
		}
		view := memory.At(0, typ, len(flat), 1)
		if err := WriteFloats(b, view, flat); err != nil {
			t.Fatal(err)
		}
		const offset = 64
		n := len(flat) - offset
		var got, want bytes.Buffer
		if err := OnDevice(b, view).tensor("x", safetensors.F32, []int{n}, offset, n).Data(&got); err != nil {
			t.Fatal(err)
		}
		if err := safetensors.FromFloats("x", safetensors.F32, []int{n}, flat[offset:]).Data(&want); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s: the values on the device are written otherwise than those in memory", typ)
		}
	}
}
