package align

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"align/internal/atomicfile"
	"align/internal/checkpoint"
	"align/internal/place"
	"align/internal/report"
	"align/internal/runfolder"
	"align/internal/tensorboard"
	"align/internal/train"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ReportFile is the page with curves, settings and verdict in a run's folder.
const ReportFile = report.File

// Report writes the page of runs, laid over each other where they are several.
func Report(path string, runs ...string) error {
	for _, run := range runs {
		if _, err := os.Stat(filepath.Join(run, train.MetricsFile)); err != nil {
			return fmt.Errorf("report: %s is no run: %w", run, err)
		}
	}
	if err := errors.Join(place.CheckFileName(path), checkPage(path)); err != nil {
		return err
	}
	if err := place.CheckWritable(filepath.Dir(path)); err != nil {
		return prefixed("out", err)
	}
	made, err := place.MakeAbove(path)
	if err != nil {
		return err
	}
	defer made.Remove()
	return report.WriteFile(path, runs...)
}

// checkPage refuses to write over a file that is no page.
func checkPage(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil // none is there, or the writing tells
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := io.ReadFull(f, head)
	if n > 0 && !strings.Contains(strings.ToLower(string(head[:n])), "<html") {
		return fmt.Errorf("report: %s exists and is no page: name another file with --out", path)
	}
	return nil
}

// reporter is the environment's, with TensorBoard's files and a tracking server
// where they are asked for. end closes those.
func (s *stage) reporter() (r train.Reporter, end func(train.Result, error), err error) {
	tracked, ended := s.track(s.env.reporter())
	if !s.settings.TensorBoard {
		return tracked, ended, nil
	}
	b, err := s.board(tracked)
	if err != nil {
		ended(train.Result{}, err)
		return nil, nil, err
	}
	return b, func(r train.Result, err error) { b.close(); ended(r, err) }, nil
}

// board writes event files into the run's folder.
func (s *stage) board(r train.Reporter) (*boarded, error) {
	from := 0
	if s.settings.Resume {
		if c, err := checkpoint.Open(s.run); err == nil {
			from = c.Step
		}
	}
	w, err := tensorboard.Create(filepath.Join(s.run, runfolder.TensorBoardFolder), from)
	if err != nil {
		return nil, err
	}
	return &boarded{Reporter: r, writer: w, note: s.env.note}, nil
}

// boarded writes each event to TensorBoard's file too.
type boarded struct {
	train.Reporter
	writer *tensorboard.Writer
	note   func(string)
	failed bool
}

// Stepped passes the event on. A file that cannot be written any more is told
// once: metrics.jsonl has all of it.
func (b *boarded) Stepped(e train.Event) {
	b.Reporter.Stepped(e)
	if b.failed {
		return
	}
	names, values := numbers(e)
	scalars := make([]tensorboard.Scalar, len(names))
	for i, name := range names {
		scalars[i] = tensorboard.Scalar{Tag: name, Value: values[i]}
	}
	b.tell(b.writer.Add(e.Step, scalars))
}

func (b *boarded) close() { b.tell(b.writer.Close()) }

func (b *boarded) tell(err error) {
	if err != nil {
		b.failed = true
		b.note(err.Error())
	}
}

// conclude tells what came of the run, and draws it.
func (s *stage) conclude(r train.Result) {
	if b := r.Best; b != nil && b.Step != r.Step {
		path := filepath.Join(s.run, "checkpoints", fmt.Sprintf("step-%06d", b.Step))
		s.env.note(fmt.Sprintf("best checkpoint: step %d, %s %.4g: %s", b.Step, b.Metric, b.Value, path))
	}
	if r.Early {
		s.env.note(fmt.Sprintf("early stop after step %d: %d evaluations without a better %s", r.Step, r.Best.Worse, r.Best.Metric))
	}
	if r.Verdict != nil {
		s.env.note(r.Verdict.String())
	}
	s.draw()
}

// draw writes the run's report. A run is not lost for want of its picture.
func (s *stage) draw() {
	path := filepath.Join(s.run, ReportFile)
	if err := Report(path, s.run); err != nil {
		s.env.note(fmt.Sprintf("no %s: %v", ReportFile, err))
		return
	}
	s.env.note("report: " + path)
}

// keepSamples stores the answers before and after for the report.
func (s *stage) keepSamples(samples []report.Sample) error {
	if len(samples) == 0 {
		return nil
	}
	err := atomicfile.WriteFile(filepath.Join(s.run, report.SamplesFile), func(w io.Writer) error {
		return json.MarshalWrite(w, samples, jsontext.WithIndent("  "))
	})
	if err != nil {
		return err
	}
	return Report(filepath.Join(s.run, ReportFile), s.run)
}
