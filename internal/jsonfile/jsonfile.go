// Package jsonfile decodes the JSON files that stand beside weights (config.json,
// adapter_config.json, tokenizer.json, a checkpoint's state). People edit them, so that
// its errors say the place and what was expected in words of ours.
package jsonfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Unmarshal is json.Unmarshal of a whole file's bytes into a struct or map.
func Unmarshal(data []byte, to any, options ...json.Options) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return errors.New("the file is empty: want a JSON object")
	}
	if bytes.HasPrefix(data, []byte("\uFEFF")) {
		return errors.New("it begins with a byte order mark: save it as UTF-8 without one")
	}
	return reason(json.Unmarshal(data, to, options...), data)
}

// reason is a decoder's error in our words.
func reason(err error, data []byte) error {
	var syntax *jsontext.SyntacticError
	var wrong *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: the JSON ends early", place(data, int64(len(data))))
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: %s", place(data, syntax.ByteOffset), fault(syntax, data))
	case errors.As(err, &wrong) && ofReader(wrong.Err):
		return fmt.Errorf("%s: %w", name(wrong.JSONPointer), wrong.Err)
	case errors.As(err, &wrong) && wanted(wrong.GoType) != "":
		return fmt.Errorf("%s is %s: want %s", name(wrong.JSONPointer), found(wrong), wanted(wrong.GoType))
	}
	return err
}

// ofReader says whether an error is of a type that reads itself, not of a number.
func ofReader(err error) bool {
	return err != nil && !errors.Is(err, strconv.ErrSyntax) && !errors.Is(err, strconv.ErrRange)
}

// place is where a byte stands, counted from 1 as editors do.
func place(data []byte, at int64) string {
	before := data[:min(max(at, 0), int64(len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

// fault says what is wrong with the text at a place.
func fault(e *jsontext.SyntacticError, data []byte) string {
	if errors.Is(e.Err, jsontext.ErrDuplicateName) {
		return fmt.Sprintf("key %q stands twice", e.JSONPointer.LastToken())
	}
	text := "bad JSON: " + strings.TrimPrefix(e.Err.Error(), "jsontext: ")
	rest := string(data[min(max(e.ByteOffset, 0), int64(len(data))):])
	switch {
	case strings.HasPrefix(rest, "'"):
		text += ": texts stand in double quotes"
	case strings.HasPrefix(rest, "NaN"), strings.HasPrefix(rest, "Infinity"):
		text += ": JSON has no such number"
	case strings.HasPrefix(rest, "None"), strings.HasPrefix(rest, "True"), strings.HasPrefix(rest, "False"):
		text += ": JSON has null, true and false"
	}
	return text
}

// name is a value's place in the object, "the file" for the whole of it.
func name(p jsontext.Pointer) string {
	if p == "" {
		return "the file"
	}
	return strings.Join(strings.Split(string(p), "/")[1:], ".")
}

// found is what stands there.
func found(e *json.SemanticError) string {
	if v := e.JSONValue; len(v) > 0 && len(v) <= 40 && v.Kind() == jsontext.KindNumber {
		return v.String()
	}
	switch e.JSONKind {
	case jsontext.KindBeginArray:
		return "a list"
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindString, jsontext.KindNumber:
		return "a " + e.JSONKind.String()
	}
	return e.JSONKind.String()
}

// wanted is what a type is written as; "" is one that no file has.
func wanted(t reflect.Type) string {
	if t == nil {
		return ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64:
		return "a whole number"
	case reflect.Float64, reflect.Float32:
		return "a number"
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return ""
}
