package train

import (
	"context"
	"fmt"
	"math"
	"time"

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

// Source yields the work of one step after the other. State and Restore carry
// its place over a checkpoint.
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
	// Restore reads them back.
	Restore(*checkpoint.Checkpoint) error
}

// Options of a run.
type Options struct {
	Method   string // "sft", "dpo", ...
	Run      string // the run's folder; exists
	Steps    int
	Schedule optim.Schedule
	AdamW    optim.Config
	// SaveEvery and EvaluateEvery are in steps; 0 means at the ends only. Keep
	// is the number of checkpoints to keep.
	SaveEvery, EvaluateEvery, Keep int
	// Lineage are the hashes that a resumed run must find again: model,
	// tokenizer, data, config.
	Lineage map[string]string
	// Resume starts from the newest valid checkpoint of Run.
	Resume bool
	// Notes are told in one line each: rejected checkpoints, say.
	Notes func(string)
}

// Result says how a run ended.
type Result struct {
	Step       int
	Checkpoint string
	Ended      Request // Continue: all steps done
	Final      Metrics // of the last evaluation
}

// ErrNotFinite tells a loss, gradient or weight that is NaN or infinite. The
// newest checkpoint is from before that step.
type ErrNotFinite struct {
	Step  int
	What  string
	Value float64
}

// Error names the step and the value, and what usually causes it.
func (e *ErrNotFinite) Error() string {
	return fmt.Sprintf("train: step %d: %s is %v; nothing was updated or saved with it", e.Step, e.What, e.Value)
}

// Run trains until the last step or a request to stop.
func Run[B any](ctx context.Context, o Options, b device.Backend, subject Subject, source Source[B], method Method[B], report Reporter, stop *Stop) (Result, error) {
	value, grad := subject.Buffers()
	adam, err := optim.New(b, o.AdamW, optim.Flat{Value: value, Grad: grad})
	if err != nil {
		return Result{}, err
	}
	l := &loop[B]{options: o, backend: b, subject: subject, source: source, method: method, report: report, stop: stop, adam: adam}
	if err := l.open(); err != nil {
		return Result{}, err
	}
	defer l.log.close()
	return l.run(ctx)
}

type loop[B any] struct {
	options Options
	backend device.Backend
	subject Subject
	source  Source[B]
	method  Method[B]
	report  Reporter
	stop    *Stop
	adam    *optim.AdamW
	log     *metricsLog

	step      int
	numTokens int64
	epoch     float64
	saved     int // step of the newest checkpoint; -1: none
	path      string
	final     Metrics
	rate      rate
}

func (l *loop[B]) run(ctx context.Context) (Result, error) {
	if l.step == 0 {
		if err := l.evaluate(ctx); err != nil {
			return Result{}, err
		}
	}
	ended := Continue
	for l.step < l.options.Steps && ended < Interrupt {
		if err := ctx.Err(); err != nil {
			return l.result(Continue), err
		}
		if err := l.advance(); err != nil {
			return l.result(Continue), err
		}
		last := l.step == l.options.Steps
		if every(l.step, l.options.EvaluateEvery) || last {
			if err := l.evaluate(ctx); err != nil {
				return l.result(Continue), err
			}
		}
		ended = l.stop.take()
		if every(l.step, l.options.SaveEvery) || last || ended != Continue {
			if err := l.save(); err != nil {
				return l.result(Continue), err
			}
		}
	}
	return l.result(ended), nil
}

func every(step, n int) bool { return n > 0 && step%n == 0 }

func (l *loop[B]) result(ended Request) Result {
	if ended == SaveNow {
		ended = Continue
	}
	return Result{Step: l.step, Checkpoint: l.path, Ended: ended, Final: l.final}
}

// advance is one optimizer step.
func (l *loop[B]) advance() error {
	start := time.Now()
	work, err := l.source.Next()
	if err != nil {
		return err
	}
	if err := l.adam.Zero(); err != nil {
		return err
	}
	step := l.step + 1
	e := Event{Step: step, Steps: l.options.Steps, LearningRate: l.options.Schedule.At(step), Epoch: work.Epoch}
	for _, micro := range work.Micro {
		loss, metrics, err := l.method.Micro(step, micro, work.Weight)
		if err != nil {
			return err
		}
		e.Loss += loss
		e.Metrics.Merge(metrics)
	}
	if err := finite(step, "loss", e.Loss); err != nil {
		return err
	}
	norm, err := l.adam.Norm()
	if err == nil {
		err = finite(step, "norm of the trained weights", norm)
	}
	if err != nil {
		return err
	}
	if e.GradNorm, err = l.adam.Step(e.LearningRate); err != nil {
		if err == optim.ErrNotFinite {
			return &ErrNotFinite{step, "gradient norm", e.GradNorm}
		}
		return err
	}
	l.step, l.epoch = step, work.Epoch
	l.numTokens += work.Tokens
	e.NumTokens = l.numTokens
	e.Elapsed = time.Since(start)
	l.rate.add(e.Elapsed, work.Tokens)
	e.TokensPerSecond, e.Remaining = l.rate.tokensPerSecond(), l.rate.remaining(l.options.Steps-step)
	return l.emit(e)
}

func finite(step int, what string, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return &ErrNotFinite{step, what, v}
	}
	return nil
}

// emit writes the event to the run's log and tells the reporter.
func (l *loop[B]) emit(e Event) error {
	if err := l.log.write(e); err != nil {
		return err
	}
	l.report.Stepped(e)
	return nil
}

func (l *loop[B]) evaluate(ctx context.Context) error {
	evaluator, ok := l.method.(Evaluator)
	if !ok {
		return nil
	}
	start := time.Now()
	metrics, err := evaluator.Evaluate(ctx)
	if err != nil || len(metrics) == 0 {
		return err
	}
	l.final = metrics
	return l.emit(Event{
		Step: l.step, Steps: l.options.Steps, Epoch: l.epoch, NumTokens: l.numTokens,
		Metrics: metrics, Evaluation: true, Elapsed: time.Since(start),
	})
}
