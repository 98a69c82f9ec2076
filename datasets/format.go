package datasets

import "align/internal/records"

// Format is a layout of records, recognised from their keys.
type Format struct {
	// Name is what is printed: "alpaca".
	Name string
	// Columns are the keys that every record has.
	Columns []string
	// Optional are the keys that are read where they are there.
	Optional []string
}

// fits says whether a record has all the columns.
func (f Format) fits(r records.Record) bool {
	for _, name := range f.Columns {
		if _, ok := r.Get(name); !ok {
			return false
		}
	}
	return true
}

// layout is a format and what makes a T of a record of it. Parse returns a
// RecordError for a malformed record, a degenerate error for one to drop.
type layout[T any] struct {
	Format
	parse func(*encoder, records.Record) (T, error)
}

func formatsOf[T any](layouts []layout[T]) []Format {
	formats := make([]Format, len(layouts))
	for i, l := range layouts {
		formats[i] = l.Format
	}
	return formats
}

// ExampleFormats are the formats of ReadExamples. A file is of the first one
// that fits.
func ExampleFormats() []Format { return formatsOf(exampleLayouts()) }

// PairFormats are the formats of ReadPairs.
func PairFormats() []Format { return formatsOf(pairLayouts()) }

// PromptFormats are the formats of ReadPrompts.
func PromptFormats() []Format { return formatsOf(promptLayouts()) }

// UnpairedFormats are the formats of ReadUnpaired.
func UnpairedFormats() []Format { return formatsOf(unpairedLayouts()) }

// RankedFormats are the formats of ReadRanked.
func RankedFormats() []Format { return formatsOf(rankedLayouts()) }

// columnNames are all the keys that a format reads, each once.
func columnNames() []string {
	var names []string
	seen := map[string]bool{}
	for _, formats := range [][]Format{ExampleFormats(), PairFormats(), PromptFormats(), UnpairedFormats(), RankedFormats()} {
		for _, f := range formats {
			for _, name := range append(append([]string(nil), f.Columns...), f.Optional...) {
				if !seen[name] {
					names = append(names, name)
				}
				seen[name] = true
			}
		}
	}
	return names
}
