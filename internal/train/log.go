package train

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MetricsFile is the log of a run's events, one JSON object per line.
const MetricsFile = "metrics.jsonl"

// metricsLog appends events to the run's log.
type metricsLog struct {
	file *os.File
	line []byte
}

// openLog opens the log and cuts off what lies after the given step, so that a
// resumed run's log is the uninterrupted one's; due cuts that step's evaluation off
// too, which is made again. Each line that stays goes to kept.
func openLog(run string, step int, due bool, kept func(line []byte)) (*metricsLog, error) {
	f, err := os.OpenFile(filepath.Join(run, MetricsFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	keep, err := throughStep(f, step, due, kept)
	if err == nil {
		_, seek := f.Seek(keep, io.SeekStart)
		err = errors.Join(f.Truncate(keep), seek)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("train: %s: %w", f.Name(), err)
	}
	return &metricsLog{file: f}, nil
}

// throughStep is the number of bytes of the events up to a step. Step 0 keeps
// nothing, because the first evaluation is run again, as is the step's own where it
// is due. Each of their lines goes to kept.
func throughStep(r io.Reader, step int, due bool, kept func(line []byte)) (keep int64, err error) {
	if step == 0 {
		return 0, nil
	}
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return keep, nil // a crash may have cut the last line short
		}
		if err != nil {
			return 0, err
		}
		var e struct {
			Step *int           `json:"step"`
			Loss jsontext.Value `json:"loss"` // an evaluation has none
		}
		if json.Unmarshal(line, &e) != nil || e.Step == nil || *e.Step > step || due && *e.Step == step && e.Loss == nil {
			return keep, nil
		}
		keep += int64(len(line))
		kept(line)
	}
}

func (l *metricsLog) write(e Event) error {
	l.line = append(e.AppendJSON(l.line[:0]), '\n')
	if _, err := l.file.Write(l.line); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}

// sync puts all events on the disk. A checkpoint must not be there before the
// events that it stands for: a resumed run could not write them again.
func (l *metricsLog) sync() error {
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}

func (l *metricsLog) close() { l.file.Close() }
