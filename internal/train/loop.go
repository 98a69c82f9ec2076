package train

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"align/internal/checkpoint"
	"align/internal/device"
	"align/internal/optim"
)

// Work is what one optimizer step trains on. Weight is the whole step's count
// of what the loss is a mean over (tokens, sequences or pairs): every
// micro-step divides by it, so that 1 x 8 and 8 x 1 give the same loss.
type Work[B any] struct {
	Micro  []B
	Weight float64
	Tokens int64
	// Epoch is how far through the data this step ends, in passes.
	Epoch float64
}

// Source yields the work of one step after the other, wrapping round its data:
// Next is called as often as the run has steps. One that fails, as where the run is
// asked to end while it makes its work, leaves the place as it was. State is the
// place after the last Next as one JSON value, and Restore takes it back there;
// spaces between JSON tokens may differ then.
type Source[B any] interface {
	Next() (Work[B], error)
	State() ([]byte, error)
	Restore([]byte) error
}

// Method is forward and backward of one micro-batch. Gradients add to the flat
// buffer. The loss is this micro-batch's part of the step's: the parts add up.
type Method[B any] interface {
	Micro(step int, batch B, weight float64) (loss float64, m Metrics, err error)
}

// Preparer is a Method that looks at a whole step before its micro-batches: what
// compares examples with each other must not depend on how they are dealt.
type Preparer[B any] interface {
	Prepare(step int, micro []B) error
}

// Evaluator is a Method that can be evaluated on held-out data; metric names
// begin with eval_.
type Evaluator interface {
	Evaluate(ctx context.Context) (Metrics, error)
}

// Subject is what is trained: its buffers, and its files in a checkpoint.
type Subject interface {
	Buffers() (value, grad device.View)
	// Parts are the subject's own files of a checkpoint.
	Parts() ([]checkpoint.Part, error)
	// Restore reads them back, and may end with ctx.
	Restore(ctx context.Context, c *checkpoint.Checkpoint) error
}

// Options of a run.
type Options struct {
	Method string // "sft", "dpo", ...
	// Run is the run's folder. It exists, and without Resume it holds no valid
	// checkpoint: a new run beside an old one's checkpoints could not be told
	// from it.
	Run      string
	Steps    int
	Schedule optim.Schedule
	AdamW    optim.Config
	// Groups are parts of the buffers with learning rates of their own; none
	// means that all have the schedule's.
	Groups []optim.Group
	// SaveEvery and EvaluateEvery are in steps; 0 means at the ends only. Keep
	// is the number of checkpoints to keep.
	SaveEvery, EvaluateEvery, Keep int
	// Best is the metric of the evaluation by which a checkpoint is kept beside
	// the newest ones; "" keeps none. EarlyStop ends the run after that many
	// evaluations in a row without a better one; 0 is off.
	Best      string
	EarlyStop int
	// Lineage are the hashes that a resumed run must find again: model,
	// tokenizer, data, config.
	Lineage map[string]string
	// Resume starts from the newest valid checkpoint of Run.
	Resume bool
	// Opened, where it is given, is called once the place to begin or go on from is
	// found to fit, before the first step.
	Opened func() error
	// Notes are told in one line each: rejected checkpoints, say, and what the
	// numbers look like to a watcher.
	Notes func(string)
}

func (o Options) validate() error {
	var errs []error
	if o.Run == "" {
		errs = append(errs, errors.New("train: the run has no folder"))
	}
	if o.Steps < 1 {
		errs = append(errs, fmt.Errorf("train: steps must be at least 1, got %d", o.Steps))
	}
	if o.Keep < 1 {
		errs = append(errs, fmt.Errorf("train: keep must be at least 1, got %d", o.Keep))
	}
	if o.SaveEvery < 0 || o.EvaluateEvery < 0 {
		errs = append(errs, fmt.Errorf("train: steps between saves and evaluations must not be negative, got %d and %d", o.SaveEvery, o.EvaluateEvery))
	}
	return errors.Join(append(errs, o.validateBest(), o.Schedule.Validate())...)
}

// Result says how a run ended.
type Result struct {
	Step       int
	Checkpoint string  // the newest; "" where none was saved
	Ended      Request // Continue: all steps done
	Final      Metrics // of the last evaluation; nil where none was made
	// Best is the best evaluation; nil where none was made after a step. Early
	// says that the run ended because no later one was better.
	Best  *Best
	Early bool
	// Verdict compares the end with the start; nil where the run did not end or
	// nothing was held out.
	Verdict *Verdict
}

// ErrNotFinite tells a loss, gradient, weight or moment that is NaN or
// infinite. The newest checkpoint is from before that step.
type ErrNotFinite struct {
	Step  int
	What  string
	Value float64
}

// Error names the step and the value.
func (e *ErrNotFinite) Error() string {
	return fmt.Sprintf("train: step %d: %s is %v; nothing was updated or saved with it", e.Step, e.What, e.Value)
}

// Run trains until the last step or a request to stop. A request is met once
// the step under way is done, and before the next one; an evaluation, and the work
// that a source is making, are broken off and made again by the run that goes on.
// When ctx ends, Run
// returns its error after the step under way without saving.
func Run[B any](ctx context.Context, o Options, b device.Backend, subject Subject, source Source[B], method Method[B], report Reporter, stop *Stop) (Result, error) {
	if err := o.validate(); err != nil {
		return Result{}, err
	}
	value, grad := subject.Buffers()
	adam, err := optim.New(b, o.AdamW, optim.Flat{Value: value, Grad: grad}, o.Groups...)
	if err != nil {
		return Result{}, err
	}
	defer adam.Close()
	l := &loop[B]{options: o, backend: b, subject: subject, source: source, method: method, stop: stop, adam: adam}
	l.report = watch(report, o.Steps, l.note)
	early, cancel := stop.Until(ctx)
	defer cancel()
	if err := l.open(early); err != nil {
		return Result{}, err
	}
	defer l.log.close()
	if o.Opened != nil {
		if err := o.Opened(); err != nil {
			return Result{}, err
		}
	}
	// What reading the model, its data and a checkpoint left on the heap is of no
	// more use, and a run holds what the heap holds for hours.
	debug.FreeOSMemory()
	return l.run(ctx)
}

type loop[B any] struct {
	options Options
	backend device.Backend
	subject Subject
	source  Source[B]
	method  Method[B]
	report  *watcher
	stop    *Stop
	adam    *optim.AdamW
	log     *metricsLog

	step      int
	numTokens int64
	epoch     float64
	saved     int // step of the newest checkpoint; -1: none
	path      string
	final     Metrics
	best      *Best
	due       bool // the evaluation of this step is not made yet
	verdict   *Verdict
	rate      rate
}
