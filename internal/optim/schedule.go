package optim

import (
	"errors"
	"fmt"
	"math"
)

// Schedule gives the learning rate of every optimizer step, as Transformers'
// get_scheduler does
// (https://github.com/huggingface/transformers/blob/main/src/transformers/optimization.py):
// a linear warm-up from 0, then constant, or down to 0 at Steps along a line or
// half a cosine.
type Schedule struct {
	Kind         string  `json:"kind"` // constant, linear or cosine
	LearningRate float64 `json:"learning_rate"`
	// Warmup below 1 is a fraction of Steps, rounded up, else a number of steps.
	Warmup float64 `json:"warmup"`
	Steps  int     `json:"steps"`
}

// maxWarmup keeps a number of steps within what a float64 counts exactly.
const maxWarmup = 1 << 53

// Validate returns all faults of the schedule at once. The comparisons are
// written so that a NaN fails them.
func (s Schedule) Validate() error {
	var errs []error
	if s.Kind != "constant" && s.Kind != "linear" && s.Kind != "cosine" {
		errs = append(errs, fmt.Errorf("optim: schedule %q: want constant, linear or cosine", s.Kind))
	}
	if !(s.LearningRate >= 0 && s.LearningRate <= math.MaxFloat64) {
		errs = append(errs, fmt.Errorf("optim: learning rate must be finite and not negative, got %v", s.LearningRate))
	}
	if !(s.Warmup >= 0 && s.Warmup <= maxWarmup) {
		errs = append(errs, fmt.Errorf("optim: warm-up must lie in [0, 2^53], got %v", s.Warmup))
	}
	if s.Steps < 1 {
		errs = append(errs, fmt.Errorf("optim: steps must be at least 1, got %d", s.Steps))
	}
	return errors.Join(errs...)
}

// String is the schedule in words.
func (s Schedule) String() string {
	return fmt.Sprintf("%s, learning rate %v, %d of %d steps of warm-up", s.Kind, s.LearningRate, s.WarmupSteps(), s.Steps)
}

// WarmupSteps is the number of steps before the full rate.
func (s Schedule) WarmupSteps() int {
	if s.Warmup < 1 {
		return int(math.Ceil(s.Warmup * float64(s.Steps)))
	}
	return int(s.Warmup)
}

// At is the learning rate of a step, counted from 1. As in Transformers the
// warm-up begins at 0, so the first of several warm-up steps moves nothing.
func (s Schedule) At(step int) float64 {
	done, warmup := step-1, s.WarmupSteps()
	if done < warmup {
		return s.LearningRate * (float64(done) / float64(warmup))
	}
	falling := float64(max(1, s.Steps-warmup))
	switch s.Kind {
	case "linear":
		return s.LearningRate * max(0, float64(s.Steps-done)/falling)
	case "cosine":
		// Past the end the cosine would rise again.
		progress := min(1, float64(done-warmup)/falling)
		return s.LearningRate * (0.5 * (1 + math.Cos(math.Pi*progress)))
	}
	return s.LearningRate
}
