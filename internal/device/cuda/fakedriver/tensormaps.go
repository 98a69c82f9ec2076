//go:build linux && (amd64 || arm64) && !nogpu

package fakedriver

import (
	"align/internal/device/cuda/ptxsim"

	"github.com/ebitengine/purego"
)

// tensorMapBytes is the size of a tensor map (cuda.h, struct CUtensorMap).
const tensorMapBytes = 128

// addTensorMaps makes cuTensorMapEncodeTiled for what we ask of it: matrices of bf16
// swizzled by 128 bytes, zeros outside. It needs no context.
func (d *Driver) addTensorMaps() {
	d.addresses["cuTensorMapEncodeTiled"] = purego.NewCallback(func(to, typ, rank, address, sizes, strides, box, steps, interleave, swizzle, promote, fill word) word {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.calls["cuTensorMapEncodeTiled"]++
		const bf16, matrix, swizzle128, align = 9, 2, 3, 64
		if typ != bf16 || rank != matrix || interleave != 0 || swizzle != swizzle128 || promote > 3 || fill != 0 || to%align != 0 {
			return InvalidValue
		}
		size, step := at[[2]uint64](sizes), at[[2]uint32](steps)
		m := ptxsim.TensorMap{
			Address: uint64(address), Rows: size[1], Columns: size[0], Stride: *at[uint64](strides),
			BoxRows: uint64(at[[2]uint32](box)[1]), BoxColumns: uint64(at[[2]uint32](box)[0]),
		}
		if step[0] != 1 || step[1] != 1 || m.Check() != nil {
			return InvalidValue
		}
		*at[[tensorMapBytes]byte](to) = m.Encode()
		return success
	})
}
