package gguf

import (
	"errors"
	"fmt"
	"io"

	"align/internal/tensorfile"
)

// magic begins every file.
const magic = "GGUF"

// Limits of ggml (ggml.h, GGML_MAX_NAME and GGML_MAX_DIMS).
const (
	maxName = 63 // bytes; one more is the closing NUL in C
	maxDims = 4
)

// header is what stands before the data.
type header struct {
	version  int
	metadata Metadata
	tensors  []TensorInfo
	dataAt   int64 // offset of the data in the file
}

// readHeader reads and checks the header of a file of size bytes.
func readHeader(r io.ReaderAt, size int64) (*header, error) {
	c := newCursor(r, size)
	var h header
	tensors, pairs, err := h.readCounts(c)
	if err != nil {
		return nil, err
	}
	for i := range pairs {
		if err := h.readPair(c); err != nil {
			return nil, fmt.Errorf("key %d of %d: %w", i+1, pairs, err)
		}
	}
	alignment, err := h.metadata.alignment()
	if err != nil {
		return nil, err
	}
	for i := range tensors {
		if err := h.readTensor(c); err != nil {
			return nil, fmt.Errorf("tensor %d of %d: %w", i+1, tensors, err)
		}
	}
	h.dataAt = padded(c.at, alignment)
	return &h, h.layOut(alignment, size)
}

// readCounts reads up to the numbers of tensors and keys.
func (h *header) readCounts(c *cursor) (tensors, pairs int, err error) {
	if err := h.readVersion(c); err != nil {
		return 0, 0, err
	}
	// The least a tensor takes: name length, dimensions, type and offset.
	if tensors, err = c.count("number of tensors", maxTensors, 8+4+4+8); err != nil {
		return 0, 0, err
	}
	// The least a pair takes: key length, type and one byte.
	pairs, err = c.count("number of keys", maxKVs, 8+4+1)
	return tensors, pairs, err
}

func (h *header) readVersion(c *cursor) error {
	var raw [len(magic)]byte
	if err := c.fill(raw[:]); err != nil {
		return fmt.Errorf("file is too short: %w", err)
	}
	if string(raw[:]) == "vers" {
		return errors.New("it is a Git LFS pointer in the file's place: git lfs pull, or align pull, fetches the file")
	}
	if string(raw[:]) != magic {
		return fmt.Errorf("file begins with %q, want %q", raw[:], magic)
	}
	version, err := c.uint32()
	if err != nil {
		return err
	}
	switch {
	case version == 2 || version == 3:
		h.version = int(version)
		return nil
	case version == 0:
		return errors.New("version 0 does not exist")
	case version&0xffff == 0:
		return fmt.Errorf("version 0x%08x: the file is big-endian, which is not read", version)
	case version == 1:
		return errors.New("version 1 is not read: convert the file with a current llama.cpp")
	}
	return fmt.Errorf("version %d is newer than 3, the last one known", version)
}

func (h *header) readPair(c *cursor) error {
	key, err := c.string("key", maxKey)
	if err != nil {
		return err
	}
	// Before the value, so that a message about the value has a key to name.
	if err := h.metadata.add(key, nil); err != nil {
		return err
	}
	t, err := c.uint32()
	if err != nil {
		return fmt.Errorf("%s: %w", tensorfile.Quote(key), err)
	}
	value, err := c.value(valueType(t))
	if err != nil {
		return fmt.Errorf("%s: %w", tensorfile.Quote(key), err)
	}
	h.metadata.pairs[len(h.metadata.pairs)-1].Value = value
	return nil
}

func (h *header) readTensor(c *cursor) error {
	name, err := c.string("name", maxString)
	if err != nil {
		return err
	}
	info := TensorInfo{Name: name}
	if err := info.read(c); err != nil {
		return fmt.Errorf("%s: %w", tensorfile.Quote(name), err)
	}
	h.tensors = append(h.tensors, info)
	return nil
}

func (t *TensorInfo) read(c *cursor) error {
	if err := checkName(t.Name); err != nil {
		return err
	}
	dims, err := c.uint32()
	if err != nil {
		return err
	}
	if dims > maxDims {
		return fmt.Errorf("%d dimensions, the limit is %d", dims, maxDims)
	}
	t.Shape = make([]int, dims)
	for i := range t.Shape {
		n, err := c.uint64()
		if err != nil {
			return err
		}
		if n > 1<<63-1 {
			return fmt.Errorf("dimension %d is %d, which is negative or too large", i, int64(n))
		}
		t.Shape[i] = int(n)
	}
	return t.readPlace(c)
}

// readPlace reads the type and the offset.
func (t *TensorInfo) readPlace(c *cursor) error {
	raw, err := c.uint32()
	if err != nil {
		return err
	}
	t.Type = Type(raw)
	if t.Size, err = t.Type.Size(t.Shape...); err != nil {
		return err
	}
	offset, err := c.uint64()
	if err != nil {
		return err
	}
	if offset > 1<<63-1 {
		return fmt.Errorf("offset %d is too large", offset)
	}
	t.Offset = int64(offset)
	return nil
}

func checkName(name string) error {
	if name == "" {
		return errors.New("name is empty")
	}
	if len(name) > maxName {
		return fmt.Errorf("name has %d bytes, the limit is %d", len(name), maxName)
	}
	return nil
}

// layOut checks that names are unique and that each tensor stands where the
// one before, padded, ends, inside the file.
func (h *header) layOut(alignment, size int64) error {
	seen := map[string]bool{}
	room := size - h.dataAt
	at := int64(0)
	for _, t := range h.tensors {
		switch {
		case seen[t.Name]:
			return fmt.Errorf("tensor %s occurs twice", tensorfile.Quote(t.Name))
		case t.Offset != at:
			return fmt.Errorf("tensor %s has offset %d, want %d with an alignment of %d", tensorfile.Quote(t.Name), t.Offset, at, alignment)
		case t.Size > room-at:
			return fmt.Errorf("tensor %s has %d bytes at %d, the file has %d bytes of data", tensorfile.Quote(t.Name), t.Size, at, max(room, 0))
		}
		seen[t.Name] = true
		at = padded(at+t.Size, alignment)
	}
	return nil
}
