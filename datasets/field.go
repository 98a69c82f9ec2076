package datasets

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"align/internal/records"

	"github.com/go-json-experiment/json/jsontext"
)

// malformed is the error of a field that cannot be read. Its place is filled in
// by the reader.
func malformed(field, format string, args ...any) error {
	return &records.RecordError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// kindOf names a JSON value's kind with its article.
func kindOf(v jsontext.Value) string { return records.KindName(v.Kind()) }

// required is a field that must be there and not null.
func required(r records.Record, name, want string) (jsontext.Value, error) {
	v, ok := r.Get(name)
	if !ok {
		return nil, malformed(name, "is missing: the record has %s", cmp.Or(strings.Join(columnsOf(r), ", "), "no columns"))
	}
	if v.Kind() == jsontext.KindNull {
		return nil, malformed(name, "is null: want %s", want)
	}
	return v, nil
}

// optional is a field or nil; null is as good as none.
func optional(r records.Record, name string) jsontext.Value {
	v, ok := r.Get(name)
	if !ok || v.Kind() == jsontext.KindNull {
		return nil
	}
	return v
}

// text is a field that is a string.
func text(r records.Record, name string) (string, error) {
	v, err := required(r, name, "a string")
	if err != nil {
		return "", err
	}
	return textOf(name, v)
}

// optionalText is a field that is a string, or "".
func optionalText(r records.Record, name string) (string, error) {
	v := optional(r, name)
	if v == nil {
		return "", nil
	}
	return textOf(name, v)
}

func textOf(name string, v jsontext.Value) (string, error) {
	if v.Kind() != jsontext.KindString {
		return "", malformed(name, "is %s: want a string", kindOf(v))
	}
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return "", malformed(name, "is no valid string: %v", err)
	}
	return string(b), nil
}

// textOrMessages refuses what is neither a string nor a list or one message.
func textOrMessages(name string, v jsontext.Value) error {
	switch v.Kind() {
	case jsontext.KindString, jsontext.KindBeginArray, jsontext.KindBeginObject:
		return nil
	}
	return malformed(name, "is %s: want a string or messages", kindOf(v))
}

// listOf splits a list. A string that holds one, as a cell of CSV does, counts.
func listOf(name string, v jsontext.Value) ([]jsontext.Value, error) {
	if inner := nested(v); inner != nil {
		v = inner
	}
	if v.Kind() != jsontext.KindBeginArray {
		return nil, malformed(name, "is %s: want a list", kindOf(v))
	}
	var items []jsontext.Value
	d := jsontext.NewDecoder(strings.NewReader(string(v)))
	if _, err := d.ReadToken(); err != nil {
		return nil, malformed(name, "%v", err)
	}
	for d.PeekKind() != jsontext.KindEndArray {
		item, err := d.ReadValue()
		if err != nil {
			return nil, malformed(name, "%v", err)
		}
		items = append(items, item.Clone())
	}
	return items, nil
}

// nested is the list or object that a string holds as JSON; nil if none.
func nested(v jsontext.Value) jsontext.Value {
	if v.Kind() != jsontext.KindString {
		return nil
	}
	b, err := jsontext.AppendUnquote(nil, v)
	inner := jsontext.Value(strings.TrimSpace(string(b)))
	if err != nil || len(inner) == 0 || inner[0] != '[' && inner[0] != '{' || !inner.IsValid() {
		return nil
	}
	return inner
}

// tokenIDs is a field that is a list of ids below vocabSize.
func tokenIDs(r records.Record, name string, vocabSize int) ([]int32, error) {
	items, err := requiredList(r, name)
	if err != nil {
		return nil, err
	}
	ids := make([]int32, len(items))
	for i, item := range items {
		id, err := strconv.ParseInt(string(item), 10, 32)
		if err != nil {
			return nil, malformed(name, "has %s at %d: want a token id", short(item), i)
		}
		if id < 0 || id >= int64(vocabSize) {
			return nil, malformed(name, "has the token id %d at %d: the vocabulary has %d", id, i, vocabSize)
		}
		ids[i] = int32(id)
	}
	return ids, nil
}

func requiredList(r records.Record, name string) ([]jsontext.Value, error) {
	v, err := required(r, name, "a list")
	if err != nil {
		return nil, err
	}
	return listOf(name, v)
}

// flags is a field that is a list of 0 and 1, or of booleans.
func flags(r records.Record, name string) ([]bool, error) {
	items, err := requiredList(r, name)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(items))
	for i, item := range items {
		var ok bool
		if out[i], ok = flag(string(item)); !ok {
			return nil, malformed(name, "has %s at %d: want 0 or 1", short(item), i)
		}
	}
	return out, nil
}

func flag(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "1", "true":
		return true, true
	case "0", "false":
		return false, true
	}
	return false, false
}

// label is a field that says yes or no: a boolean, 0 or 1, or these as text.
func label(r records.Record, name string) (bool, error) {
	v, err := required(r, name, "a boolean")
	if err != nil {
		return false, err
	}
	s := string(v)
	if v.Kind() == jsontext.KindString {
		if s, err = textOf(name, v); err != nil {
			return false, err
		}
	}
	value, ok := flag(strings.TrimSpace(s))
	if !ok {
		return false, malformed(name, "is %s: want true or false", short(v))
	}
	return value, nil
}

// numbers is a field that is a list of finite numbers.
func numbers(r records.Record, name string) ([]float64, error) {
	items, err := requiredList(r, name)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(items))
	for i, item := range items {
		out[i], err = strconv.ParseFloat(string(item), 64)
		if err != nil || math.IsInf(out[i], 0) || math.IsNaN(out[i]) {
			return nil, malformed(name, "has %s at %d: want a finite number", short(item), i)
		}
	}
	return out, nil
}

// shortBytes is how much of a value stands in an error.
const shortBytes = 40

func short(v jsontext.Value) string {
	if len(v) <= shortBytes {
		return string(v)
	}
	return strings.ToValidUTF8(string(v[:shortBytes]), "") + "..."
}

// optionalNumber is a field that is a finite number, or 0.
func optionalNumber(r records.Record, name string) (float64, error) {
	v := optional(r, name)
	if v == nil {
		return 0, nil
	}
	x, err := strconv.ParseFloat(strings.Trim(string(v), `"`), 64) // a cell of CSV is a string
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, malformed(name, "is %s: want a finite number", short(v))
	}
	return x, nil
}
