package model

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/device"
	"align/internal/gguf"
	"align/internal/safetensors"
)

// source is the files of a base model, of whatever format.
type source interface {
	// check finds a weight, holds its shape to what the config wants and
	// returns its bytes, without reading it.
	check(w weightInfo) (bytes int64, err error)
	// tensor is check for a weight that is about to be read.
	tensor(w weightInfo) (stored, error)
	Close() error
}

// stored is a tensor as its files hold it, the rows in Hugging Face's order; a
// vector is one row.
type stored struct {
	typ        device.Type
	rows, cols int
	// read fills dst with the bytes of rows [row, row+n), in any order of calls.
	read func(dst []byte, row, n int) error
}

func (s stored) rowBytes() int { return int(s.typ.RowBytes(s.cols)) }

func (s stored) bytes() int64 { return int64(s.rows) * s.typ.RowBytes(s.cols) }

// floats fills dst, n rows long, with the values of rows [row, row+n); raw is
// scratch memory of at least their bytes.
func (s stored) floats(dst []float32, raw []byte, row, n int) error {
	raw = raw[:n*s.rowBytes()]
	if err := s.read(raw, row, n); err != nil {
		return err
	}
	for i := range n {
		if err := toFloats(dst[i*s.cols:][:s.cols], s.typ, raw[i*s.rowBytes():][:s.rowBytes()]); err != nil {
			return err
		}
	}
	return nil
}

// shape is the rows and columns of the weight as a stored tensor.
func (w weightInfo) shape() (rows, cols int) {
	if w.cols == 0 {
		return 1, w.rows
	}
	return w.rows, w.cols
}

// isLinear says whether the weight is that of a decoder layer's linear module,
// which is what quantising a base means.
func (w weightInfo) isLinear() bool {
	_, module := w.module()
	return module != "" && w.cols > 0
}

// module is the layer and the module that the weight or bias belongs to; "" for
// others.
func (w weightInfo) module() (layer int, module string) {
	parts := strings.Split(w.name, ".")
	if len(parts) != 6 || !slices.Contains(Modules, parts[4]) {
		return 0, ""
	}
	if _, err := fmt.Sscanf(parts[2], "%d", &layer); err != nil {
		return 0, ""
	}
	return layer, parts[4]
}

// ggufMagic begins every GGUF file (GGUF spec, header).
const ggufMagic = "GGUF"

// IsGGUF says whether path names a GGUF file rather than a model folder: a file
// whose name ends in .gguf, or one that begins as a GGUF does, as the blobs of
// Ollama do.
func IsGGUF(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return false
	}
	return strings.EqualFold(filepath.Ext(path), ".gguf") || info.Mode().IsRegular() && beginsWith(path, ggufMagic)
}

func beginsWith(path, magic string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == magic
}

// openSource opens a Hugging Face folder or a GGUF file with its config.
func openSource(path string) (source, Config, error) {
	if IsGGUF(path) {
		return openGGUF(path)
	}
	config, err := ReadConfig(path)
	if err != nil {
		return nil, Config{}, err
	}
	files, err := safetensors.OpenModel(path)
	if err != nil {
		return nil, Config{}, err
	}
	return folderSource{files}, config, nil
}

// checkWeights checks every weight before any is read, and returns the bytes of
// all.
func checkWeights(s source, list []weightInfo) (total int64, err error) {
	var errs []error
	for _, w := range list {
		bytes, err := s.check(w)
		total += bytes
		if err == nil {
			continue
		}
		if errs = append(errs, err); len(errs) == 8 {
			errs = append(errs, errors.New("and more"))
			break
		}
	}
	return total, errors.Join(errs...)
}

// folderSource is a Hugging Face folder.
type folderSource struct{ *safetensors.Model }

func (s folderSource) check(w weightInfo) (int64, error) {
	if safetensors.HasNF4(s, w.name) {
		rows, cols := w.shape()
		return stored{typ: device.NF4, rows: rows, cols: cols}.bytes(), nil
	}
	t, err := s.tensor(w)
	return t.bytes(), err
}

func (s folderSource) tensor(w weightInfo) (stored, error) {
	if safetensors.HasNF4(s, w.name) {
		return s.nf4(w)
	}
	info, ok := s.Tensor(w.name)
	if !ok {
		return stored{}, fmt.Errorf("tensor %q is missing", w.name)
	}
	if err := w.fits(info.Shape); err != nil {
		return stored{}, err
	}
	typ, ok := elementTypes[info.DType]
	if !ok {
		return stored{}, fmt.Errorf("tensor %q is %v: only F64, F32, F16, BF16 and NF4 weights can be loaded", w.name, info.DType)
	}
	section, err := s.Reader(w.name)
	if err != nil {
		return stored{}, err
	}
	return w.inRows(typ, section), nil
}

// inRows is a weight that lies row behind row.
func (w weightInfo) inRows(typ device.Type, section io.ReaderAt) stored {
	t := stored{typ: typ}
	t.rows, t.cols = w.shape()
	width := t.rowBytes()
	t.read = func(dst []byte, row, n int) error {
		_, err := section.ReadAt(dst[:n*width], int64(row)*int64(width))
		return err
	}
	return t
}

func (w weightInfo) fits(shape []int) error {
	want := []int{w.rows}
	if w.cols > 0 {
		want = append(want, w.cols)
	}
	if !slices.Equal(shape, want) {
		return fmt.Errorf("tensor %q is %v, the config wants %v", w.name, shape, want)
	}
	return nil
}

var elementTypes = map[safetensors.DType]device.Type{
	safetensors.F64: device.F64, safetensors.F32: device.F32, safetensors.F16: device.F16, safetensors.BF16: device.BF16,
}

var ggufTypes = map[gguf.Type]device.Type{
	gguf.F32: device.F32, gguf.F16: device.F16, gguf.BF16: device.BF16,
	gguf.Q8_0: device.Q8_0, gguf.Q4_0: device.Q4_0, gguf.Q4_1: device.Q4_1, gguf.Q5_0: device.Q5_0, gguf.Q5_1: device.Q5_1,
	gguf.Q4_K: device.Q4_K, gguf.Q5_K: device.Q5_K, gguf.Q6_K: device.Q6_K,
}

// keyOf is the key of a value of a map without doubles.
func keyOf[K, V comparable](m map[K]V, v V) (key K, ok bool) {
	for k, x := range m {
		if x == v {
			return k, true
		}
	}
	return key, false
}

// toFloats converts a row of any stored type.
func toFloats(dst []float32, typ device.Type, row []byte) error {
	switch typ {
	case device.NF4:
		nf4Floats(dst, row)
		return nil
	case device.Int8:
		int8Floats(dst, row)
		return nil
	}
	if d, ok := keyOf(elementTypes, typ); ok {
		return safetensors.ToFloat32(dst, row, d)
	}
	g, ok := keyOf(ggufTypes, typ)
	if !ok {
		return fmt.Errorf("%s has no values", typ)
	}
	return gguf.Dequantize(g, dst, row)
}
