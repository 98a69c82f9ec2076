package optim

import (
	"errors"
	"fmt"
	"math"
)

// Config are AdamW's constants.
type Config struct {
	Beta1       float64 `json:"beta1"`
	Beta2       float64 `json:"beta2"`
	Eps         float64 `json:"eps"`
	WeightDecay float64 `json:"weight_decay"`
	// Clip is the largest global gradient norm; 0 turns clipping off.
	Clip float64 `json:"clip"`
}

// DefaultConfig are the constants of PyTorch's AdamW without weight decay, and
// TRL's clip.
func DefaultConfig() Config { return Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1} }

// Validate returns all faults of the constants at once. The comparisons are
// written so that a NaN fails them.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, name, want string, got float64) {
		if !ok {
			errs = append(errs, fmt.Errorf("optim: %s must %s, got %v", name, want, got))
		}
	}
	check(c.Beta1 >= 0 && c.Beta1 < 1, "beta1", "lie in [0, 1)", c.Beta1)
	check(c.Beta2 >= 0 && c.Beta2 < 1, "beta2", "lie in [0, 1)", c.Beta2)
	check(c.Eps >= 0 && c.Eps <= math.MaxFloat64, "eps", "be finite and not negative", c.Eps)
	check(c.WeightDecay >= 0 && c.WeightDecay <= math.MaxFloat64, "weight decay", "be finite and not negative", c.WeightDecay)
	check(c.Clip >= 0 && c.Clip <= math.MaxFloat64, "clip", "be finite and not negative", c.Clip)
	return errors.Join(errs...)
}
