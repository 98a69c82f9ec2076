package align

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"align/datasets"
	"align/internal/atomicfile"
	"align/internal/checkpoint"
	"align/internal/runfolder"
)

// data is what a stage trains on and evaluates.
type data[T any] struct {
	train, held []T
	hash        string // of the files
	quarantine  quarantine
}

// quarantine collects the records left out until the run has a folder.
type quarantine struct{ bytes.Buffer }

// keep writes what was collected into the run's folder.
func (q *quarantine) keep(run string) error {
	if q.Len() == 0 {
		return nil
	}
	return atomicfile.WriteFile(filepath.Join(run, runfolder.QuarantineFile), atomicfile.Bytes(q.Bytes()))
}

// read is one of the readers of datasets.
type read[T any] func(ctx context.Context, path string, o datasets.Options) ([]T, datasets.Summary, error)

func readFile[T any](ctx context.Context, s *stage, path string, f read[T], d *data[T]) ([]T, error) {
	columns, err := datasets.ParseMapping(s.settings.Map)
	if err := errors.Join(err, checkpoint.CheckRegular(path)); err != nil {
		return nil, err
	}
	list, summary, err := f(ctx, path, datasets.Options{
		Template: s.template, MaxLength: s.settings.MaxLength, Overlong: s.settings.Overlong, BadRecords: s.settings.BadRecords,
		LossOn: s.lossOn, Map: columns, Quarantine: &d.quarantine, Progress: s.env.progress("reading " + path),
	})
	if err != nil {
		return nil, err
	}
	s.env.noteRead(summary)
	s.records = append(s.records, fmt.Sprintf("%d of %d records", summary.Kept, summary.Read))
	hash, err := checkpoint.HashFile(ctx, path)
	d.hash += hash
	return list, err
}

func (s *stage) examples(ctx context.Context, path string) (*data[datasets.Example], error) {
	return readData(ctx, s, path, datasets.ReadExamples)
}

func (s *stage) pairs(ctx context.Context, path string) (*data[datasets.Pair], error) {
	return readData(ctx, s, path, datasets.ReadPairs)
}
