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
	if l.step == 0 {
		if err := l.evaluateStart(ctx); err != nil {
			return l.result(Continue), err
		}
	}
	for {
		ended := l.stop.take()
		done := l.step >= l.options.Steps || l.gaveUp()
		if done || ended != Continue || every(l.step, l.options.SaveEvery) || l.atBest() {
			if err := l.save(); err != nil {
				return l.result(Continue), err
			}
		}
		if done {
			var err error
			l.verdict, err = l.judge(ctx)
			return l.result(ended), err
		}
		if ended >= Interrupt {
			return l.result(ended), nil
		}
		if err := ctx.Err(); err != nil {
			return l.result(Continue), err
		}
		if err := l.advance(); err != nil {
			return l.result(Continue), err
		}
		if every(l.step, l.options.EvaluateEvery) || l.step == l.options.Steps {
			if err := l.evaluate(ctx); err != nil {
				return l.result(Continue), err
			}
		}
	}
}

// evaluateStart is the evaluation before the first step. It is given up where the run is
// asked to end, for it is made again by the one that goes on from step 0.
func (l *loop[B]) evaluateStart(ctx context.Context) error {
	early, cancel := l.stop.Until(ctx)
	defer cancel()
	err := l.evaluate(early)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil && l.stop.Asked() > SaveNow {
		return nil
	}
	return err
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
