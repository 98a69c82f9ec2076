package gguf

import (
	"errors"
	"fmt"
	"io"

	"align/internal/tensorfile"
)

// TensorInfo describes one tensor.
type TensorInfo struct {
	Name string
	Type Type
	// Shape is in ggml's order, the reverse of PyTorch's: Shape[0] is the
	// length of a contiguous row (the number of columns), Shape[1] the number
	// of rows.
	Shape  []int
	Offset int64 // bytes from the start of the file's data
	Size   int64 // bytes
}

// File is an open file, or several that were split. Its methods may be called
// from several goroutines.
type File struct {
	Version  int
	Metadata Metadata

	tensors []TensorInfo
	index   map[string]place
	parts   []part
}

// part is one file of a set.
type part struct {
	path   string
	reader io.ReaderAt
	closer io.Closer
	dataAt int64
}

// place is where a tensor is: its number in tensors and in parts.
type place struct{ tensor, part int }

// Open opens the regular file path, or a link to one, and checks its header.
// No tensor is read.
func Open(path string) (*File, error) {
	f, size, err := tensorfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	file, err := parse(f, size)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("gguf: %s: %w", path, err)
	}
	file.parts[0].path = path
	file.parts[0].closer = f
	return file, nil
}

// New reads a file of size bytes through r. Close then closes nothing.
func New(r io.ReaderAt, size int64) (*File, error) {
	f, err := parse(r, size)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	return f, nil
}

func parse(r io.ReaderAt, size int64) (*File, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	f := &File{Version: h.version, Metadata: h.metadata, index: map[string]place{}}
	f.add(h, part{path: "reader", reader: r, dataAt: h.dataAt})
	return f, nil
}

// add takes over the tensors of a part; their names are not in f yet.
func (f *File) add(h *header, p part) {
	for _, t := range h.tensors {
		f.index[t.Name] = place{tensor: len(f.tensors), part: len(f.parts)}
		f.tensors = append(f.tensors, t)
	}
	f.parts = append(f.parts, p)
}

// Close closes the file.
func (f *File) Close() error {
	var errs []error
	for _, p := range f.parts {
		if p.closer != nil {
			errs = append(errs, p.closer.Close())
		}
	}
	return errors.Join(errs...)
}

// Tensors lists the tensors in the order of their data. The caller must not
// change the list.
func (f *File) Tensors() []TensorInfo { return f.tensors }

// Tensor describes the tensor called name.
func (f *File) Tensor(name string) (TensorInfo, bool) {
	at, ok := f.index[name]
	if !ok {
		return TensorInfo{}, false
	}
	return f.tensors[at.tensor], true
}

// Reader reads the bytes of the tensor called name.
func (f *File) Reader(name string) (*io.SectionReader, error) {
	at, ok := f.index[name]
	if !ok {
		return nil, fmt.Errorf("gguf: no tensor %s", tensorfile.Quote(name))
	}
	info, p := f.tensors[at.tensor], f.parts[at.part]
	return io.NewSectionReader(p.reader, p.dataAt+info.Offset, info.Size), nil
}

// ReadTensor fills dst, which must have the tensor's size, with the bytes of
// the tensor called info.Name.
func (f *File) ReadTensor(info TensorInfo, dst []byte) error {
	r, err := f.Reader(info.Name)
	if err != nil {
		return err
	}
	if int64(len(dst)) != r.Size() {
		return fmt.Errorf("gguf: tensor %s has %d bytes, the buffer %d", tensorfile.Quote(info.Name), r.Size(), len(dst))
	}
	if _, err := io.ReadFull(r, dst); err != nil {
		return fmt.Errorf("gguf: %s: tensor %s: %w", f.parts[f.index[info.Name].part].path, tensorfile.Quote(info.Name), err)
	}
	return nil
}
