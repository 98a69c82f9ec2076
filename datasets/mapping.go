package datasets

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/internal/nearest"
	"align/internal/records"
)

// Mapping gives foreign columns our names: Mapping{"prompt": "Question"} reads
// the column Question as prompt.
type Mapping map[string]string

// ParseMapping parses "prompt=Question,chosen=Better". Names with a comma or,
// on the left, an equals sign cannot be written so.
func ParseMapping(text string) (Mapping, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	m := Mapping{}
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		ours, theirs, ok := strings.Cut(part, "=")
		ours, theirs = strings.TrimSpace(ours), strings.TrimSpace(theirs)
		switch {
		case !ok || theirs == "":
			errs = append(errs, fmt.Errorf("datasets: map %q: want OURS=THEIRS, such as prompt=Question", part))
		case m[ours] != "":
			errs = append(errs, fmt.Errorf("datasets: map names %q twice", ours))
		case !slices.Contains(columnNames(), ours) && slices.Contains(columnNames(), theirs):
			errs = append(errs, fmt.Errorf("datasets: map %s=%s: want OURS=THEIRS, did you mean %s=%s", ours, theirs, theirs, ours))
		case !slices.Contains(columnNames(), ours):
			errs = append(errs, fmt.Errorf("datasets: map: %q is no column of ours%s: want one of %s", ours, didYouMean(ours, columnNames()), strings.Join(columnNames(), ", ")))
		default:
			m[ours] = theirs
		}
	}
	return m, errors.Join(errs...)
}

// didYouMean names the nearest of known, or nothing.
func didYouMean(name string, known []string) string {
	if near := nearest.Name(name, known); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

// apply renames the fields of a record. A column of ours that another is mapped
// to is hidden.
func (m Mapping) apply(r *records.Record) {
	if len(m) == 0 {
		return
	}
	fields := make([]records.Field, 0, len(r.Fields))
	for _, f := range r.Fields {
		if _, hidden := m[f.Name]; !hidden {
			fields = append(fields, f)
		}
	}
	for ours, theirs := range m {
		if value, ok := r.Get(theirs); ok {
			fields = append(fields, records.Field{Name: ours, Value: value})
		}
	}
	r.Fields = fields
}

// check makes sure that the columns are there.
func (m Mapping) check(r records.Record) error {
	var errs []error
	for _, ours := range columnNames() {
		theirs, ok := m[ours]
		if !ok {
			continue
		}
		if _, ok := r.Get(theirs); !ok {
			columns := columnsOf(r)
			errs = append(errs, fmt.Errorf("%s: map %s=%s: there is no column %q%s: the columns are %s",
				r.Place, ours, theirs, theirs, didYouMean(theirs, columns), strings.Join(columns, ", ")))
		}
	}
	return errors.Join(errs...)
}

func columnsOf(r records.Record) []string {
	names := make([]string, len(r.Fields))
	for i, f := range r.Fields {
		names[i] = f.Name
	}
	return names
}
