package datasets

import (
	"fmt"
	"slices"
	"strings"

	"align/internal/records"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// recogniseLayout finds the layout of a record, which stands for its file.
func recogniseLayout[T any](what string, layouts []layout[T], r records.Record) (layout[T], error) {
	for _, l := range layouts {
		if l.fits(r) {
			return l, nil
		}
	}
	var want []string
	formats := formatsOf(layouts)
	for _, f := range formats {
		want = append(want, strings.Join(f.Columns, " + "))
	}
	return layout[T]{}, fmt.Errorf("%s: the columns %s are no %s format: want %s%s",
		r.Place, strings.Join(columnsOf(r), ", "), what, strings.Join(want, "; or "), formatHint(what, formats, r))
}

// usual are the layouts that most files are of, which a map leads to.
var usual = []string{"prompt-completion", "preference", "prompts", "unpaired", "ranked"}

// formatHint is what a file may be instead, or how its columns could be mapped.
func formatHint(what string, formats []Format, r records.Record) string {
	if kind := kindOfRecords(what, r); kind != "" {
		return "; these are " + kind
	}
	columns := columnsOf(r)
	for _, f := range formats {
		if m := nearMapping(f, columns); m != "" {
			return "; use the map " + m
		}
	}
	if name := nestedRecords(r); name != "" {
		return fmt.Sprintf("; %q holds a list: want the records themselves, in one list or one a line", name)
	}
	if m, says := nearKind(what, columns); m != "" {
		return fmt.Sprintf("; with the map %s these are %s", m, says)
	}
	if m := exampleMapping(formats, columns); m != "" {
		return "; the setting map names foreign columns, as " + m
	}
	return ""
}

// exampleMapping shows how the columns could be mapped to the usual format: those that
// it has not by name, in their order; "" where there are too few.
func exampleMapping(formats []Format, columns []string) string {
	i := slices.IndexFunc(formats, func(f Format) bool { return slices.Contains(usual, f.Name) })
	if i < 0 {
		return ""
	}
	wanted := formats[i].Columns
	missing := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return slices.Contains(columns, name) })
	foreign := slices.DeleteFunc(slices.Clone(columns), func(name string) bool { return slices.Contains(wanted, name) })
	if len(foreign) < len(missing) {
		return ""
	}
	var pairs []string
	for at, name := range missing {
		pairs = append(pairs, name+"="+foreign[at])
	}
	return strings.Join(pairs, ",")
}

// kinds are what a file may be, for the command that takes it.
func kinds() []kind {
	return []kind{
		{"preference", "preference pairs, which align dpo, reward and score --pairs take", PairFormats()},
		{"unpaired", "labelled answers, which align dpo --loss kto takes", UnpairedFormats()},
		{"ranked", "ranked answers, which align reward takes", RankedFormats()},
		{"fine-tuning", "examples, which align sft takes", ExampleFormats()},
	}
}

type kind struct {
	what, says string
	formats    []Format
}

// kindOfRecords says what a record is that has the columns of another kind.
func kindOfRecords(what string, r records.Record) string {
	for _, k := range kinds() {
		if k.what != what && slices.ContainsFunc(k.formats, func(f Format) bool { return f.fits(r) }) {
			return k.says
		}
	}
	return ""
}

// nearKind is the map that makes records of another kind of the columns, and that
// kind; "" where none does.
func nearKind(what string, columns []string) (m, says string) {
	for _, k := range kinds() {
		for _, f := range k.formats {
			if m := nearMapping(f, columns); m != "" && k.what != what {
				return m, k.says
			}
		}
	}
	return "", ""
}

// nestedRecords is the name of a record's only column where that holds a list of
// records; "" where there is none.
func nestedRecords(r records.Record) string {
	if len(r.Fields) != 1 {
		return ""
	}
	var items []map[string]jsontext.Value
	if json.Unmarshal(r.Fields[0].Value, &items) != nil || len(items) == 0 {
		return ""
	}
	return r.Fields[0].Name
}

// nearMapping maps a format's columns to ones of nearly their names, each to another;
// "" where one of them is missing or nothing is to be mapped.
func nearMapping(f Format, columns []string) string {
	var pairs []string
	left := slices.Clone(columns)
	for _, name := range f.Columns {
		if i := slices.Index(left, name); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		i := slices.IndexFunc(left, func(c string) bool { return !slices.Contains(columnNames(), c) && didYouMean(name, []string{c}) != "" })
		if i < 0 {
			return ""
		}
		pairs = append(pairs, name+"="+left[i])
		left = slices.Delete(left, i, i+1)
	}
	return strings.Join(pairs, ",")
}
