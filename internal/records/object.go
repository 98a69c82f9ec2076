package records

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// parseObject parses the text of one record, which it does not keep. Its error
// is a RecordError.
func parseObject(place Place, raw []byte) (Record, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw))
	if kind := d.PeekKind(); kind != jsontext.KindBeginObject && kind != jsontext.KindInvalid {
		return Record{}, badRecord(place, raw, fmt.Sprintf("the record is %s: want an object", KindName(kind)))
	}
	record := Record{Place: place}
	if err := parseFields(d, &record, make([]byte, 0, len(raw))); err != nil {
		return Record{}, badRecord(place, raw, JSONReason(err, raw))
	}
	return record, nil
}

// parseFields copies the values to arena, which is large enough for all: one
// allocation for a record's values.
func parseFields(d *jsontext.Decoder, r *Record, arena []byte) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != jsontext.KindEndObject {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		field := Field{Name: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		from := len(arena)
		arena = append(arena, value...)
		field.Value = arena[from:len(arena):len(arena)]
		r.Fields = append(r.Fields, field)
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return errTrailing
	}
	return nil
}

var errTrailing = errors.New("something follows the object")

// JSONReason says in our words what is wrong with JSON text. raw may be nil.
func JSONReason(err error, raw []byte) string {
	if at := invalidUTF8(raw); at >= 0 {
		return fmt.Sprintf("invalid UTF-8 at byte %d", at+1)
	}
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return "bad JSON: it ends early"
	case !errors.As(err, &syntax):
		return "bad JSON: " + err.Error()
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Sprintf("bad JSON: key %q stands twice", syntax.JSONPointer.LastToken())
	}
	return fmt.Sprintf("bad JSON at byte %d: %v%s", syntax.ByteOffset+1, syntax.Err, foreignJSON(raw, syntax.ByteOffset))
}

// foreignJSON says what stands at a fault where it is what other languages write.
func foreignJSON(raw []byte, at int64) string {
	if at < 0 || at >= int64(len(raw)) {
		return ""
	}
	rest := string(raw[at:])
	for _, number := range []string{"NaN", "Infinity"} {
		if strings.HasPrefix(rest, number) {
			return fmt.Sprintf(": JSON has no %s, write null or leave the field out", number)
		}
	}
	switch {
	case strings.HasPrefix(rest, "'"):
		return ": texts stand in double quotes"
	case strings.HasPrefix(rest, "None"), strings.HasPrefix(rest, "True"), strings.HasPrefix(rest, "False"):
		return ": JSON has null, true and false"
	}
	return ""
}

// KindName names a kind of JSON value with its article.
func KindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginArray:
		return "a list"
	}
	return "an object"
}
