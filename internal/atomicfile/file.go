package atomicfile

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// tempInfix stands between a final name and the random part of its temporary
// name: ".model.gguf.tmp-K5QJ2ZWX".
const tempInfix = ".tmp-"

// bufferSize batches small writes; a larger write passes through.
const bufferSize = 64 << 10

// WriteFile calls write and puts what it wrote under path, replacing a regular
// file of that name. If anything fails, path is as it was and the temporary
// file is gone. It is an error if path is something other than a regular file.
func WriteFile(path string, write func(io.Writer) error) error {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("atomicfile: %s is a %s: only a regular file can be replaced", path, kind(info.Mode()))
	}
	return WriteFileFS(OS{}, path, write)
}

// Bytes is what WriteFile calls where the content is ready.
func Bytes(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// WriteFileFS is WriteFile in a given file system. It does not look at what
// path names before it replaces it.
func WriteFileFS(fsys FS, path string, write func(io.Writer) error) (err error) {
	temp := tempName(path)
	enter(fsys, temp)
	defer leave(temp)
	done := false
	// Deferred rather than called, so that a panic in write cleans up too.
	defer func() {
		if !done {
			fsys.RemoveAll(temp)
		}
	}()
	if err := writeSynced(fsys, temp, path, write); err != nil {
		return err
	}
	if err := fsys.Rename(temp, path); err != nil {
		return fmt.Errorf("atomicfile: put %s in place: %w", path, err)
	}
	done = true
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("atomicfile: sync folder of %s: %w", path, err)
	}
	return nil
}

// writeSynced creates the file at, fills it and makes its content durable.
// label is the name that errors show.
func writeSynced(fsys FS, at, label string, write func(io.Writer) error) error {
	w, err := create(fsys, at, label)
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			w.file.Close()
		}
	}()
	if err := write(w); err != nil {
		return err
	}
	closed = true
	return w.Close()
}

// syncedWriter is a buffered file whose Close makes the content durable.
type syncedWriter struct {
	file   File
	buffer *bufio.Writer
	label  string
	bytes  int64
	err    error
	closed bool
}

func create(fsys FS, at, label string) (*syncedWriter, error) {
	var f File
	err := unlessOver(fsys, func() (err error) { f, err = fsys.Create(at); return err })
	if err != nil {
		return nil, fmt.Errorf("atomicfile: create %s: %w", label, err)
	}
	return &syncedWriter{file: f, buffer: bufio.NewWriterSize(f, bufferSize), label: label}, nil
}

// Write buffers p. After the first error every call returns that error.
func (w *syncedWriter) Write(p []byte) (int, error) {
	if w.closed {
		return 0, fmt.Errorf("atomicfile: write %s: %w", w.label, fs.ErrClosed)
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.buffer.Write(p)
	w.bytes += int64(n)
	if err != nil {
		w.err = fmt.Errorf("atomicfile: write %s, %d bytes so far: %w", w.label, w.bytes, err)
	}
	return n, w.err
}

// Close flushes, syncs and closes. It closes the file whatever fails first.
func (w *syncedWriter) Close() error {
	if w.closed {
		return w.err
	}
	w.closed = true
	w.step("write", w.buffer.Flush)
	w.step("sync", w.file.Sync)
	if err := w.file.Close(); err != nil && w.err == nil {
		w.err = fmt.Errorf("atomicfile: close %s: %w", w.label, err)
	}
	return w.err
}

// step runs f unless an earlier step failed.
func (w *syncedWriter) step(what string, f func() error) {
	if w.err != nil {
		return
	}
	if err := f(); err != nil {
		w.err = fmt.Errorf("atomicfile: %s %s, %d bytes: %w", what, w.label, w.bytes, err)
	}
}

// tempName is a fresh hidden name beside path.
func tempName(path string) string {
	dir, base := filepath.Split(path)
	return dir + "." + base + tempInfix + rand.Text()[:8]
}

// Sweep removes the temporary files that writes which never ended left in dir.
// Nobody else may be writing there. Folders are left alone.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("atomicfile: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if e.Type().IsRegular() && tempPattern.MatchString(e.Name()) {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// tempPattern is what tempName makes; rand.Text draws from RFC 4648's base32.
var tempPattern = regexp.MustCompile(`^\..+` + regexp.QuoteMeta(tempInfix) + `[A-Z2-7]{8}$`)

// IsTemp reports whether base, a name without its folder, is one that a write
// of final uses before its rename. A writer that was killed leaves such a name.
func IsTemp(base, final string) bool {
	return strings.HasPrefix(base, "."+final+tempInfix)
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	}
	return "device or pipe"
}
