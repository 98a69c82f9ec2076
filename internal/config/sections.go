package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"align/internal/nearest"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// ReadSections sets fields from a YAML file that has settings of its own and,
// one level down, sections of more: `sft:` followed by indented lines. The name
// of the settings outside sections is "". A list of plain values becomes a text
// with commas. A name may be a key and a section too: what stands behind it
// tells which. It returns the keys that the file names, by section; faults are
// told as by Read.
func ReadSections(path string, sections map[string][]Field) (keys map[string][]string, err error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseSections(path, data, sections)
}

// parseSections is ReadSections on the bytes of a file; name stands in the
// errors.
func parseSections(name string, data []byte, sections map[string][]Field) (keys map[string][]string, err error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	pairs, err := mapping(file)
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", name, err)
	}
	keys = map[string][]string{}
	own := Keys(sections[""])
	var errs []error
	for _, pair := range pairs {
		key := pair.Key.GetToken()
		fields, isSection := sections[key.Value]
		single := slices.Contains(own, key.Value)
		switch {
		case isSection && key.Value != "" && !(single && isSingle(pair.Value)):
			errs = append(errs, parseSection(name, key.Value, pair.Value, fields, keys))
		case single:
			errs = append(errs, setPair(name, pair, sections[""]))
			keys[""] = append(keys[""], key.Value)
		default:
			errs = append(errs, fmt.Errorf("config: %s:%d: %w", name, key.Position.Line, unknownAmong(key.Value, own, sections)))
		}
	}
	return keys, errors.Join(errs...)
}

func isSingle(node ast.Node) bool {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.NullNode:
		return false
	}
	return true
}

// parseSection sets the fields of one section.
func parseSection(name, section string, node ast.Node, fields []Field, keys map[string][]string) error {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return nil
	default:
		return fmt.Errorf("config: %s:%d: %s: want indented lines of the form `key: value`, got %s", name, node.GetToken().Position.Line, section, nodeName(node))
	}
	var errs []error
	for _, pair := range pairs {
		if err := setPair(name, pair, fields); err != nil {
			errs = append(errs, fmt.Errorf("%w (in section %s)", err, section))
		}
		keys[section] = append(keys[section], pair.Key.GetToken().Value)
	}
	return errors.Join(errs...)
}

// setPair sets the field that a line names.
func setPair(name string, pair *ast.MappingValueNode, fields []Field) error {
	key := pair.Key.GetToken()
	i := slices.IndexFunc(fields, func(f Field) bool { return f.Key == key.Value })
	if i < 0 {
		return fmt.Errorf("config: %s:%d: %w", name, key.Position.Line, Unknown(key.Value, fields))
	}
	if err := setListOrNode(fields[i], pair.Value); err != nil {
		return fmt.Errorf("config: %s:%d: %s: %w", name, key.Position.Line, key.Value, err)
	}
	return nil
}

func setListOrNode(f Field, node ast.Node) error {
	list, ok := node.(*ast.SequenceNode)
	if !ok || !f.IsText() {
		return setNode(f, node)
	}
	var words []string
	for _, item := range list.Values {
		if err := setNode(f, item); err != nil {
			return err
		}
		words = append(words, f.String())
	}
	return f.Set(strings.Join(words, ","))
}

// unknownAmong names the nearest key or section.
func unknownAmong(key string, own []string, sections map[string][]Field) error {
	names := slices.Clone(own)
	for s := range sections {
		if s != "" {
			names = append(names, s)
		}
	}
	slices.Sort(names)
	if near := nearest.Name(key, names); near != "" {
		return fmt.Errorf("unknown key %q, did you mean %q", key, near)
	}
	return fmt.Errorf("unknown key %q", key)
}

// readFile reads a settings file of a plausible size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("config: %s: %d bytes, the limit is %d: not a settings file", path, info.Size(), maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("config: %s: the text is UTF-16, as some shells write what is redirected: want UTF-8", path)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil // Windows' editors begin a file with it
}
