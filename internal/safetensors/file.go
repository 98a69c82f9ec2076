package safetensors

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"align/internal/tensorfile"
)

// Info describes one tensor.
type Info struct {
	Name  string
	DType DType
	Shape []int // C order, the last dimension is contiguous; empty for a scalar
	Bytes int64
}

// File is an open safetensors file. Its methods may be called from several
// goroutines.
type File struct {
	path     string
	reader   io.ReaderAt
	closer   io.Closer
	tensors  []Info
	offsets  map[string]int64 // of each tensor in the file
	index    map[string]int   // of each tensor in tensors
	metadata map[string]string
}

// Open opens the regular file path, or a link to one, and checks its header.
// No tensor is read.
func Open(path string) (*File, error) {
	f, size, err := tensorfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	file, err := parse(f, size)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	file.path = path
	file.closer = f
	return file, nil
}

// New reads a file of size bytes through r. Close then closes nothing.
func New(r io.ReaderAt, size int64) (*File, error) {
	f, err := parse(r, size)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	f.path = "reader"
	return f, nil
}

func parse(r io.ReaderAt, size int64) (*File, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	if err := layOut(h.tensors, uint64(size-h.dataAt)); err != nil {
		return nil, err
	}
	f := &File{reader: r, metadata: h.metadata, offsets: map[string]int64{}, index: map[string]int{}}
	for i, e := range h.tensors {
		f.tensors = append(f.tensors, e.Info)
		f.offsets[e.Name] = h.dataAt + int64(e.begin)
		f.index[e.Name] = i
	}
	return f, nil
}

// layOut sorts the entries by offset, fills in their sizes and checks that
// they tile the size bytes of data: no hole, no overlap and no tail in which
// something else could hide.
func layOut(entries []entry, size uint64) error {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	at := uint64(0)
	for i := range entries {
		e := &entries[i]
		if err := e.check(at, size); err != nil {
			return fmt.Errorf("tensor %s: %w", tensorfile.Quote(e.Name), err)
		}
		at = e.end
	}
	if at != size {
		return fmt.Errorf("the tensors end at byte %d of %d bytes of data", at, size)
	}
	return nil
}

func (e *entry) check(at, size uint64) error {
	if e.begin != at {
		return fmt.Errorf("data begins at %d, want %d where the one before ends", e.begin, at)
	}
	if e.end < e.begin {
		return fmt.Errorf("data ends at %d before it begins at %d", e.end, e.begin)
	}
	if e.end > size {
		return fmt.Errorf("data ends at %d, the file has %d bytes of data", e.end, size)
	}
	bytes, err := bytesOf(e.DType, e.Shape)
	if err != nil {
		return err
	}
	if uint64(bytes) != e.end-e.begin {
		return fmt.Errorf("%s %v needs %d bytes, its offsets span %d", e.DType, e.Shape, bytes, e.end-e.begin)
	}
	e.Bytes = bytes
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Tensors lists the tensors in the order of their data. The caller must not
// change the list.
func (f *File) Tensors() []Info { return f.tensors }

// Metadata is the header's __metadata__; nil where there is none.
func (f *File) Metadata() map[string]string { return f.metadata }

// Tensor describes the tensor called name.
func (f *File) Tensor(name string) (Info, bool) {
	i, ok := f.index[name]
	if !ok {
		return Info{}, false
	}
	return f.tensors[i], true
}

// Reader reads the bytes of the tensor called name, little-endian. Readers of
// one file are independent of each other.
func (f *File) Reader(name string) (*io.SectionReader, error) {
	info, ok := f.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("safetensors: %s: no tensor %s", f.path, tensorfile.Quote(name))
	}
	return io.NewSectionReader(f.reader, f.offsets[name], info.Bytes), nil
}

// ReadInto fills dst with the bytes of the tensor called name. dst must have
// the tensor's size.
func (f *File) ReadInto(name string, dst []byte) error {
	r, err := f.Reader(name)
	if err != nil {
		return err
	}
	if int64(len(dst)) != r.Size() {
		return fmt.Errorf("safetensors: %s: tensor %s has %d bytes, the buffer %d", f.path, tensorfile.Quote(name), r.Size(), len(dst))
	}
	if _, err := io.ReadFull(r, dst); err != nil {
		return fmt.Errorf("safetensors: %s: tensor %s: %w", f.path, tensorfile.Quote(name), err)
	}
	return nil
}
