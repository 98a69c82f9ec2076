package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"align/internal/optim"
)

// run alternates between what is due after a step and the next step.
func (l *loop[B]) run(ctx context.Context) (Result, error) {
	l.due = l.due || l.step == 0
	for {
		if err := l.evaluateDue(ctx); err != nil {
			return l.result(Continue), err
		}
		ended := l.stop.take()
		done := l.step >= l.options.Steps || l.gaveUp()
		if done || ended != Continue || every(l.step, l.options.SaveEvery) || l.atBest() {
			if err := l.save(); err != nil {
				return l.result(Continue), err
			}
		}
		if ended >= Interrupt && (l.due || !done) {
			return l.result(ended), nil
		}
		if done {
			return l.conclude(ctx, ended)
		}
		if err := ctx.Err(); err != nil {
			return l.result(Continue), err
		}
		if err := l.advance(); l.brokenOff(ctx, err) {
			continue // which meets the request
		} else if err != nil {
			return l.result(Continue), err
		}
		l.due = every(l.step, l.options.EvaluateEvery) || l.step == l.options.Steps
	}
}

// conclude judges a run that is done. Where that is broken off the run is done
// nonetheless, and the verdict is made when it goes on.
func (l *loop[B]) conclude(ctx context.Context, ended Request) (Result, error) {
	early, cancel := l.stop.Until(ctx)
	defer cancel()
	var err error
	if l.verdict, err = l.judge(early); l.brokenOff(ctx, err) {
		return l.result(l.stop.Asked()), nil
	}
	return l.result(ended), err
}

// evaluateDue makes the evaluation of the step just done, where there is to be one. It
// is given up where the run is asked to end, for the one that goes on makes it first.
func (l *loop[B]) evaluateDue(ctx context.Context) error {
	if !l.due {
		return nil
	}
	early, cancel := l.stop.Until(ctx)
	defer cancel()
	if err := l.evaluate(early); err != nil {
		if l.brokenOff(ctx, err) {
			return nil
		}
		return err
	}
	l.due = false
	if l.saved == l.step {
		l.saved = -1 // without this evaluation
	}
	return nil
}

// brokenOff says whether err is what a request to end makes of work under way.
func (l *loop[B]) brokenOff(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) && ctx.Err() == nil && l.stop.Asked() > SaveNow
}

// every tells whether a step is one of each n; step 0 and n 0 never are.
func every(step, n int) bool { return step > 0 && n > 0 && step%n == 0 }

func (l *loop[B]) result(ended Request) Result {
	if ended == SaveNow {
		ended = Continue
	}
	return Result{
		Step: l.step, Checkpoint: l.path, Ended: ended, Final: l.final,
		Best: l.best, Early: l.gaveUp() && l.step < l.options.Steps, Verdict: l.verdict,
	}
}

// advance is one optimizer step.
func (l *loop[B]) advance() error {
	start := time.Now()
	step := l.step + 1
	work, err := l.source.Next()
	if err != nil {
		return err
	}
	if len(work.Micro) == 0 || !(work.Weight > 0) {
		return fmt.Errorf("train: step %d has nothing to train on: %d micro-batches of weight %v", step, len(work.Micro), work.Weight)
	}
	e := Event{Step: step, Steps: l.options.Steps, LearningRate: l.options.Schedule.At(step), Epoch: work.Epoch}
	if err := l.accumulate(work, &e); err != nil {
		return err
	}
	if err := l.update(&e); err != nil {
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

// accumulate adds up the micro-steps' gradients, losses and metrics.
func (l *loop[B]) accumulate(work Work[B], e *Event) error {
	if err := l.adam.Zero(); err != nil {
		return err
	}
	if p, ok := l.method.(Preparer[B]); ok {
		if err := p.Prepare(e.Step, work.Micro); err != nil {
			return err
		}
	}
	for _, micro := range work.Micro {
		loss, metrics, err := l.method.Micro(e.Step, micro, work.Weight)
		if err != nil {
			return err
		}
		e.Loss += loss
		e.Metrics.Merge(metrics)
	}
	return nil
}

// update is the optimizer's step, if all that decides over it is finite.
func (l *loop[B]) update(e *Event) (err error) {
	// Written for NaN too: no comparison with a threshold holds for it.
	if math.IsNaN(e.Loss) || math.IsInf(e.Loss, 0) {
		return &ErrNotFinite{e.Step, "loss", e.Loss}
	}
	e.GradNorm, err = l.adam.Step(e.LearningRate)
	return atStep(e.Step, err)
}

// atStep names the step in an error of the optimizer.
func atStep(step int, err error) error {
	var bad *optim.ErrNotFinite
	if errors.As(err, &bad) {
		return &ErrNotFinite{step, bad.What, bad.Value}
	}
	return err
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
	if err := l.rank(metrics); err != nil {
		return err
	}
	if l.step == 0 {
		if err := l.keepStart(); err != nil {
			return err
		}
	}
	return l.emit(Event{
		Step: l.step, Steps: l.options.Steps, Epoch: l.epoch, NumTokens: l.numTokens,
		Metrics: metrics, Evaluation: true, Elapsed: time.Since(start),
	})
}
