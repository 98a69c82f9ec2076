// Package optim turns gradients into updates: AdamW over flat buffers on a
// device, clipping by the global norm, and learning-rate schedules.
//
// The types to know are Schedule, Flat (one set of flat buffers) and AdamW.
// Sources: https://arxiv.org/abs/1711.05101 (AdamW) and the schedules of
// Hugging Face Transformers. It knows no model and no method.
package optim

import (
	"fmt"
	"math"
)

// Schedule gives the learning rate of every optimizer step, as Transformers'
// get_scheduler does: Kind is constant, linear or cosine; Warmup below 1 is a
// fraction of Steps, else a number of steps.
type Schedule struct {
	Kind         string
	LearningRate float64
	Warmup       float64
	Steps        int
}

// Validate names an unknown kind.
func (s Schedule) Validate() error {
	switch s.Kind {
	case "constant", "linear", "cosine":
		return nil
	}
	return fmt.Errorf("optim: schedule %q: want constant, linear or cosine", s.Kind)
}

// WarmupSteps is the number of steps before the full rate.
func (s Schedule) WarmupSteps() int {
	if s.Warmup < 1 {
		return int(math.Ceil(s.Warmup * float64(s.Steps)))
	}
	return int(s.Warmup)
}

// At is the learning rate of a step, counted from 1. Like Transformers', the
// warm-up begins at 0.
func (s Schedule) At(step int) float64 {
	done, warmup := float64(step-1), float64(s.WarmupSteps())
	if done < warmup {
		return s.LearningRate * done / warmup
	}
	left := max(float64(s.Steps)-warmup, 1)
	progress := min((done-warmup)/left, 1)
	switch s.Kind {
	case "linear":
		return s.LearningRate * (1 - progress)
	case "cosine":
		return s.LearningRate * 0.5 * (1 + math.Cos(math.Pi*progress))
	}
	return s.LearningRate
}
