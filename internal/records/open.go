package records

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Reader reads the records of one file.
type Reader struct {
	path, format string
	source       *source
	next         func() (Record, error)
	close        func() error
	err          error // ends the file once it is set
}

// Open opens a file. The name's ending says its format, the first bytes its
// compression; a name that says nothing is judged by its first bytes too.
func Open(path string) (*Reader, error) {
	s, err := openSource(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{path: path, source: s, close: s.close}
	if err := r.start(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Reader) start() error {
	head, err := r.source.text.Peek(sniffBytes)
	if err != nil && err != io.EOF {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	ending := strings.ToLower(filepath.Ext(uncompressedName(r.path)))
	if ending == ".parquet" || bytes.HasPrefix(head, []byte(parquetMagic)) {
		return r.startParquet()
	}
	if err := r.skipMark(head); err != nil {
		return err
	}
	switch {
	case slices.Contains([]string{".csv", ".tsv", ".tab"}, ending):
		return r.startTable(ending)
	case slices.Contains([]string{".json", ".jsonl", ".ndjson"}, ending) || startsJSON(r.source.first()):
		r.startJSON(ending)
		return nil
	}
	text := ""
	if slices.Contains([]string{".txt", ".md", ""}, ending) {
		text = `; of plain text, .jsonl with a line {"text": "..."} for each`
	}
	return fmt.Errorf("%s: unknown format %q: want .json, .jsonl, .csv, .tsv or .parquet, also with .gz or .zst%s", r.path, ending, text)
}

// isUTF16 knows UTF-16 by its mark, or by the zero in one of its first two bytes:
// names and JSON begin with ASCII.
func isUTF16(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) ||
		len(head) > 1 && (head[0] == 0) != (head[1] == 0)
}

// skipMark skips a byte order mark and refuses UTF-16.
func (r *Reader) skipMark(head []byte) error {
	if isUTF16(head) {
		return fmt.Errorf("%s: the text is UTF-16: want UTF-8", r.path)
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		_, err := r.source.text.Discard(3)
		return err
	}
	return nil
}

// startsJSON says whether c can begin an array or an object.
func startsJSON(c byte) bool { return c == '[' || c == '{' }

// Next returns the next record. At the end it returns io.EOF. After a
// RecordError the caller may call it again; any other error stays.
func (r *Reader) Next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	record, err := r.next()
	var bad *RecordError
	if err == nil || errors.As(err, &bad) {
		return record, err
	}
	r.err = err
	return Record{}, err
}

// Format names the container: "JSON lines", "JSON", "CSV", "TSV" or "Parquet",
// with the compression.
func (r *Reader) Format() string {
	if r.source.compression == "" {
		return r.format
	}
	return r.format + ", " + r.source.compression
}

// Progress is the number of bytes of the file that have been read, and its
// size (0: not known).
func (r *Reader) Progress() (done, total int64) { return r.source.raw.n, r.source.size }

// Close closes the file.
func (r *Reader) Close() error { return r.close() }
