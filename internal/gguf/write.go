package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"align/internal/tensorfile"
)

// Tensor is a tensor to be written. Data writes its bytes, in blocks of Type
// row by row, when their turn comes; it must write exactly Type.Size(Shape...).
type Tensor struct {
	Name  string
	Type  Type
	Shape []int // ggml's order: Shape[0] is the length of a row
	Data  func(io.Writer) error
}

// FromBytes is a tensor whose bytes are ready.
func FromBytes(name string, t Type, shape []int, data []byte) Tensor {
	return Tensor{Name: name, Type: t, Shape: shape, Data: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// Write writes a file of version 3: the pairs and the tensors in their order.
// The bytes depend on the arguments alone. Each tensor is padded with zeros to
// general.alignment, 32 if it is not among the pairs.
func Write(w io.Writer, pairs []KV, tensors []Tensor) error {
	head, alignment, err := encodeHeader(pairs, tensors)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("gguf: header: %w", err)
	}
	for _, t := range tensors {
		if err := t.writeTo(w, alignment); err != nil {
			return fmt.Errorf("gguf: tensor %s: %w", tensorfile.Quote(t.Name), err)
		}
	}
	return nil
}

// encodeHeader checks everything and returns what stands before the data.
func encodeHeader(pairs []KV, tensors []Tensor) (head []byte, alignment int64, err error) {
	b := binary.LittleEndian.AppendUint32([]byte(magic), 3)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(pairs)))
	b, m, err := appendPairs(b, pairs)
	if err != nil {
		return nil, 0, err
	}
	if alignment, err = m.alignment(); err != nil {
		return nil, 0, fmt.Errorf("gguf: %w", err)
	}
	if b, err = appendTensors(b, tensors, alignment); err != nil {
		return nil, 0, err
	}
	b = append(b, make([]byte, padded(int64(len(b)), alignment)-int64(len(b)))...)
	if len(b) > maxHeader || len(pairs) > maxKVs || len(tensors) > maxTensors {
		return nil, 0, fmt.Errorf("gguf: header of %d keys, %d tensors and %d bytes: the limits are %d, %d and %d",
			len(pairs), len(tensors), len(b), maxKVs, maxTensors, maxHeader)
	}
	return b, alignment, nil
}

func appendPairs(b []byte, pairs []KV) ([]byte, *Metadata, error) {
	var m Metadata
	var errs []error
	for _, p := range pairs {
		err := m.add(p.Key, p.Value)
		b = appendString(b, p.Key)
		if err == nil {
			b, err = appendValue(b, p.Value)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("gguf: key %s: %w", tensorfile.Quote(p.Key), err))
		}
	}
	return b, &m, errors.Join(errs...)
}

func appendTensors(b []byte, tensors []Tensor, alignment int64) ([]byte, error) {
	var errs []error
	seen := map[string]bool{}
	at := int64(0)
	for _, t := range tensors {
		size, err := t.check()
		if seen[t.Name] {
			err = errors.New("name is given twice")
		}
		if err == nil && at > 1<<62-size {
			err = errors.New("file is too large")
		}
		seen[t.Name] = true
		if err != nil {
			errs = append(errs, fmt.Errorf("gguf: tensor %s: %w", tensorfile.Quote(t.Name), err))
			continue
		}
		b = t.appendInfo(b, at)
		at = padded(at+size, alignment)
	}
	return b, errors.Join(errs...)
}

func (t Tensor) check() (int64, error) {
	if err := checkName(t.Name); err != nil {
		return 0, err
	}
	if len(t.Shape) > maxDims {
		return 0, fmt.Errorf("%d dimensions, the limit is %d", len(t.Shape), maxDims)
	}
	size, err := t.Type.Size(t.Shape...)
	if err == nil && size > 1<<60 {
		err = fmt.Errorf("%d bytes are too large", size)
	}
	return size, err
}

func (t Tensor) appendInfo(b []byte, offset int64) []byte {
	b = appendString(b, t.Name)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Shape)))
	for _, n := range t.Shape {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(t.Type))
	return binary.LittleEndian.AppendUint64(b, uint64(offset))
}

// writeTo writes the data and its padding.
func (t Tensor) writeTo(w io.Writer, alignment int64) error {
	size, err := t.check()
	if err != nil {
		return err
	}
	if err := tensorfile.WriteExactly(w, size, fmt.Sprintf("%v %v", t.Type, t.Shape), t.Data); err != nil {
		return err
	}
	_, err = w.Write(make([]byte, padded(size, alignment)-size))
	return err
}
