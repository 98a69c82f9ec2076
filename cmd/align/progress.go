package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"align/internal/train"
)

// reporter draws a run: notes, steps, checkpoints. Its methods may be called
// from several goroutines, for a signal's note comes in at any time; steps and
// progress come from one.
type reporter interface {
	train.Reporter
	// note tells one line: a derived setting, what a signal asked for.
	note(text string)
	// progress tells how much of some work before the first step is done.
	progress(what string, done, total int64)
	// close leaves the terminal clean.
	close()
}

// output says what a run prints beside its result.
type output struct {
	quiet bool // errors and result only
	json  bool // one object per step on stdout
}

// newReporter picks the drawing for the streams. JSON takes stdout over, so
// that rows are drawn beside it only where they go to a terminal of their own.
func newReporter(io *streams, o output) reporter {
	var drawn reporter = silent{}
	switch {
	case o.quiet:
	case io.errTTY && !(o.json && io.outTTY):
		drawn = &screen{out: io.err, style: io.errStyle(), width: io.width}
	case o.json:
		drawn = &notes{out: io.err}
	default:
		drawn = &lines{notes: notes{out: io.err}}
	}
	if o.json {
		return &jsonLines{reporter: drawn, out: io.out}
	}
	return drawn
}

// silent draws nothing.
type silent struct{}

func (silent) Stepped(train.Event) {}
func (silent) Saved(string, int)   {}
func (silent) note(string)         {}
func (silent) close()              {}

func (silent) progress(string, int64, int64) {}

// notes draws notes, what work begins, and nothing of the steps.
type notes struct {
	silent
	mu    sync.Mutex
	out   io.Writer
	doing string // the work under way
}

func (n *notes) note(text string) { n.print(visible(text)) }

// progress prints a line where a piece of work begins.
func (n *notes) progress(what string, _, _ int64) {
	if what != n.doing {
		n.doing = what
		n.print(what)
	}
}

func (n *notes) print(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintln(n.out, text)
}

// lines draws one line per logged step, for pipes and files; also of the first
// step that a resumed run takes, and of one after a long silence.
type lines struct {
	notes
	drawn time.Time // the last line of a step
}

// longestSilence is how long steps may go on without a line of one.
const longestSilence = 30 * time.Second

func (l *lines) Stepped(e train.Event) {
	if !isLogged(e) && time.Since(l.drawn) < longestSilence {
		return
	}
	l.drawn = time.Now()
	var b strings.Builder
	for i, f := range fieldsOf(e) {
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString(f.name + " " + f.text)
	}
	l.print(b.String())
}

func (l *lines) Saved(path string, step int) {
	l.print(fmt.Sprintf("saved step %d: %s", step, path))
}

// jsonLines prints each event as one object, and leaves the drawing to another.
type jsonLines struct {
	reporter
	out    io.Writer
	failed error // of the first line that could not be written
}

func (j *jsonLines) Stepped(e train.Event) {
	_, err := j.out.Write(append(e.AppendJSON(nil), '\n'))
	if err != nil && j.failed == nil {
		j.failed = err
	}
	j.reporter.Stepped(e)
}

// unwritten is the error of lines of JSON that did not reach stdout, as on a full
// disk. A run goes on without them; where nobody reads it ends by itself.
func unwritten(r reporter) error {
	if j, ok := r.(*jsonLines); ok {
		return j.failed
	}
	return nil
}

// logRows is about how many rows a run is drawn with; metrics.jsonl has all.
const logRows = 40

// isLogged picks the first, the last and about logRows rows between, and every
// evaluation.
func isLogged(e train.Event) bool {
	every := max(1, e.Steps/logRows)
	return e.Evaluation || e.Step <= 1 || e.Step == e.Steps || e.Step%every == 0
}

// field is one column of a row.
type field struct{ name, text string }

// fieldsOf lists an event's fields in the one order of all drawings.
func fieldsOf(e train.Event) []field {
	step := fmt.Sprintf("%d/%d", e.Step, e.Steps)
	if e.Evaluation {
		return append([]field{{"eval", step}}, metricFields(e.Metrics)...)
	}
	fields := []field{
		{"step", step},
		{"loss", short(e.Loss)},
		{"grad_norm", short(e.GradNorm)},
		{"learning_rate", short(e.LearningRate)},
	}
	fields = append(fields, metricFields(e.Metrics)...)
	return append(fields, field{"tokens/s", strconv.FormatFloat(e.TokensPerSecond, 'f', 0, 64)}, field{"left", clock(e.Remaining)})
}

func metricFields(m train.Metrics) []field {
	var fields []field
	for _, x := range m {
		fields = append(fields, field{x.Name, short(x.Value())})
	}
	return fields
}

// short is a number for eyes: four significant digits.
func short(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

// clock is a duration in whole seconds.
func clock(d time.Duration) string { return d.Round(time.Second).String() }
