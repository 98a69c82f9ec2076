// Package report draws what a run left in its folder as one HTML page that
// needs no network and no script: curves of every metric, settings, data
// counts, the verdict and samples.
//
// run.go reads a run, chart.go lays out a curve, page.go writes the page.
package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"align/internal/checkpoint"
	"align/internal/records"
	"align/internal/train"

	"github.com/go-json-experiment/json"
)

// Files of a run that a report shows, beside those of package train.
const (
	settingsFile   = "run.yaml"
	quarantineFile = "quarantine.jsonl"
	// SamplesFile holds the answers before and after as a JSON array of Sample.
	SamplesFile = "samples.json"
)

// Sample is a prompt and its answers before and after training.
type Sample struct {
	Prompt string `json:"prompt"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Fact is a name and its value.
type Fact struct{ Name, Value string }

// point is a metric's value after a step.
type point struct {
	Step  int
	Value float64
}

// Run is what a run's folder tells.
type Run struct {
	Name     string
	Facts    []Fact // method, steps, data counts, best checkpoint
	Settings []Fact
	Verdict  string // "" where there is none
	Samples  []Sample

	// series are the metrics' points by name, in order of their steps.
	series map[string][]point
}

// Read reads a run's folder. Of the files only metrics.jsonl must be there.
func Read(run string) (*Run, error) {
	r := &Run{Name: filepath.Base(filepath.Clean(run)), series: map[string][]point{}}
	data, err := os.ReadFile(filepath.Join(run, train.MetricsFile))
	if err != nil {
		return nil, fmt.Errorf("report: %s is no run: %w", run, err)
	}
	if err := r.readMetrics(data); err != nil {
		return nil, fmt.Errorf("report: %s: %w", filepath.Join(run, train.MetricsFile), err)
	}
	return r, errors.Join(r.readState(run), r.readSettings(run), r.readVerdict(run), r.readSamples(run))
}

// notDrawn are the fields of an event that are no curves.
var notDrawn = []string{"v", "step", "num_tokens", "epoch"}

// readMetrics reads the events, but for a last line that is not whole: that of a run
// under way, or of one that ended with its machine.
func (r *Run) readMetrics(data []byte) error {
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var event map[string]*float64
		err := json.Unmarshal(lines.Bytes(), &event)
		switch {
		case errors.As(err, new(*json.SemanticError)):
			return fmt.Errorf("line %d: it is no object of numbers", n)
		case err != nil:
			return fmt.Errorf("line %d: %s", n, records.JSONReason(err, lines.Bytes()))
		}
		step := event["step"]
		if step == nil || !(*step >= 0 && *step < math.MaxInt32) {
			return fmt.Errorf("line %d: no step", n)
		}
		for name, value := range event {
			if value != nil && !slices.Contains(notDrawn, name) {
				r.series[name] = append(r.series[name], point{int(*step), *value})
			}
		}
	}
	return lines.Err()
}

func (r *Run) fact(name, format string, args ...any) {
	r.Facts = append(r.Facts, Fact{name, fmt.Sprintf(format, args...)})
}

// readState tells what the newest checkpoint knows; a run that was cut off
// before its first one has none.
func (r *Run) readState(run string) error {
	dropped, err := readIfThere(run, quarantineFile)
	if n := bytes.Count(dropped, []byte("\n")); n > 0 {
		r.fact("records left out", "%d, each with its reason in %s", n, quarantineFile)
	}
	if _, none := os.Stat(filepath.Join(run, "checkpoints")); err != nil || none != nil {
		return err
	}
	c, err := checkpoint.Open(run)
	if errors.Is(err, checkpoint.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := train.ReadState(c)
	if err == nil {
		r.tellState(s)
	}
	return err
}

func (r *Run) tellState(s train.State) {
	r.fact("method", "%s", s.Method)
	r.fact("steps", "%d of %d", s.Step, s.Steps)
	r.fact("passes over the data", "%.3g", s.Epoch)
	r.fact("tokens", "%d", s.NumTokens)
	if records := s.Lineage["records"]; records != "" {
		r.fact("data", "%s", records)
	}
	r.fact("device", "%s", s.Device)
	if b := s.Best; b != nil {
		r.fact("best checkpoint", "step %d, %s %.4g", b.Step, b.Metric, b.Value)
	}
}

// readSettings shows run.yaml line by line: it is flat, as align writes it.
func (r *Run) readSettings(run string) error {
	data, err := readIfThere(run, settingsFile)
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ": "); ok && !strings.HasPrefix(key, "#") {
			if text, err := strconv.Unquote(value); err == nil {
				value = text
			}
			r.Settings = append(r.Settings, Fact{key, value})
		}
	}
	return err
}

func (r *Run) readVerdict(run string) error {
	v, ok, err := train.ReadVerdict(run)
	if ok {
		r.Verdict = v.String()
		r.fact("held-out examples", "%d", v.Examples)
	}
	return err
}

func (r *Run) readSamples(run string) error {
	data, err := readIfThere(run, SamplesFile)
	if err != nil || data == nil {
		return err
	}
	if err := json.Unmarshal(data, &r.Samples); err != nil {
		return fmt.Errorf("report: %s: %w", filepath.Join(run, SamplesFile), err)
	}
	return nil
}

// readIfThere is a file's content; nil where there is none.
func readIfThere(dir, name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return data, nil
}
