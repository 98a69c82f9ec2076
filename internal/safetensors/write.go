package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"align/internal/tensorfile"

	"github.com/go-json-experiment/json/jsontext"
)

// Tensor is a tensor to be written. Data writes its elements, little-endian
// and in C order, when their turn comes, so that they need not all be in
// memory; it must write exactly the bytes that DType and Shape call for.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	Data  func(io.Writer) error
}

// FromBytes is a tensor whose elements are ready.
func FromBytes(name string, d DType, shape []int, data []byte) Tensor {
	return Tensor{Name: name, DType: d, Shape: shape, Data: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// floatChunk is the number of elements converted at a time.
const floatChunk = 16 << 10

// FromFloats is a tensor that is converted from float32 to d, one of F32, F16,
// BF16 and F64, while it is written.
func FromFloats(name string, d DType, shape []int, data []float32) Tensor {
	return Tensor{Name: name, DType: d, Shape: shape, Data: func(w io.Writer) error {
		buffer := make([]byte, min(len(data), floatChunk)*d.Bits()/8)
		for chunk := range slices.Chunk(data, floatChunk) {
			out := buffer[:len(chunk)*d.Bits()/8]
			if err := FromFloat32(out, chunk, d); err != nil {
				return err
			}
			if _, err := w.Write(out); err != nil {
				return err
			}
		}
		return nil
	}}
}

// Write writes a file that holds tensors. The bytes depend on the arguments
// alone and are those of the reference implementation: wider types first, then
// by name; the header padded with spaces to eight bytes. To metadata it adds
// "format": "pt", which transformers asks for, unless another format is given.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	if err := checkTensors(tensors, metadata); err != nil {
		return err
	}
	sorted := sortTensors(tensors)
	head, err := encodeHeader(sorted, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("safetensors: header: %w", err)
	}
	for _, t := range sorted {
		if err := t.writeTo(w); err != nil {
			return fmt.Errorf("safetensors: tensor %s: %w", tensorfile.Quote(t.Name), err)
		}
	}
	return nil
}

func checkTensors(tensors []Tensor, metadata map[string]string) error {
	var errs []error
	seen := map[string]bool{}
	for _, t := range tensors {
		_, err := bytesOf(t.DType, t.Shape)
		switch {
		case seen[t.Name]:
			err = errors.New("name is given twice")
		case t.Name == "__metadata__":
			err = errors.New("name is reserved by the format")
		case !utf8.ValidString(t.Name):
			err = errors.New("name is not UTF-8")
		case len(t.Shape) > maxRank:
			err = fmt.Errorf("%d dimensions, the limit is %d", len(t.Shape), maxRank)
		}
		seen[t.Name] = true
		if err != nil {
			errs = append(errs, fmt.Errorf("safetensors: tensor %s: %w", tensorfile.Quote(t.Name), err))
		}
	}
	for k, v := range metadata {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			errs = append(errs, fmt.Errorf("safetensors: metadata %s is not UTF-8", tensorfile.Quote(k)))
		}
	}
	if len(tensors) > maxTensors {
		errs = append(errs, fmt.Errorf("safetensors: %d tensors, the limit is %d", len(tensors), maxTensors))
	}
	return errors.Join(errs...)
}

// sortTensors returns the order of the reference implementation
// (safetensors/src/tensor.rs, prepare), which keeps every element aligned.
func sortTensors(tensors []Tensor) []Tensor {
	return slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int {
		orderA, _ := a.DType.rank()
		orderB, _ := b.DType.rank()
		return cmp.Or(cmp.Compare(orderB, orderA), cmp.Compare(a.Name, b.Name))
	})
}

// encodeHeader returns the length, the JSON and its padding.
func encodeHeader(sorted []Tensor, metadata map[string]string) ([]byte, error) {
	full := map[string]string{"format": "pt"}
	maps.Copy(full, metadata)
	b := append(make([]byte, lengthBytes), `{"__metadata__":{`...)
	for i, key := range slices.Sorted(maps.Keys(full)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, key)
		b = append(b, ':')
		b = appendString(b, full[key])
	}
	b = append(b, '}')
	at := int64(0)
	for _, t := range sorted {
		size, err := bytesOf(t.DType, t.Shape)
		if err != nil || at > 1<<62-size {
			return nil, fmt.Errorf("safetensors: tensor %s: file is too large", tensorfile.Quote(t.Name))
		}
		b = t.appendEntry(b, at, at+size)
		at += size
	}
	b = append(b, '}')
	b = append(b, bytes.Repeat([]byte{' '}, -len(b)&7)...)
	if n := len(b) - lengthBytes; n > maxHeader {
		return nil, fmt.Errorf("safetensors: header has %d bytes, the limit is %d", n, maxHeader)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-lengthBytes))
	return b, nil
}

func (t Tensor) appendEntry(b []byte, begin, end int64) []byte {
	b = append(b, ',')
	b = appendString(b, t.Name)
	b = append(b, `:{"dtype":"`...)
	b = append(b, t.DType...)
	b = append(b, `","shape":[`...)
	for i, n := range t.Shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return fmt.Appendf(b, `],"data_offsets":[%d,%d]}`, begin, end)
}

// appendString appends a JSON string; checkTensors has seen that s is UTF-8.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

func (t Tensor) writeTo(w io.Writer) error {
	size, err := bytesOf(t.DType, t.Shape)
	if err != nil {
		return err
	}
	return tensorfile.WriteExactly(w, size, fmt.Sprintf("%s %v", t.DType, t.Shape), t.Data)
}
