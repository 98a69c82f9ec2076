package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"align/internal/tensorfile"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits on a header. The first is the format's; the others keep a hostile
// header from costing more than its own length.
const (
	maxHeader  = 100_000_000 // safetensors/src/tensor.rs, MAX_HEADER_SIZE
	maxTensors = 1 << 17     // Llama 3 405B in NF4 has about 7,000
	maxRank    = 16          // models use 1 to 4
)

// lengthBytes is the size of the number that begins a file.
const lengthBytes = 8

// header is what stands before the data.
type header struct {
	tensors  []entry
	metadata map[string]string
	dataAt   int64 // offset of the data in the file
}

// entry is a tensor of the header; begin and end count from the data.
type entry struct {
	Info
	begin, end uint64
}

// readHeader reads the header of a file of size bytes, and checks that it is
// well formed; the offsets are checked by layOut.
func readHeader(r io.ReaderAt, size int64) (*header, error) {
	n, err := headerLength(r, size)
	if err != nil {
		return nil, err
	}
	var first [1]byte
	if _, err := r.ReadAt(first[:], lengthBytes); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if first[0] != '{' {
		return nil, fmt.Errorf("header begins with %q, want {", first[:])
	}
	section := io.NewSectionReader(r, lengthBytes, n)
	d := headerDecoder{json: jsontext.NewDecoder(section)}
	if err := d.object(); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := onlySpaces(section, d.json.InputOffset()); err != nil {
		return nil, err
	}
	d.out.dataAt = lengthBytes + n
	return &d.out, nil
}

func headerLength(r io.ReaderAt, size int64) (int64, error) {
	if size < lengthBytes {
		return 0, fmt.Errorf("file has %d bytes: too short for a header", size)
	}
	var raw [lengthBytes]byte
	if _, err := r.ReadAt(raw[:], 0); err != nil {
		return 0, fmt.Errorf("header: %w", err)
	}
	n := binary.LittleEndian.Uint64(raw[:])
	switch {
	case string(raw[:]) == "version ":
		return 0, errors.New("it is a Git LFS pointer in the file's place: git lfs pull, or align pull, fetches the file")
	case n > maxHeader:
		return 0, fmt.Errorf("header length %d is above the limit %d", n, maxHeader)
	case n < 2:
		return 0, fmt.Errorf("header length %d is too small for {}", n)
	case n > uint64(size-lengthBytes):
		return 0, fmt.Errorf("header length %d is beyond the end of the file, which has %d bytes", n, size)
	}
	return int64(n), nil
}

// onlySpaces checks the padding after the header's closing brace.
func onlySpaces(section *io.SectionReader, from int64) error {
	buffer := make([]byte, 4096)
	for at := from; at < section.Size(); {
		n, err := section.ReadAt(buffer, at)
		for i, b := range buffer[:n] {
			if b != ' ' {
				return fmt.Errorf("header: byte 0x%02x at %d after the closing brace, want spaces", b, at+int64(i))
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("header: %w", err)
		}
		at += int64(n)
	}
	return nil
}

// headerDecoder reads the header token by token: jsontext refuses a name that
// occurs twice and text that is not UTF-8.
type headerDecoder struct {
	json *jsontext.Decoder
	out  header
}

func (d *headerDecoder) object() error {
	return d.fields("the header", func(name string) error {
		if name == "__metadata__" {
			return d.metadata()
		}
		if len(d.out.tensors) == maxTensors {
			return fmt.Errorf("more than %d tensors", maxTensors)
		}
		return d.tensor(name)
	})
}

// fields reads an object and calls field for each name, which reads the value.
func (d *headerDecoder) fields(what string, field func(name string) error) error {
	if err := d.open(what, jsontext.KindBeginObject); err != nil {
		return err
	}
	for d.json.PeekKind() != jsontext.KindEndObject {
		token, err := d.json.ReadToken()
		if err != nil {
			return err
		}
		if err := field(token.String()); err != nil {
			return err
		}
	}
	_, err := d.json.ReadToken()
	return err
}

func (d *headerDecoder) open(what string, kind jsontext.Kind) error {
	token, err := d.json.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != kind {
		return fmt.Errorf("%s is %v, want %v", what, token.Kind(), kind)
	}
	return nil
}

func (d *headerDecoder) metadata() error {
	d.out.metadata = map[string]string{}
	return d.fields("__metadata__", func(name string) error {
		value, err := d.text("__metadata__ " + strconv.Quote(name))
		d.out.metadata[name] = value
		return err
	})
}

func (d *headerDecoder) text(what string) (string, error) {
	token, err := d.json.ReadToken()
	if err != nil {
		return "", err
	}
	if token.Kind() != jsontext.KindString {
		return "", fmt.Errorf("%s is %v, want a string", what, token.Kind())
	}
	return token.String(), nil
}

func (d *headerDecoder) tensor(name string) error {
	e := entry{Info: Info{Name: name}}
	var hasType, hasShape, hasOffsets bool
	err := d.fields("the entry", func(field string) (err error) {
		switch field {
		case "dtype":
			hasType = true
			var dtype string
			dtype, err = d.text("dtype")
			e.DType = DType(dtype)
		case "shape":
			hasShape = true
			e.Shape, err = d.shape()
		case "data_offsets":
			hasOffsets = true
			e.begin, e.end, err = d.offsets()
		default:
			err = d.json.SkipValue()
		}
		return err
	})
	if err == nil && !(hasType && hasShape && hasOffsets) {
		err = errors.New("dtype, shape and data_offsets are not all there")
	}
	if err != nil {
		return fmt.Errorf("tensor %s: %w", tensorfile.Quote(name), err)
	}
	d.out.tensors = append(d.out.tensors, e)
	return nil
}

func (d *headerDecoder) shape() ([]int, error) {
	shape := []int{}
	err := d.numbers("shape", maxRank, func(n uint64) error {
		if n > 1<<63-1 {
			return fmt.Errorf("dimension %d is too large", n)
		}
		shape = append(shape, int(n))
		return nil
	})
	return shape, err
}

func (d *headerDecoder) offsets() (begin, end uint64, err error) {
	var pair []uint64
	err = d.numbers("data_offsets", 2, func(n uint64) error {
		pair = append(pair, n)
		return nil
	})
	if err == nil && len(pair) != 2 {
		err = fmt.Errorf("data_offsets has %d numbers, want 2", len(pair))
	}
	if err != nil {
		return 0, 0, err
	}
	return pair[0], pair[1], nil
}

// numbers reads an array of at most limit whole numbers.
func (d *headerDecoder) numbers(what string, limit int, each func(uint64) error) error {
	if err := d.open(what, jsontext.KindBeginArray); err != nil {
		return err
	}
	for count := 0; d.json.PeekKind() != jsontext.KindEndArray; count++ {
		if count == limit {
			return fmt.Errorf("%s has more than %d numbers", what, limit)
		}
		raw, err := d.json.ReadValue()
		if err != nil {
			return err
		}
		// Not Token.Uint: that takes 1.0 and 1e3, which the format does not.
		n, err := strconv.ParseUint(string(raw[:min(len(raw), 32)]), 10, 64)
		if err != nil {
			return fmt.Errorf("%s holds %s, want a whole number", what, tensorfile.Quote(string(raw)))
		}
		if err := each(n); err != nil {
			return err
		}
	}
	_, err := d.json.ReadToken()
	return err
}
