package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Field is one setting: a key and the place in the struct where its value
// lies. It has the methods of a flag value of github.com/spf13/pflag.
type Field struct {
	Key   string
	list  bool // a text of items, separated by commas
	names bool // likewise, but a flag of it that is given again replaces the first
	value reflect.Value
}

// Fields lists the settings of the struct that config points to, in order of
// declaration; an embedded struct tagged ",inline" is descended into, a field
// without a key left out. A text tagged config:"list" or "names" may be written as a
// YAML list; its items are joined by commas. It panics if config is no pointer to a struct.
func Fields(config any) []Field {
	return appendFields(nil, reflect.ValueOf(config).Elem())
}

func appendFields(fields []Field, v reflect.Value) []Field {
	for i := range v.NumField() {
		key, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			fields = appendFields(fields, v.Field(i))
		case key != "" && key != "-":
			items := v.Type().Field(i).Tag.Get("config")
			fields = append(fields, Field{Key: key, list: items == "list", names: items == "names", value: v.Field(i)})
		}
	}
	return fields
}

// Keys lists the keys of fields.
func Keys(fields []Field) []string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.Key
	}
	return keys
}

// Set reads the value from text. Truth is written on, off, true or false; a type
// with a text of its own reads that.
func (f Field) Set(text string) error {
	if own, ok := f.value.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return own.UnmarshalText([]byte(text))
	}
	switch f.value.Kind() {
	case reflect.String:
		f.value.SetString(text)
		return nil
	case reflect.Bool:
		return f.setBool(text)
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, strconv.IntSize)
		f.value.SetInt(n)
		return readError(err, "want a whole number, got %q", text)
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		f.value.SetUint(n)
		return readError(err, "want a whole number that is not negative, got %q", text)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		f.value.SetFloat(x)
		return readError(err, "want a number, got %q", text)
	}
	return fmt.Errorf("a setting of type %s cannot be set from text", f.value.Type())
}

func (f Field) setBool(text string) error {
	switch strings.ToLower(text) {
	case "on", "true":
		f.value.SetBool(true)
	case "off", "false":
		f.value.SetBool(false)
	default:
		return fmt.Errorf("want on or off, got %q", text)
	}
	return nil
}

func readError(err error, format, text string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format, text)
}

// String is the value as text that Set reads back; numbers in their shortest
// form that gives the same bits.
func (f Field) String() string {
	if !f.value.IsValid() {
		return "" // pflag asks the zero Field for its default
	}
	switch f.value.Kind() {
	case reflect.Bool:
		if f.value.Bool() {
			return "on"
		}
		return "off"
	case reflect.Float64:
		return strconv.FormatFloat(f.value.Float(), 'g', -1, 64)
	}
	return fmt.Sprint(f.value.Interface())
}

// Type names what the value is, for a help text: "number", "on|off" or "text".
func (f Field) Type() string {
	switch f.value.Kind() {
	case reflect.Bool:
		return "on|off"
	case reflect.String:
		return "text"
	}
	return "number"
}

// IsList reports whether the value is a text of items, separated by commas, that may
// be given one at a time.
func (f Field) IsList() bool { return f.list }

// IsText reports whether the value is free text.
func (f Field) IsText() bool { return f.value.Kind() == reflect.String }
