package ptxsim

import (
	"encoding/binary"
	"fmt"
)

// TensorMap is what a tensor map tells: a matrix of numbers of 16 bits in global memory
// and the box of it that one bulk copy brings, its rows swizzled by 128 bytes. A card's
// map is opaque; here it is 128 bytes of our own making.
type TensorMap struct {
	Address             uint64
	Rows, Columns       uint64
	Stride              uint64 // bytes from one row to the next
	BoxRows, BoxColumns uint64
}

// tensorMapBytes is the size of a map, tensorMapAlign the multiple at which it lies.
const (
	tensorMapBytes = 128
	tensorMapAlign = 64
	tensorMapMark  = 0x70616d726f736e74 // begins a map
)

// lineBytes is what the swizzle spans.
const lineBytes = 128

// Check refuses what the driver refuses (cuda.h, cuTensorMapEncodeTiled).
func (m *TensorMap) Check() error {
	switch {
	case m.Address%16 != 0 || m.Stride%16 != 0 || m.Stride >= 1<<40:
		return fmt.Errorf("address %#x and stride %d: want multiples of 16, the latter below 2^40", m.Address, m.Stride)
	case m.Rows-1 >= 1<<32 || m.Columns-1 >= 1<<32:
		return fmt.Errorf("%d x %d: want 1 to 2^32 each", m.Rows, m.Columns)
	case m.BoxRows-1 >= 256 || m.BoxColumns-1 >= 256:
		return fmt.Errorf("a box of %d x %d: want 1 to 256 each", m.BoxRows, m.BoxColumns)
	case 2*m.BoxColumns%16 != 0 || 2*m.BoxColumns > lineBytes:
		return fmt.Errorf("a box of %d columns: want a multiple of 16 bytes, at most the swizzle's %d", m.BoxColumns, lineBytes)
	}
	return nil
}

// Encode returns the map as it lies in memory.
func (m *TensorMap) Encode() (raw [tensorMapBytes]byte) {
	for i, v := range []uint64{tensorMapMark, m.Address, m.Rows, m.Columns, m.Stride, m.BoxRows, m.BoxColumns} {
		binary.LittleEndian.PutUint64(raw[8*i:], v)
	}
	return raw
}

// decodeTensorMap reads a map; false where there is none.
func decodeTensorMap(raw []byte) (m TensorMap, is bool) {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(raw[8*i:]) }
	m = TensorMap{word(1), word(2), word(3), word(4), word(5), word(6)}
	return m, word(0) == tensorMapMark && m.Check() == nil
}

// bytes is what one box takes of shared memory, and what arrives with it.
func (m *TensorMap) bytes() int { return int(2 * m.BoxRows * m.BoxColumns) }
