package records

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// A row arrives as flat values, each with the levels of Dremel's paper
// (https://research.google/pubs/pub36632/): the repetition level says at which
// list an entry is new, the definition level how deep it is defined. Here they
// become JSON again, by the columns' tree.

var errLevels = errors.New("the levels of a row do not fit the columns")

// fields assembles a row. A value that is not text is the row's fault; levels
// that make no sense are the file's.
func (t *rowReader) fields(row parquet.Row) ([]Field, *RecordError, error) {
	t.scan = t.scan[:0]
	row.Range(func(_ int, values []parquet.Value) bool {
		t.scan = append(t.scan, values)
		return true
	})
	a := assembler{}
	var fields []Field
	for _, column := range t.file.Root().Columns() {
		from := len(a.out)
		if err := a.column(column, t.scan); err != nil {
			return nil, nil, err
		}
		if a.bad != "" {
			return nil, &RecordError{Field: column.Name(), Reason: a.bad}, nil
		}
		fields = append(fields, Field{Name: column.Name(), Value: a.out[from:len(a.out):len(a.out)]})
	}
	return fields, nil, nil
}

// assembler writes the JSON of one row.
type assembler struct {
	out []byte
	bad string // the first value that cannot stand in JSON
}

// column writes one column from the values of its leaves, which stand in all at
// their leaf's index.
func (a *assembler) column(c *parquet.Column, all [][]parquet.Value) error {
	leaves := all[min(firstLeaf(c), len(all)):min(endLeaf(c), len(all))]
	if len(leaves) == 0 || len(leaves) != endLeaf(c)-firstLeaf(c) {
		return errLevels
	}
	for _, values := range leaves {
		if len(values) == 0 {
			return errLevels
		}
	}
	return a.value(c, leaves)
}

func firstLeaf(c *parquet.Column) int {
	for !c.Leaf() && len(c.Columns()) > 0 {
		c = c.Columns()[0]
	}
	return c.Index()
}

func endLeaf(c *parquet.Column) int {
	for !c.Leaf() && len(c.Columns()) > 0 {
		c = c.Columns()[len(c.Columns())-1]
	}
	return c.Index() + 1
}

// value writes what stands at a column: null, a list, or one element.
func (a *assembler) value(c *parquet.Column, leaves [][]parquet.Value) error {
	defined := leaves[0][0].DefinitionLevel() >= c.MaxDefinitionLevel()
	switch {
	case c.Repeated() && !defined:
		a.out = append(a.out, "[]"...)
		return nil
	case c.Repeated():
		return a.list(c, c, leaves)
	case c.Optional() && !defined:
		a.out = append(a.out, "null"...)
		return nil
	}
	return a.element(c, leaves)
}

// list writes the entries of a repeated column; item is the column or, in a
// three-level list, its only child.
func (a *assembler) list(c, item *parquet.Column, leaves [][]parquet.Value) error {
	a.out = append(a.out, '[')
	for entry, rest := leaves, leaves; rest != nil; {
		var err error
		if entry, rest, err = cutEntry(rest, c.MaxRepetitionLevel()); err != nil {
			return err
		}
		if item == c {
			err = a.element(c, entry)
		} else {
			err = a.value(item, entry)
		}
		if err != nil {
			return err
		}
		if rest != nil {
			a.out = append(a.out, ',')
		}
	}
	a.out = append(a.out, ']')
	return nil
}

// cutEntry splits the leaves before the next entry of a list of the level.
func cutEntry(leaves [][]parquet.Value, level int) (entry, rest [][]parquet.Value, err error) {
	for _, values := range leaves {
		end := 1
		for end < len(values) && values[end].RepetitionLevel() > level {
			end++
		}
		entry = append(entry, values[:end])
		if end < len(values) {
			rest = append(rest, values[end:])
		}
	}
	if rest != nil && len(rest) != len(leaves) {
		return nil, nil, errLevels
	}
	return entry, rest, nil
}

// element writes a value that is there: a leaf, a list's wrapper, or an object.
func (a *assembler) element(c *parquet.Column, leaves [][]parquet.Value) error {
	children := c.Columns()
	switch {
	case c.Leaf():
		a.leaf(c, leaves[0][0])
		return nil
	case isListWrapper(c):
		repeated := children[0]
		item := listItem(c, repeated)
		if leaves[0][0].DefinitionLevel() < repeated.MaxDefinitionLevel() {
			a.out = append(a.out, "[]"...)
			return nil
		}
		return a.list(repeated, item, leaves)
	}
	return a.object(children, leaves)
}

// object writes a group of columns without those that are null: a table has the
// keys of all its rows in each, and null is how it says that one is not there.
func (a *assembler) object(children []*parquet.Column, leaves [][]parquet.Value) error {
	a.out = append(a.out, '{')
	at, first := 0, true
	for _, child := range children {
		n := endLeaf(child) - firstLeaf(child)
		if at+n > len(leaves) || n < 1 {
			return errLevels
		}
		own := leaves[at : at+n]
		at += n
		if child.Optional() && own[0][0].DefinitionLevel() < child.MaxDefinitionLevel() {
			continue
		}
		if !first {
			a.out = append(a.out, ',')
		}
		first = false
		a.out = append(appendString(a.out, child.Name()), ':')
		if err := a.value(child, own); err != nil {
			return err
		}
	}
	a.out = append(a.out, '}')
	return nil
}

// isListWrapper says whether a group is the outer one of a list: it holds one
// repeated child, which is no map's.
func isListWrapper(c *parquet.Column) bool {
	children := c.Columns()
	return !c.Repeated() && len(children) == 1 && children[0].Repeated() && children[0].Name() != "key_value"
}

// listItem is the column of a list's items: the repeated child's only child, or
// in the older layouts the repeated child itself
// (https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#backward-compatibility-rules).
func listItem(wrapper, repeated *parquet.Column) *parquet.Column {
	if len(repeated.Columns()) != 1 || repeated.Name() == "array" || repeated.Name() == wrapper.Name()+"_tuple" {
		return repeated
	}
	return repeated.Columns()[0]
}

func (a *assembler) leaf(c *parquet.Column, v parquet.Value) {
	switch v.Kind() {
	case parquet.Boolean:
		a.out = strconv.AppendBool(a.out, v.Boolean())
	case parquet.Int32:
		a.out = strconv.AppendInt(a.out, int64(v.Int32()), 10)
	case parquet.Int64:
		a.out = strconv.AppendInt(a.out, v.Int64(), 10)
	case parquet.Float:
		a.out = jsontext.AppendFloat(a.out, float64(v.Float()), 32)
	case parquet.Double:
		a.out = jsontext.AppendFloat(a.out, v.Double(), 64)
	case parquet.ByteArray, parquet.FixedLenByteArray:
		a.text(v.ByteArray(), isText(c))
	default:
		a.out = appendString(a.out, fmt.Sprint(v))
	}
}

// text writes bytes as a string. What is no UTF-8 is a fault of a column of
// text; of another, such as an image, it is null.
func (a *assembler) text(b []byte, want bool) {
	switch at := invalidUTF8(b); {
	case at >= 0 && !want:
		a.out = append(a.out, "null"...)
		return
	case at >= 0 && a.bad == "":
		a.bad = fmt.Sprintf("has invalid UTF-8 at byte %d", at+1)
	}
	a.out = appendString(a.out, b)
}

// isText says whether a column is declared as text.
func isText(c *parquet.Column) bool {
	t := c.Type().LogicalType()
	if t == nil {
		return false
	}
	switch t.Value.(type) {
	case *format.StringType, *format.JsonType, *format.EnumType:
		return true
	}
	return false
}
