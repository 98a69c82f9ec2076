package records

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// startJSON reads lines where each is a record, so that one bad line costs no
// other, and a stream of values where records have no lines of their own.
func (r *Reader) startJSON(ending string) {
	text := r.source.text
	if r.source.first() == '[' || ending != ".jsonl" && ending != ".ndjson" && !firstLineIsValue(text) {
		r.format = "JSON"
		r.next = newStream(r.path, r.source).next
		return
	}
	r.format = "JSON lines"
	r.next = (&lines{path: r.path, source: r.source}).next
}

func firstLineIsValue(text *bufio.Reader) bool {
	head, _ := text.Peek(sniffBytes)
	line, _, found := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	if !found && len(head) == sniffBytes {
		return true // no printer of indented JSON writes so long a line
	}
	return jsontext.Value(line).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// lines reads one record per line. Blank lines are skipped.
type lines struct {
	path   string
	source *source
	line   int
}

func (l *lines) next() (Record, error) {
	for {
		line, err := l.read()
		if err != nil {
			return Record{}, err
		}
		if len(bytes.Trim(line, " \t\r\n")) > 0 {
			return parseObject(Place{File: l.path, Line: l.line}, line)
		}
	}
}

// read returns the next line, valid until the next call.
func (l *lines) read() ([]byte, error) {
	l.line++
	line, err := l.source.text.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, err = l.readLong(line)
	}
	var bad *RecordError
	switch {
	case err == nil || err == io.EOF && len(line) > 0:
		return bytes.TrimSuffix(line, []byte("\n")), nil
	case err == io.EOF || errors.As(err, &bad):
		return nil, err
	}
	return nil, fmt.Errorf("%s: %w", Place{File: l.path, Line: l.line}, err)
}

// readLong reads the rest of a line in pieces and joins them at its end, so that
// a line without end costs no copies.
func (l *lines) readLong(start []byte) (line []byte, err error) {
	pieces := [][]byte{bytes.Clone(start)}
	size := len(start)
	for err = bufio.ErrBufferFull; err == bufio.ErrBufferFull; {
		var piece []byte
		piece, err = l.source.text.ReadSlice('\n')
		if size += len(piece); size > MaxRecordBytes {
			return nil, l.discard(pieces[0], err)
		}
		pieces = append(pieces, bytes.Clone(piece))
	}
	return bytes.Join(pieces, nil), err
}

// discard reads on to the end of a line that is too long.
func (l *lines) discard(start []byte, err error) error {
	for err == bufio.ErrBufferFull {
		_, err = l.source.text.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return err
	}
	return badRecord(Place{File: l.path, Line: l.line}, start, fmt.Sprintf("the line is longer than %d MiB", MaxRecordBytes>>20))
}

// stream reads the elements of arrays, and objects that follow one another.
type stream struct {
	path    string
	source  *source
	budget  *budget
	decoder *jsontext.Decoder
	record  int
}

func newStream(path string, s *source) *stream {
	b := &budget{r: s.text, limit: MaxRecordBytes}
	// Faults inside a record are found when it is parsed, where they cost only
	// that record.
	d := jsontext.NewDecoder(b, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return &stream{path: path, source: s, budget: b, decoder: d}
}

func (s *stream) next() (Record, error) {
	s.budget.left = s.budget.limit
	for {
		switch kind := s.decoder.PeekKind(); {
		case kind == jsontext.KindBeginArray && s.decoder.StackDepth() == 0, kind == jsontext.KindEndArray:
			if _, err := s.decoder.ReadToken(); err != nil {
				return Record{}, s.fault(err)
			}
			continue
		}
		value, err := s.decoder.ReadValue()
		if err == io.EOF {
			return Record{}, err
		}
		s.record++
		if err != nil {
			return Record{}, s.fault(err)
		}
		return parseObject(Place{File: s.path, Record: s.record}, value)
	}
}

func (s *stream) fault(err error) error {
	place := Place{File: s.path, Record: max(s.record, 1)}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %s", place, JSONReason(err, nil))
	}
	return fmt.Errorf("%s: %w", place, err)
}

// budget bounds what is read for one record.
type budget struct {
	r           io.Reader
	left, limit int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the record is longer than %d MiB", b.limit>>20)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
