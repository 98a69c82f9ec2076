package optim

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Schedule gives the learning rate of every optimizer step, as Transformers'
// get_scheduler does
// (https://github.com/huggingface/transformers/blob/main/src/transformers/optimization.py):
// a linear warm-up from 0, then what its Kind says. A setting of another kind
// is 0.
type Schedule struct {
	Kind         string  `json:"kind"` // one of Schedules
	LearningRate float64 `json:"learning_rate"`
	// Warmup below 1 is a fraction of Steps, rounded up, else a number of steps.
	Warmup float64 `json:"warmup"`
	Steps  int     `json:"steps"`
	// MinRate is the least rate as a share of LearningRate, of cosine_with_min_lr,
	// polynomial and warmup_stable_decay, which also warms up from it.
	MinRate float64 `json:"min_lr_rate,omitzero"`
	// Cycles is the number of half cosines of cosine_with_restarts.
	Cycles int `json:"num_cycles,omitzero"`
	// Power is that of polynomial; 1 is a line.
	Power float64 `json:"power,omitzero"`
	// Decay is how long warmup_stable_decay falls at its end, counted like Warmup.
	Decay float64 `json:"decay,omitzero"`
}

var schedules = []string{
	"constant", "linear", "cosine", "cosine_with_min_lr", "cosine_with_restarts", "polynomial", "inverse_sqrt", "warmup_stable_decay",
}

// Schedules are the kinds, by Transformers' names.
func Schedules() []string { return slices.Clone(schedules) }

// maxSteps keeps a number of steps within what a float64 counts exactly.
const maxSteps = 1 << 53

// Validate returns all faults of the schedule at once. The comparisons are
// written so that a NaN fails them.
func (s Schedule) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("optim: "+format, args...))
		}
	}
	check(slices.Contains(schedules, s.Kind), "schedule %q: want one of %s", s.Kind, strings.Join(schedules, ", "))
	check(s.LearningRate >= 0 && s.LearningRate <= math.MaxFloat64, "learning rate must be finite and not negative, got %v", s.LearningRate)
	check(s.Warmup >= 0 && s.Warmup <= maxSteps, "warm-up must lie in [0, 2^53], got %v", s.Warmup)
	check(s.Steps >= 1, "steps must be at least 1, got %d", s.Steps)
	check(s.MinRate >= 0 && s.MinRate < 1, "the least rate's share must lie in [0, 1), got %v", s.MinRate)
	check(s.Kind != "cosine_with_restarts" || s.Cycles >= 1, "cycles must be at least 1, got %d", s.Cycles)
	check(s.Kind != "polynomial" || s.Power > 0 && s.Power <= math.MaxFloat64, "power must be positive, got %v", s.Power)
	check(s.Decay >= 0 && s.Decay <= maxSteps, "decay must lie in [0, 2^53], got %v", s.Decay)
	return errors.Join(errs...)
}

// String is the schedule in words.
func (s Schedule) String() string {
	text := fmt.Sprintf("%s, learning rate %v, %d of %d steps of warm-up", s.Kind, s.LearningRate, s.WarmupSteps(), s.Steps)
	if s.MinRate > 0 {
		text += fmt.Sprintf(", least rate %v", s.MinRate*s.LearningRate)
	}
	switch s.Kind {
	case "cosine_with_restarts":
		text += fmt.Sprintf(", %d cycles", s.Cycles)
	case "polynomial":
		text += fmt.Sprintf(", power %v", s.Power)
	case "warmup_stable_decay":
		text += fmt.Sprintf(", %d steps of decay", s.decaySteps())
	}
	return text
}

// WarmupSteps is the number of steps before the full rate.
func (s Schedule) WarmupSteps() int { return s.count(s.Warmup) }

// decaySteps are at most those that the warm-up leaves.
func (s Schedule) decaySteps() int { return max(0, min(s.count(s.Decay), s.Steps-s.WarmupSteps())) }

// count is a number of steps, or a fraction of all rounded up.
func (s Schedule) count(steps float64) int {
	if steps < 1 {
		return int(math.Ceil(steps * float64(s.Steps)))
	}
	return int(steps)
}

// At is the learning rate of a step, counted from 1. As in Transformers the
// warm-up begins at 0, so the first of several warm-up steps moves nothing.
func (s Schedule) At(step int) float64 {
	done, warmup := step-1, s.WarmupSteps()
	if done < warmup {
		return s.LearningRate * s.warming(float64(done)/float64(warmup))
	}
	return s.LearningRate * s.factor(done, warmup)
}

// warming is the factor of the rate at a share of the warm-up.
func (s Schedule) warming(progress float64) float64 {
	if s.Kind == "warmup_stable_decay" {
		return s.above(progress)
	}
	return progress
}

// factor is that of the rate after done steps, warmup or more.
func (s Schedule) factor(done, warmup int) float64 {
	falling := float64(max(1, s.Steps-warmup))
	progress := min(1, float64(done-warmup)/falling) // past the end a cosine would rise again
	switch s.Kind {
	case "linear":
		return max(0, float64(s.Steps-done)/falling)
	case "cosine", "cosine_with_min_lr":
		return s.above(halfCosine(progress))
	case "cosine_with_restarts":
		return restarted(progress, float64(s.Cycles))
	case "polynomial":
		return s.above(math.Pow(1-progress, s.Power))
	case "inverse_sqrt":
		return inverseSqrt(done, warmup)
	case "warmup_stable_decay":
		return s.above(halfCosine(s.decayed(done)))
	}
	return 1
}

// above leaves room below a factor for the least rate.
func (s Schedule) above(factor float64) float64 { return factor*(1-s.MinRate) + s.MinRate }

// halfCosine falls from 1 at 0 to 0 at 1.
func halfCosine(progress float64) float64 { return 0.5 * (1 + math.Cos(math.Pi*progress)) }

// restarted is a half cosine over each of n parts.
func restarted(progress, n float64) float64 {
	if progress >= 1 {
		return 0
	}
	return halfCosine(math.Mod(n*progress, 1))
}

// unwarmed is Transformers' time scale of inverse_sqrt without a warm-up, in steps.
const unwarmed = 10_000

// inverseSqrt is sqrt(w/(done - warmup + w)), where w is the warm-up.
func inverseSqrt(done, warmup int) float64 {
	scale := warmup
	if scale == 0 {
		scale = unwarmed
	}
	return 1 / math.Sqrt(float64(done+scale-warmup)/float64(scale))
}

// decayed is the share of the decay that is over: 0 before the last steps.
func (s Schedule) decayed(done int) float64 {
	decay := s.decaySteps()
	progress := float64(done-(s.Steps-decay)) / float64(max(1, decay))
	return min(1, max(0, progress))
}
