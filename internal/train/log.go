package train

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
)

// MetricsFile is the log of a run's events, one JSON object per line.
const MetricsFile = "metrics.jsonl"

// metricsLog appends events to the run's log.
type metricsLog struct {
	file *os.File
	line []byte
}

// openLog opens the log and cuts off what lies after the given step, so that a
// resumed run's log is the uninterrupted one's.
func openLog(run string, step int) (*metricsLog, error) {
	path := filepath.Join(run, MetricsFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	data, err := io.ReadAll(f)
	if err == nil {
		keep := int64(len(throughStep(data, step)))
		err = errors.Join(f.Truncate(keep), seek(f, keep))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("train: %s: %w", path, err)
	}
	return &metricsLog{file: f}, nil
}

func seek(f *os.File, offset int64) error {
	_, err := f.Seek(offset, io.SeekStart)
	return err
}

// throughStep is the lines of events up to a step; step 0 with nothing saved
// keeps nothing, because the first evaluation is run again.
func throughStep(data []byte, step int) []byte {
	end := 0
	if step == 0 {
		return nil
	}
	for end < len(data) {
		n := bytes.IndexByte(data[end:], '\n')
		if n < 0 {
			break // a line that a crash cut short
		}
		var e struct {
			Step *int `json:"step"`
		}
		if json.Unmarshal(data[end:end+n], &e) != nil || e.Step == nil || *e.Step > step {
			break
		}
		end += n + 1
	}
	return data[:end]
}

func (l *metricsLog) write(e Event) error {
	l.line = append(e.AppendJSON(l.line[:0]), '\n')
	if _, err := l.file.Write(l.line); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}

func (l *metricsLog) close() { l.file.Close() }
