package datasets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"align/internal/records"
)

// progressEvery is the number of records between two calls of Progress and
// looks at the context.
const progressEvery = 256

// counted is what a record becomes.
type counted interface {
	// count is the number of tokens, and of those that are predicted.
	count() (tokens, targets int)
}

// reader reads one file. The text of a record is forgotten once it is
// tokenised.
type reader[T counted] struct {
	options Options
	encoder encoder
	what    string // what the records are to be, for errors
	layouts []layout[T]
	parse   func(*encoder, records.Record) (T, error) // of the file's layout; nil before the first record
	file    *records.Reader
	kept    []T
	summary Summary
}

func read[T counted](ctx context.Context, path, what string, layouts []layout[T], o Options) ([]T, Summary, error) {
	if err := o.check(); err != nil {
		return nil, Summary{}, err
	}
	file, err := records.Open(path)
	if err != nil {
		return nil, Summary{}, fmt.Errorf("datasets: %w", err)
	}
	defer file.Close()
	r := &reader[T]{options: o, what: what, layouts: layouts, file: file, summary: Summary{File: path, Container: file.Format()}}
	r.encoder = newEncoder(o, &r.summary)
	if err := r.all(ctx); err != nil {
		return nil, r.summary, fmt.Errorf("datasets: %w", err)
	}
	return r.kept, r.summary, nil
}

func (r *reader[T]) all(ctx context.Context) error {
	for {
		if r.summary.Read%progressEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			r.progress()
		}
		record, err := r.file.Next()
		if err == io.EOF {
			r.progress()
			return r.checkLeft()
		}
		if err == nil {
			err = r.add(&record)
		}
		if err = r.leaveOut(record, err); err != nil {
			return err
		}
	}
}

func (r *reader[T]) progress() {
	if r.options.Progress != nil {
		r.options.Progress(r.file.Progress())
	}
}

// add makes an example of a record. Its errors are those of a layout's parse,
// or of a file that cannot be read at all.
func (r *reader[T]) add(record *records.Record) error {
	if r.parse == nil {
		if err := r.begin(*record); err != nil {
			return err
		}
	}
	r.options.Map.apply(record)
	item, err := r.parse(&r.encoder, *record)
	if err != nil {
		return err
	}
	r.summary.Read++
	r.summary.Kept++
	tokens, targets := item.count()
	r.summary.Tokens += int64(tokens)
	r.summary.Targets += int64(targets)
	r.kept = append(r.kept, item)
	return nil
}

// begin recognises the format by the first record.
func (r *reader[T]) begin(record records.Record) error {
	if err := r.options.Map.check(record); err != nil {
		return err
	}
	r.options.Map.apply(&record)
	l, err := recogniseLayout(r.what, r.layouts, record)
	if err != nil {
		return err
	}
	r.parse = l.parse
	r.summary.Unread = unread(l.Format, record, r.options.Map)
	r.summary.Format = l.Name + " (" + strings.Join(l.Columns, " + ") + ")"
	return nil
}

// leaveOut counts a record that could not be added and sets it aside, or
// returns the error that stops the run. A nil error leaves nothing out.
func (r *reader[T]) leaveOut(record records.Record, err error) error {
	var bad *records.RecordError
	var poor *degenerate
	switch {
	case errors.As(err, &bad):
		if bad.Place == (records.Place{}) {
			bad.Place = record.Place
		}
		if r.options.BadRecords != BadSkip {
			return bad
		}
		message := strings.TrimPrefix(bad.Error(), bad.Place.String()+": ")
		return r.drop(record, bad.Place, Malformed, message, bad.Raw)
	case errors.As(err, &poor):
		if r.options.BadRecords == BadStrict {
			return fmt.Errorf("%s: %w", record.Place, poor)
		}
		return r.drop(record, record.Place, poor.reason, poor.detail, nil)
	}
	return err
}

func (r *reader[T]) drop(record records.Record, place records.Place, reason Reason, detail string, raw []byte) error {
	r.summary.Read++
	unit := "line"
	if place.Line == 0 {
		unit = "record"
	}
	first := ""
	if reason == Malformed || reason == BrokenRoles {
		first = detail
	}
	r.summary.drop(reason, place.Number(), unit, first)
	return quarantine(r.options.Quarantine, record, place, reason, detail, raw)
}

// checkLeft refuses a file of which nothing is left.
func (r *reader[T]) checkLeft() error {
	if len(r.kept) > 0 {
		return nil
	}
	if r.summary.Read == 0 {
		return fmt.Errorf("%s: the file has no records", r.summary.File)
	}
	var reasons []string
	for _, d := range r.summary.Dropped {
		reasons = append(reasons, d.String())
	}
	return fmt.Errorf("%s: none of %d records is left: %s", r.summary.File, r.summary.Read, strings.Join(reasons, "; "))
}
