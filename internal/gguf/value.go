package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Limits on a header, far above real files: the Llama 3 tokenizer has 128,256
// tokens and 280,147 merges.
const (
	maxHeader  = 256 << 20
	maxKey     = 64 << 10
	maxString  = 16 << 20
	maxArray   = 4 << 20
	maxKVs     = 1 << 16
	maxTensors = 1 << 16
)

// valueType is the number of a value's type in the file (gguf.h, enum gguf_type).
type valueType uint32

const (
	typeUint8 valueType = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// size is the least number of bytes that a value takes in the file; 0 for an
// unknown type.
func (t valueType) size() int {
	switch t {
	case typeUint8, typeInt8, typeBool:
		return 1
	case typeUint16, typeInt16:
		return 2
	case typeUint32, typeInt32, typeFloat32:
		return 4
	case typeUint64, typeInt64, typeFloat64, typeString: // a string begins with its length
		return 8
	case typeArray:
		return 12
	}
	return 0
}

// cursor reads the header from its start and knows how many bytes are left.
type cursor struct {
	reader  *bufio.Reader
	at      int64
	size    int64 // of the file, or maxHeader where that is less
	scratch [8]byte
}

func newCursor(r io.ReaderAt, size int64) *cursor {
	size = min(size, maxHeader)
	return &cursor{reader: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10), size: size}
}

func (c *cursor) left() int64 { return c.size - c.at }

// fill reads exactly len(dst) bytes.
func (c *cursor) fill(dst []byte) error {
	if int64(len(dst)) > c.left() {
		return fmt.Errorf("%d bytes are needed at byte %d, %d are left", len(dst), c.at, c.left())
	}
	n, err := io.ReadFull(c.reader, dst)
	c.at += int64(n)
	return err
}

func (c *cursor) uint32() (uint32, error) {
	err := c.fill(c.scratch[:4])
	return binary.LittleEndian.Uint32(c.scratch[:]), err
}

func (c *cursor) uint64() (uint64, error) {
	err := c.fill(c.scratch[:8])
	return binary.LittleEndian.Uint64(c.scratch[:]), err
}

// count reads a number of things of which each takes at least size bytes.
func (c *cursor) count(what string, limit, size int) (int, error) {
	n, err := c.uint64()
	if err != nil {
		return 0, err
	}
	if n > uint64(limit) {
		return 0, fmt.Errorf("%s %d is above the limit %d", what, n, limit)
	}
	if int64(n)*int64(size) > c.left() {
		return 0, fmt.Errorf("%s %d needs more than the %d bytes that are left", what, n, c.left())
	}
	return int(n), nil
}

func (c *cursor) string(what string, limit int) (string, error) {
	n, err := c.count("length of "+what, limit, 1)
	if err != nil {
		return "", err
	}
	raw := make([]byte, n)
	err = c.fill(raw)
	return string(raw), err
}

// value reads a value of type t.
func (c *cursor) value(t valueType) (any, error) {
	switch t {
	case typeString:
		return c.string("string", maxString)
	case typeArray:
		return c.array()
	}
	size := t.size()
	if size == 0 {
		return nil, fmt.Errorf("value type %d is not known", uint32(t))
	}
	if err := c.fill(c.scratch[:size]); err != nil {
		return nil, err
	}
	return scalar(t, c.scratch[:size]), nil
}

// scalar decodes a number or bool.
func scalar(t valueType, b []byte) any {
	switch t {
	case typeUint8:
		return b[0]
	case typeInt8:
		return int8(b[0])
	case typeBool:
		return b[0] != 0
	case typeUint16:
		return binary.LittleEndian.Uint16(b)
	case typeInt16:
		return int16(binary.LittleEndian.Uint16(b))
	case typeUint32:
		return binary.LittleEndian.Uint32(b)
	case typeInt32:
		return int32(binary.LittleEndian.Uint32(b))
	case typeFloat32:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case typeUint64:
		return binary.LittleEndian.Uint64(b)
	case typeInt64:
		return int64(binary.LittleEndian.Uint64(b))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func (c *cursor) array() (any, error) {
	raw, err := c.uint32()
	if err != nil {
		return nil, err
	}
	t := valueType(raw)
	if t == typeArray {
		return nil, errors.New("array of arrays")
	}
	if t.size() == 0 {
		return nil, fmt.Errorf("element type %d is not known", raw)
	}
	n, err := c.count("array length", maxArray, t.size())
	if err != nil {
		return nil, err
	}
	switch t {
	case typeUint8:
		return elements[uint8](c, t, n)
	case typeInt8:
		return elements[int8](c, t, n)
	case typeUint16:
		return elements[uint16](c, t, n)
	case typeInt16:
		return elements[int16](c, t, n)
	case typeUint32:
		return elements[uint32](c, t, n)
	case typeInt32:
		return elements[int32](c, t, n)
	case typeUint64:
		return elements[uint64](c, t, n)
	case typeInt64:
		return elements[int64](c, t, n)
	case typeFloat32:
		return elements[float32](c, t, n)
	case typeFloat64:
		return elements[float64](c, t, n)
	case typeBool:
		return elements[bool](c, t, n)
	}
	return c.strings(n)
}

func (c *cursor) strings(n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		s, err := c.string("string", maxString)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = s
	}
	return out, nil
}

// elements reads n numbers or bools.
func elements[T any](c *cursor, t valueType, n int) ([]T, error) {
	const chunk = 4096
	out := make([]T, n)
	raw := make([]byte, min(n, chunk)*t.size())
	for part := range slices.Chunk(out, chunk) {
		b := raw[:len(part)*t.size()]
		if err := c.fill(b); err != nil {
			return nil, err
		}
		if _, err := binary.Decode(b, binary.LittleEndian, part); err != nil {
			return nil, err
		}
	}
	return out, nil
}
