package driver

import (
	"errors"
	"fmt"
	"unsafe"
)

// TensorMapBytes is the size of a tensor map, and TensorMapAlign the multiple of bytes at
// which it lies, on the host and on the card (cuda.h, struct CUtensorMap).
const (
	TensorMapBytes = 128
	TensorMapAlign = 64
)

// ErrNoTensorMaps: the driver is older than tensor maps, which came with CUDA 12.0.
var ErrNoTensorMaps = errors.New("cuda: the driver has no tensor maps (cuTensorMapEncodeTiled)")

// Boxes is a matrix of bf16 in a card's memory and the part of it that its copy engine
// (TMA, of capability 9.0 and later) fetches at a time. What a box has outside of the
// matrix arrives as zeros, and the 16-byte chunks of its rows are exchanged as wgmma's
// swizzle of 128 bytes has them.
type Boxes struct {
	Address             uint64 // a multiple of 16
	Rows, Columns       int
	Stride              int // bytes from one row to the next, a multiple of 16
	BoxRows, BoxColumns int // at most 256 rows and 64 columns, whole chunks of 8
}

// What we ask of cuTensorMapEncodeTiled (cuda.h, enums CUtensorMapDataType and the like).
const (
	tensorBF16       = 9
	tensorPlain      = 0 // interleave
	tensorSwizzle128 = 3
	tensorPromote128 = 2 // a miss of the cache fetches 128 bytes
	tensorZeros      = 0 // outside of the matrix
)

// encoding is room for a call of cuTensorMapEncodeTiled, whose pointers go to it.
type encoding struct {
	room    [TensorMapBytes + TensorMapAlign]byte
	sizes   [2]uint64
	strides [1]uint64
	box     [2]uint32
	steps   [2]uint32
}

// TensorMap encodes what the copy engine is told of boxes. The bytes are good until the
// next call and mean something to the card alone. A driver without the function is
// [ErrNoTensorMaps].
func (d *Device) TensorMap(b Boxes) ([]byte, error) {
	encode := d.library.table.tensorMapEncode
	if encode == 0 {
		return nil, ErrNoTensorMaps
	}
	e := &d.encoding
	past := -uintptr(unsafe.Pointer(&e.room[0])) % TensorMapAlign
	e.sizes, e.strides = [2]uint64{uint64(b.Columns), uint64(b.Rows)}, [1]uint64{uint64(b.Stride)}
	e.box, e.steps = [2]uint32{uint32(b.BoxColumns), uint32(b.BoxRows)}, [2]uint32{1, 1}
	err := d.call("cuTensorMapEncodeTiled", encode, uintptr(unsafe.Pointer(&e.room[past])), tensorBF16, uintptr(len(e.sizes)), uintptr(b.Address),
		uintptr(unsafe.Pointer(&e.sizes[0])), uintptr(unsafe.Pointer(&e.strides[0])), uintptr(unsafe.Pointer(&e.box[0])), uintptr(unsafe.Pointer(&e.steps[0])),
		tensorPlain, tensorSwizzle128, tensorPromote128, tensorZeros)
	if err != nil {
		return nil, fmt.Errorf("%w: a map of boxes of %d x %d in %d x %d, rows %d bytes apart, at %#x",
			err, b.BoxRows, b.BoxColumns, b.Rows, b.Columns, b.Stride, b.Address)
	}
	return e.room[past : past+TensorMapBytes], nil
}
