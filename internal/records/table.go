package records

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRowBytes bounds a row: the CSV parser holds it about five times.
const maxRowBytes = MaxRecordBytes / 2

// table reads the rows of a CSV or TSV file under its header. Every cell is a
// JSON string.
type table struct {
	path    string
	source  *source
	budget  *budget
	rows    *csv.Reader
	skipped int // lines before the first that rows sees
	header  []string
}

func (r *Reader) startTable(ending string) error {
	t := &table{path: r.path, source: r.source, budget: &budget{r: r.source.text, limit: maxRowBytes}}
	comma, err := t.separator(ending)
	if err != nil {
		return err
	}
	r.format = "CSV"
	if comma == '\t' {
		r.format = "TSV"
	}
	t.rows = csv.NewReader(t.budget)
	t.rows.Comma, t.rows.FieldsPerRecord, t.rows.ReuseRecord = comma, -1, true
	r.next = t.next
	return t.readHeader()
}

// separator is a tab in TSV; else the line "sep=;" that Excel reads, or the one
// that stands most often in the first line.
func (t *table) separator(ending string) (rune, error) {
	head, _ := t.source.text.Peek(sniffBytes)
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if rest, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r"), []byte("sep=")); ok && len(rest) == 1 {
		t.skipped = 1
		_, err := t.source.text.Discard(min(len(line)+1, len(head)))
		return rune(rest[0]), err
	}
	if ending != ".csv" {
		return '\t', nil
	}
	return commonSeparator(line), nil
}

func commonSeparator(line []byte) rune {
	count := map[byte]int{}
	quoted := false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted {
			count[c]++
		}
	}
	best := byte(',')
	for _, c := range []byte(";\t") {
		if count[c] > count[best] {
			best = c
		}
	}
	return rune(best)
}

func (t *table) readHeader() error {
	t.budget.left = t.budget.limit
	header, err := t.rows.Read()
	if err == io.EOF {
		return nil // an empty file has no records, which Next says
	}
	if err != nil {
		return t.fault(err)
	}
	seen := map[string]bool{}
	for _, name := range header {
		if invalidUTF8([]byte(name)) >= 0 {
			return fmt.Errorf("%s:%d: invalid UTF-8 in the header", t.path, 1+t.skipped)
		}
		if strings.Contains(strings.TrimSpace(name), "\r") {
			return fmt.Errorf("%s:%d: lines end in a carriage return alone: save the file with LF or CRLF", t.path, 1+t.skipped)
		}
		name = strings.TrimSpace(name)
		if name != "" && seen[name] {
			return fmt.Errorf("%s:%d: column %q stands twice in the header", t.path, 1+t.skipped, name)
		}
		seen[name] = true
		t.header = append(t.header, name)
	}
	return nil
}

func (t *table) next() (Record, error) {
	if t.header == nil {
		return Record{}, io.EOF
	}
	t.budget.left = t.budget.limit
	cells, err := t.rows.Read()
	if err == io.EOF {
		return Record{}, err
	}
	if err != nil {
		return Record{}, t.fault(err)
	}
	line, _ := t.rows.FieldPos(0)
	return t.record(Place{File: t.path, Line: line + t.skipped}, cells)
}

func (t *table) record(place Place, cells []string) (Record, error) {
	if len(cells) != len(t.header) {
		return Record{}, badRecord(place, []byte(strings.Join(cells, string(t.rows.Comma))),
			fmt.Sprintf("the row has %d fields, the header %d", len(cells), len(t.header)))
	}
	record := Record{Place: place, Fields: make([]Field, 0, len(cells))}
	for i, cell := range cells {
		if t.header[i] == "" {
			continue // a row index without a name, or what a trailing separator leaves
		}
		if at := invalidUTF8([]byte(cell)); at >= 0 {
			bad := badRecord(place, []byte(cell), fmt.Sprintf("has invalid UTF-8 at byte %d", at+1))
			bad.Field = t.header[i]
			return Record{}, bad
		}
		record.Fields = append(record.Fields, Field{Name: t.header[i], Value: appendString(nil, cell)})
	}
	return record, nil
}

// fault makes a RecordError of a fault that ends with its line. A wrong quote
// that spans lines may have swallowed good rows, so that it ends the file.
func (t *table) fault(err error) error {
	var syntax *csv.ParseError
	if !errors.As(err, &syntax) {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	place := Place{File: t.path, Line: syntax.StartLine + t.skipped}
	if syntax.Line != syntax.StartLine {
		return fmt.Errorf("%s: a quoted field that begins in this row is not closed rightly at line %d", place, syntax.Line+t.skipped)
	}
	return badRecord(place, nil, fmt.Sprintf("bad quoting at column %d: %v", syntax.Column, syntax.Err))
}
