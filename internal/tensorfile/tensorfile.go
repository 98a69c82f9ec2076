// Package tensorfile is what files of tensors have in common, whatever their format: how
// one is opened, that a tensor's data has the size that its header says, and how a name
// out of a file is shown.
package tensorfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Open opens the regular file path, or a link to one, and tells its size in bytes. A pipe
// or a device has none, and its reader could wait for ever.
func Open(path string) (f *os.File, size int64, err error) {
	if f, err = os.Open(path); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return f, info.Size(), nil
}

// WriteExactly lets data write a tensor to w: size bytes, which the header has promised,
// and nothing beyond them. what names type and shape where it writes fewer.
func WriteExactly(w io.Writer, size int64, what string, data func(io.Writer) error) error {
	exact := &exactWriter{w: w, left: size}
	if err := data(exact); err != nil {
		return err
	}
	if exact.left != 0 {
		return fmt.Errorf("%s needs %d bytes, %d were written", what, size, size-exact.left)
	}
	return nil
}

// exactWriter refuses bytes beyond a tensor's size.
type exactWriter struct {
	w    io.Writer
	left int64
}

// Write implements io.Writer.
func (e *exactWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > e.left {
		return 0, fmt.Errorf("more bytes than its shape calls for: %d left, %d given", e.left, len(p))
	}
	n, err := e.w.Write(p)
	e.left -= int64(n)
	return n, err
}

// Quote shows a name from a file, cut so that a message stays one line.
func Quote(s string) string {
	const limit = 80
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "..."
	}
	return strconv.Quote(s)
}
