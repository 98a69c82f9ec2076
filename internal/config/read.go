package config

import (
	"errors"
	"fmt"
	"strings"

	"align/internal/nearest"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds a settings file in bytes; a full one has about 4 KiB.
const maxFile = 1 << 20

// Read sets fields from the YAML file at path and returns the keys that the
// file names; others keep their values. All faults are returned at once, each
// with file and line; then the fields hold no meaningful values.
func Read(path string, fields []Field) (keys []string, err error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, data, fields)
}

// ReadIfNamed is Read, or nothing where path is "".
func ReadIfNamed(path string, fields []Field) (keys []string, err error) {
	if path == "" {
		return nil, nil
	}
	return Read(path, fields)
}

// parse is Read on the bytes of a file; name stands in the errors.
func parse(name string, data []byte, fields []Field) (keys []string, err error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	pairs, err := mapping(file)
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", name, err)
	}
	byKey := map[string]Field{}
	for _, f := range fields {
		byKey[f.Key] = f
	}
	var errs []error
	foreign := 0
	for _, pair := range pairs {
		key := pair.Key.GetToken()
		f, ok := byKey[key.Value]
		if !ok {
			if _, is := Foreign(key.Value); is {
				foreign++
			}
			errs = append(errs, fmt.Errorf("config: %s:%d: %w", name, key.Position.Line, Unknown(key.Value, fields)))
			continue
		}
		if err := setNode(f, pair.Value); err != nil {
			errs = append(errs, fmt.Errorf("config: %s:%d: %s: %w", name, key.Position.Line, f.Key, err))
		}
		keys = append(keys, f.Key)
	}
	if foreign >= otherTool {
		errs = append(errs, fmt.Errorf("config: %s: its keys are another tool's: align import-config %s prints them in ours", name, name))
	}
	return keys, errors.Join(errs...)
}

// otherTool is how many keys of other tools make a file one of theirs.
const otherTool = 3

// mapping returns the pairs of the only document; an empty one has none.
func mapping(file *ast.File) ([]*ast.MappingValueNode, error) {
	if len(file.Docs) > 1 {
		return nil, fmt.Errorf("%d YAML documents, want one", len(file.Docs))
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, nil
	}
	switch body := file.Docs[0].Body.(type) {
	case *ast.MappingNode:
		return body.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{body}, nil
	case *ast.CommentGroupNode, *ast.NullNode:
		return nil, nil
	default:
		return nil, fmt.Errorf("want lines of the form `key: value`, got %s", nodeName(body))
	}
}

func setNode(f Field, node ast.Node) error {
	if list, ok := node.(*ast.SequenceNode); ok && (f.list || f.names) {
		return setList(f, list)
	}
	text, err := scalar(node)
	if err != nil {
		return err
	}
	return f.Set(text)
}

func setList(f Field, list *ast.SequenceNode) error {
	var items []string
	for _, node := range list.Values {
		text, err := scalar(node)
		if err != nil {
			return err
		}
		items = append(items, text)
	}
	return f.Set(strings.Join(items, ","))
}

// scalar is the text of a single value.
func scalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", errors.New("has no value: remove the line to keep the default")
	default:
		return "", fmt.Errorf("want one value, got %s", nodeName(node))
	}
}

// syntaxError keeps the line and the words of the parser's error and leaves
// its drawing of the place out.
func syntaxError(name string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		message := y.GetMessage()
		if strings.Contains(message, "character '\t'") {
			message = "a tab: YAML is indented with spaces"
		}
		return fmt.Errorf("config: %s:%d: %s", name, y.GetToken().Position.Line, message)
	}
	return fmt.Errorf("config: %s: %w", name, err)
}

// nodeName is what a value is that is not a single one.
func nodeName(node ast.Node) string {
	switch node.(type) {
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys of its own"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias: write the value itself"
	}
	return "a " + strings.ToLower(node.Type().String())
}

// Unknown is the error of a key that is not among fields. It maps the names of
// other tools and else names the nearest key.
func Unknown(key string, fields []Field) error {
	if advice, ok := Foreign(key); ok {
		return fmt.Errorf("unknown key %q: %s", key, advice)
	}
	if near := nearest.Name(key, Keys(fields)); near != "" {
		return fmt.Errorf("unknown key %q, did you mean %q", key, near)
	}
	return fmt.Errorf("unknown key %q", key)
}
