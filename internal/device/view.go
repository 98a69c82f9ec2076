package device

import (
	"fmt"
	"unsafe"
)

// Type is the element type of a View.
type Type uint8

// Element types. I32 serves ids, positions and masks. The types of blocks, for
// frozen weights only, are in block.go.
const (
	F32 Type = iota + 1
	F64
	I32
	BF16
	F16
)

// Size is the number of bytes of one element; 0 for a type whose elements
// stand in blocks: RowBytes serves every type.
func (t Type) Size() int {
	switch t {
	case F32, I32:
		return 4
	case F64:
		return 8
	case BF16, F16:
		return 2
	}
	return 0
}

// Wide is the type of what is not activations where those are of the type:
// statistics, angles, trained values and gradients. It is F32 for BF16.
func (t Type) Wide() Type {
	if t == BF16 {
		return F32
	}
	return t
}

// String is the type's name as flags and errors spell it.
func (t Type) String() string {
	switch t {
	case F32:
		return "f32"
	case F64:
		return "f64"
	case I32:
		return "i32"
	case BF16:
		return "bf16"
	case F16:
		return "f16"
	}
	if name := t.block().name; name != "" {
		return name
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Layout is how a View's elements lie in memory.
type Layout uint8

const (
	// Plain is row-major without gaps.
	Plain Layout = iota
	// Packed is the backend's own layout of a placed weight; only the kernels
	// of the backend that placed it can read it.
	Packed
)

// View is a typed region of device memory of Rows x Cols elements. A vector of
// n elements is n x 1. Addr is an address on the device, not a Go pointer.
type View struct {
	Addr       uintptr
	Rows, Cols int
	Type       Type
	Layout     Layout
}

// Len is the number of elements.
func (v View) Len() int { return v.Rows * v.Cols }

// Bytes is the size of the view in bytes (of a Plain view).
func (v View) Bytes() int64 { return int64(v.Rows) * v.Type.RowBytes(v.Cols) }

// Row is the sub-view of n rows from row i.
func (v View) Row(i, n int) View {
	v.Addr += uintptr(i) * uintptr(v.Type.RowBytes(v.Cols))
	v.Rows = n
	return v
}

// At is the region of a memory block of the given type and size, offset bytes
// from its start.
func (m Memory) At(offset int64, t Type, rows, cols int) View {
	return View{Addr: m.Addr + uintptr(offset), Rows: rows, Cols: cols, Type: t}
}

// Slice is a host backend's way to an element slice of a Plain view. It is for
// kernels and for Upload and Download only. A zero Addr gives nil.
func Slice[E any](v View) []E {
	if v.Addr == 0 {
		return nil
	}
	// The address is of off-heap or pinned memory; reading it through a
	// pointer to the field keeps vet's uintptr rule honest.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&v.Addr))
	return unsafe.Slice((*E)(p), v.Len())
}
