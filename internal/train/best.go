package train

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Best is the evaluation that was the best so far; state.json holds it.
type Best struct {
	Metric string  `json:"metric"`
	Step   int     `json:"step"`
	Value  float64 `json:"value"`
	// Loss is eval_loss there: it decides between equal values.
	Loss float64 `json:"loss"`
	// Worse counts the evaluations since then, none of which was better.
	Worse int `json:"worse"`
}

// lowerIsBetter tells it by the metric's name.
func lowerIsBetter(metric string) bool {
	return strings.HasSuffix(metric, "loss") || strings.HasSuffix(metric, "perplexity") || strings.HasSuffix(metric, "calibration_error")
}

// beats compares two finite evaluations.
func (b Best) beats(old Best) bool {
	if b.Value == old.Value {
		return b.Loss < old.Loss
	}
	return (b.Value < old.Value) == lowerIsBetter(b.Metric)
}

// rank compares an evaluation after step 1 or later with the best one. That of
// step 0 is no candidate, for there is no checkpoint of it.
func (l *loop[B]) rank(m Metrics) error {
	metric := l.options.Best
	if metric == "" {
		return nil
	}
	value, ok := m.Get(metric)
	if !ok {
		return fmt.Errorf("train: best is %q, which is not measured: %s", metric, strings.Join(m.names(), ", "))
	}
	if l.step == 0 {
		return nil
	}
	now := Best{Metric: metric, Step: l.step, Value: value}
	now.Loss, _ = m.Get("eval_loss")
	switch first := l.best == nil || l.best.Metric != metric; {
	case finite(now.Value) && finite(now.Loss) && (first || now.beats(*l.best)):
		l.best = &now
	case !first:
		worse := *l.best
		worse.Worse++
		l.best = &worse
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// atBest tells whether the step just done is the best one.
func (l *loop[B]) atBest() bool { return l.best != nil && l.best.Step == l.step }

// gaveUp tells whether the last evaluations were all worse than the best one.
func (l *loop[B]) gaveUp() bool {
	return l.options.EarlyStop > 0 && l.best != nil && l.best.Worse >= l.options.EarlyStop
}

// protected are the steps whose checkpoints stay beside the newest ones.
func (l *loop[B]) protected() []int {
	if l.best == nil {
		return nil
	}
	return []int{l.best.Step}
}

func (o Options) validateBest() error {
	var errs []error
	if o.Best != "" && !strings.HasPrefix(o.Best, "eval_") {
		errs = append(errs, fmt.Errorf("train: best must name a metric of the evaluation, as eval_loss, got %q", o.Best))
	}
	if o.EarlyStop < 0 {
		errs = append(errs, fmt.Errorf("train: early_stop must not be negative, got %d", o.EarlyStop))
	}
	if o.EarlyStop > 0 && o.Best == "" {
		errs = append(errs, fmt.Errorf("train: early_stop is %d, but best names no metric to stop by", o.EarlyStop))
	}
	return errors.Join(errs...)
}
