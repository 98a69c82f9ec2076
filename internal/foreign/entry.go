package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds a settings file in bytes.
const maxFile = 1 << 20

// entry is one key of the file and its value: text, a bool, a number, a
// []any or a map[string]any. Keys without a value are passed over when the
// file is read, unboundedKey excepted: they mean the tool's default.
type entry struct {
	key   string
	line  int
	value any
}

// unboundedKey is a key whose null is no default: TRL then cuts nothing.
const unboundedKey = "max_length"

// parse lists the keys of a YAML or JSON file, in order.
func parse(name string, data []byte) ([]entry, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("foreign: %s: %d bytes, the limit is %d: not a settings file", name, len(data), maxFile)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("foreign: %s: the text is UTF-16: want UTF-8", name)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	pairs := mapping(file)
	if pairs == nil {
		return nil, fmt.Errorf("foreign: %s: want one mapping of keys to values", name)
	}
	var entries []entry
	var errs []error
	for _, pair := range pairs {
		key := pair.Key.GetToken()
		e := entry{key: key.Value, line: key.Position.Line}
		if err := yaml.NodeToValue(pair.Value, &e.value); err != nil {
			errs = append(errs, fmt.Errorf("foreign: %s:%d: %s: the value cannot be read", name, e.line, e.key))
		}
		if e.value != nil && e.value != "" || e.value == nil && e.key == unboundedKey {
			entries = append(entries, e)
		}
	}
	return entries, errors.Join(errs...)
}

// mapping returns the pairs of the only document, or nil.
func mapping(file *ast.File) []*ast.MappingValueNode {
	if len(file.Docs) != 1 {
		return nil
	}
	switch body := file.Docs[0].Body.(type) {
	case *ast.MappingNode:
		return body.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{body}
	}
	return nil
}

// syntaxError keeps the line and the words of the parser's error.
func syntaxError(name string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		return fmt.Errorf("foreign: %s:%d: %s", name, y.GetToken().Position.Line, y.GetMessage())
	}
	return fmt.Errorf("foreign: %s: %w", name, err)
}

// find is the value of a key, or nil.
func find(entries []entry, key string) any {
	for _, e := range entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// hasAny says whether one of the keys is there.
func hasAny(entries []entry, keys ...string) bool {
	for _, key := range keys {
		if find(entries, key) != nil {
			return true
		}
	}
	return false
}

// plainText is a value as YAML writes it.
func plainText(v any) string {
	switch v := v.(type) {
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, plainText(item))
		}
		return strings.Join(items, ",")
	case map[string]any:
		return "a mapping"
	}
	return fmt.Sprint(v)
}
