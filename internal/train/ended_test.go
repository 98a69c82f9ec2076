package train_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"align/internal/checkpoint"
	"align/internal/train"
)

// stuck is evaluated until somebody cancels it.
type stuck struct {
	*toy
	stop *train.Stop
}

func (s stuck) Evaluate(ctx context.Context) (train.Metrics, error) {
	s.stop.Ask(train.Terminate)
	<-ctx.Done()
	return nil, ctx.Err()
}

// The evaluation before the first step ends with the first request, and is made again by
// the run that goes on, whose log is that of one that was not stopped.
func TestTheFirstEvaluationEndsWhenAsked(t *testing.T) {
	whole, dir := t.TempDir(), t.TempDir()
	mustRun(t, options(whole), newToy(t), 2, nil)
	stop, y := &train.Stop{}, newToy(t)
	r, err := train.Run(context.Background(), options(dir), y.backend, y, &points{Micros: 2}, train.Method[[]float64](stuck{y, stop}), &recorder{}, stop)
	if err != nil || r.Ended != train.Terminate || r.Step != 0 || r.Checkpoint == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	o := options(dir)
	o.Resume = true
	mustRun(t, o, newToy(t), 2, nil)
	if got, want := readFile(t, dir, train.MetricsFile), readFile(t, whole, train.MetricsFile); got != want {
		t.Errorf("the log differs:\n%s\nwant\n%s", got, want)
	}
}

// stuckAt is stuck at one step alone.
type stuckAt struct {
	stuck
	at, done int
}

func (s *stuckAt) Micro(step int, batch []float64, weight float64) (float64, train.Metrics, error) {
	s.done = step
	return s.toy.Micro(step, batch, weight)
}

func (s *stuckAt) Evaluate(ctx context.Context) (train.Metrics, error) {
	if s.done == s.at {
		return s.stuck.Evaluate(ctx)
	}
	return s.toy.Evaluate(ctx)
}

// Every evaluation ends with the first request. The step before it is saved, and the run
// that goes on, which may be stopped likewise, leaves what one that was not stopped does.
func TestAnyEvaluationEndsWhenAsked(t *testing.T) {
	set := func(run string) train.Options {
		o := options(run)
		o.Best = "eval_w0"
		return o
	}
	whole := t.TempDir()
	mustRun(t, set(whole), newToy(t), 2, nil)
	for _, at := range []int{7, 14, 20} {
		dir := t.TempDir()
		for try := range 2 {
			stop, y := &train.Stop{}, newToy(t)
			s := &stuckAt{stuck: stuck{y, stop}, at: at}
			o := set(dir)
			if o.Resume = try > 0; o.Resume {
				s.done = at // it begins by the evaluation
			}
			r, err := train.Run(context.Background(), o, y.backend, y, &points{Micros: 2}, train.Method[[]float64](s), &recorder{}, stop)
			if err != nil || r.Ended != train.Terminate || r.Step != at || !strings.HasSuffix(r.Checkpoint, fmt.Sprintf("step-%06d", at)) || r.Verdict != nil {
				t.Fatalf("step %d: %+v, %v", at, r, err)
			}
		}
		o := set(dir)
		o.Resume = true
		mustRun(t, o, newToy(t), 2, nil)
		for _, name := range []string{train.MetricsFile, "checkpoints/step-000020/" + train.OptimizerFile, "checkpoints/step-000020/" + train.StateFile} {
			if got, want := readFile(t, dir, name), readFile(t, whole, name); got != want {
				t.Errorf("step %d: %s differs:\n%s\nwant\n%s", at, name, got, want)
			}
		}
	}
}

// slow makes the work of a step until somebody cancels it.
type slow struct {
	points
	at   int
	stop *train.Stop
}

func (s *slow) Next() (train.Work[[]float64], error) {
	if s.At == 8*(s.at-1) {
		ctx, cancel := s.stop.Until(context.Background())
		defer cancel()
		s.stop.Ask(train.Interrupt)
		<-ctx.Done()
		return train.Work[[]float64]{}, fmt.Errorf("a rollout: %w", ctx.Err())
	}
	return s.points.Next()
}

// The work of a step ends likewise: the steps before it are saved.
func TestTheWorkOfAStepEndsWhenAsked(t *testing.T) {
	whole := t.TempDir()
	mustRun(t, options(whole), newToy(t), 2, nil)
	for _, at := range []int{1, 6, 13} {
		dir, stop, y := t.TempDir(), &train.Stop{}, newToy(t)
		r, err := train.Run(context.Background(), options(dir), y.backend, y, &slow{points{Micros: 2}, at, stop}, train.Method[[]float64](y), &recorder{}, stop)
		if err != nil || r.Ended != train.Interrupt || r.Step != at-1 || r.Checkpoint == "" {
			t.Fatalf("step %d: %+v, %v", at, r, err)
		}
		o := options(dir)
		o.Resume = true
		mustRun(t, o, newToy(t), 2, nil)
		if got, want := readFile(t, dir, train.MetricsFile), readFile(t, whole, train.MetricsFile); got != want {
			t.Errorf("step %d: the log differs:\n%s\nwant\n%s", at, got, want)
		}
	}
}

// loading asks for the end while its weights are read back.
type loading struct {
	*toy
	stop *train.Stop
}

func (l *loading) Restore(ctx context.Context, c *checkpoint.Checkpoint) error {
	l.stop.Ask(train.Interrupt)
	return l.toy.Restore(ctx, c)
}

// What a checkpoint holds is read to no end either: a request in its weights is met
// before the moments are read, and the run goes on as if it had not been begun.
func TestRestoringEndsWhenAsked(t *testing.T) {
	whole, dir := t.TempDir(), t.TempDir()
	mustRun(t, options(whole), newToy(t), 2, nil)
	stop, y := &train.Stop{}, newToy(t)
	if _, err := train.Run(context.Background(), options(dir), y.backend, y, &slow{points{Micros: 2}, 6, stop}, train.Method[[]float64](y), &recorder{}, stop); err != nil {
		t.Fatal(err)
	}
	o := options(dir)
	o.Resume = true
	before := readFile(t, dir, train.MetricsFile)
	stop, y = &train.Stop{}, newToy(t)
	_, err := train.Run(context.Background(), o, y.backend, &loading{y, stop}, &points{Micros: 2}, train.Method[[]float64](y), &recorder{}, stop)
	if !errors.Is(err, context.Canceled) || readFile(t, dir, train.MetricsFile) != before {
		t.Errorf("got %v", err)
	}
	mustRun(t, o, newToy(t), 2, nil)
	if got, want := readFile(t, dir, train.MetricsFile), readFile(t, whole, train.MetricsFile); got != want {
		t.Errorf("the log differs:\n%s\nwant\n%s", got, want)
	}
}
