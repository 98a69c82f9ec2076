//go:build !linux

package cpu

import "unsafe"

// alignment of every reservation in bytes, as device.Backend promises.
const alignment = 256

// mapping is memory of the Go heap, kept alive by this value and without
// pointers, so that the garbage collector does not scan it.
type mapping struct {
	addr  uintptr
	whole []byte
}

func newMapping(bytes int) (mapping, error) {
	whole := make([]byte, bytes+alignment)
	addr := uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	addr += -addr & (alignment - 1)
	return mapping{addr: addr, whole: whole}, nil
}

func (m mapping) release() {}
