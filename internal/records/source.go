package records

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// sniffBytes is how much of a text is looked at to tell its format.
	sniffBytes = 64 << 10
	// pointerMark begins what Git leaves in the place of a large file.
	pointerMark = "version https://git-lfs"
	// maxRatio and ratioSlack bound what compressed data may grow to: beyond
	// them it was made to fill memory. Text of one repeated line reaches 200.
	maxRatio   = 200
	ratioSlack = 64 << 20
	// maxWindow bounds the memory of the zstd decoder; zstd --ultra -22 uses 128 MiB.
	maxWindow = 128 << 20
)

var (
	errBomb      = fmt.Errorf("the compressed data grows to more than %d times its size", maxRatio)
	errTruncated = errors.New("the compressed data is truncated")
)

// source is a file's text, uncompressed on the way.
type source struct {
	file        *os.File
	size        int64
	compression string
	raw         *counter
	text        *bufio.Reader
	closers     []func() error
}

func openSource(path string) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &source{file: file, raw: &counter{r: file}, closers: []func() error{file.Close}}
	if err := s.start(path); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *source) start(path string) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%s: is a folder: want a data file", path)
	}
	if info.Mode().IsRegular() {
		s.size = info.Size()
	}
	raw := bufio.NewReaderSize(s.raw, sniffBytes)
	magic, err := raw.Peek(len(pointerMark))
	if err != nil && err != io.EOF {
		return fmt.Errorf("%s: %w", path, err)
	}
	if string(magic) == pointerMark {
		return fmt.Errorf("%s: it is a Git LFS pointer in the file's place: git lfs pull fetches the file", path)
	}
	s.compression = compressionOf(magic)
	if want := namedCompression(path); want != "" && want != s.compression {
		return fmt.Errorf("%s: the name says %s, the content is not", path, want)
	}
	text, err := s.expand(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.text = bufio.NewReaderSize(text, sniffBytes)
	return nil
}

func compressionOf(magic []byte) string {
	switch {
	case strings.HasPrefix(string(magic), "\x1f\x8b"):
		return "gzip"
	case strings.HasPrefix(string(magic), "\x28\xb5\x2f\xfd"):
		return "zstd"
	}
	return ""
}

func namedCompression(path string) string {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".gz":
		return "gzip"
	case ".zst":
		return "zstd"
	}
	return ""
}

// uncompressedName is the path without the ending of its compression.
func uncompressedName(path string) string {
	if namedCompression(path) == "" {
		return path
	}
	return strings.TrimSuffix(path, filepath.Ext(path))
}

func (s *source) expand(raw *bufio.Reader) (io.Reader, error) {
	e := &expansion{raw: s.raw, compression: s.compression}
	switch s.compression {
	case "gzip":
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, e.explain(err)
		}
		e.r = z // its Close frees nothing and repeats the last error
		return e, nil
	case "zstd":
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, e.explain(err)
		}
		e.r, s.closers = z, append(s.closers, func() error { z.Close(); return nil })
		return e, nil
	}
	return raw, nil
}

// explain says in our words what an error of the decompressor means.
func (e *expansion) explain(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errTruncated
	}
	return fmt.Errorf("bad %s data: %w", e.compression, err)
}

// first is the first byte of the text that is not white space; 0 if none is near.
func (s *source) first() byte {
	head, _ := s.text.Peek(sniffBytes)
	for _, c := range head {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

func (s *source) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// counter counts the bytes read from the file.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// expansion reads compressed data and stops it where it grows beyond reason.
type expansion struct {
	r           io.Reader
	raw         *counter
	compression string
	n           int64
}

func (e *expansion) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.n += int64(n)
	switch {
	case e.n > maxRatio*e.raw.n+ratioSlack:
		return 0, errBomb
	case err != nil && err != io.EOF:
		return n, e.explain(err)
	}
	return n, err
}

// invalidUTF8 is the offset of the first byte that is not UTF-8; -1: none.
func invalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for at := 0; ; {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}
