// Package records reads data files as a stream of raw records, each with its
// place: JSON (an array, or values one after another), JSON lines, CSV, TSV and
// Parquet, plain or compressed with gzip or zstd.
//
// Open gives a Reader, its Next a Record: named JSON values that nobody has
// interpreted. A RecordError tells of one bad record, after which reading can
// go on; every other error ends the file. JSON is read strictly: RFC 7493
// (https://www.rfc-editor.org/rfc/rfc7493), so that a key that stands twice or
// text that is not UTF-8 is an error and never silently changed.
//
// The package knows no column names: what a record means is for its caller.
package records

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxRecordBytes bounds one record: a line or an element of an array. A row of a
// table may have half of it.
const MaxRecordBytes = 64 << 20

// Field is one named value of a record, as JSON text.
type Field struct {
	Name  string
	Value jsontext.Value
}

// Record is one record of a file, with its fields in the file's order. It is
// the caller's to keep.
type Record struct {
	Fields []Field
	Place  Place
}

// Get returns the value of a name and whether the record has it.
func (r Record) Get(name string) (jsontext.Value, bool) {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return nil, false
}

// AppendJSON appends the record as one JSON object.
func (r Record) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, f := range r.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, f.Name)
		dst = append(dst, ':')
		dst = append(dst, f.Value...)
	}
	return append(dst, '}')
}

// appendString appends text as JSON. Bytes that are not UTF-8 become U+FFFD:
// every caller either has checked the text or shows it to a person.
func appendString[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}

// Place says where in a file a record stands: at a line, or as the n-th record
// where lines mean nothing. Both count from 1; one of them is 0.
type Place struct {
	File         string
	Line, Record int
}

// String is "prefs.jsonl:17" or "prefs.json: record 5".
func (p Place) String() string {
	if p.Line > 0 {
		return p.File + ":" + strconv.Itoa(p.Line)
	}
	return p.File + ": record " + strconv.Itoa(p.Record)
}

// Number is the line or the record's number, whichever the place has.
func (p Place) Number() int { return max(p.Line, p.Record) }

// RecordError tells what is wrong with one record. The records after it can
// still be read.
type RecordError struct {
	Place Place
	// Field is the field at fault; "" where it is the record as a whole.
	Field  string
	Reason string
	// Raw is the record's text where it could not be parsed, cut to MaxRaw.
	Raw []byte
}

// MaxRaw bounds RecordError.Raw.
const MaxRaw = 1 << 20

// Error is "prefs.jsonl:17: "chosen" is empty".
func (e *RecordError) Error() string {
	if e.Field == "" {
		return e.Place.String() + ": " + e.Reason
	}
	return e.Place.String() + ": " + strconv.Quote(e.Field) + " " + e.Reason
}

// badRecord keeps a copy of the raw text for whoever sets bad records aside.
func badRecord(place Place, raw []byte, reason string) *RecordError {
	return &RecordError{Place: place, Reason: reason, Raw: append([]byte(nil), raw[:min(len(raw), MaxRaw)]...)}
}
