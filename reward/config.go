package reward

import (
	"errors"
	"fmt"
	"math"

	"align/datasets"
	"align/internal/train"
)

// Config is everything that a reward model's training is asked to do.
type Config struct {
	train.Settings `yaml:",inline"`
	// Pairs is the file of preference pairs, or of ranked answers, or several with weights: "a.jsonl:0.7,b.jsonl:0.3".
	Pairs string `yaml:"pairs" config:"list"`
	// Centering pulls the mean score to 0: λ of
	// https://arxiv.org/abs/2312.09244 (0.01 is usual); 0 is off.
	Centering float64 `yaml:"centering"`
	// Margin multiplies the margin column of the data, where it has one, and
	// 0 leaves it out (https://arxiv.org/abs/2307.09288, section 3.2.2).
	Margin float64 `yaml:"margin"`
	// Ranking is what the loss of more than two ranked answers is made of:
	// pairs or plackett-luce.
	Ranking string `yaml:"ranking"`
}

// DefaultConfig returns the defaults: those all methods share, with TRL's
// learning rate and no dropout, as there.
func DefaultConfig() Config {
	s := train.DefaultSettings()
	s.LearningRate = 1e-4
	s.Warmup = 0.03
	s.Dropout = 0
	s.Best = "eval_accuracy"
	return Config{Settings: s, Margin: 1, Ranking: RankingPairs}
}

// Measured are the metrics of an evaluation; the accuracy of a bin of margins is
// there where a pair falls into it.
func Measured() []string {
	names := []string{"eval_loss", "eval_accuracy", "eval_margin", "eval_mean_reward", "eval_min_reward", "eval_max_reward", "eval_calibration_error"}
	for _, bin := range binNames {
		names = append(names, "eval_accuracy_margin_"+bin)
	}
	return names
}

// Validate returns all faults of the config at once. The comparisons are
// written so that a NaN fails them.
func (c Config) Validate() error {
	errs := []error{c.Settings.Validate(), c.CheckBest(Measured())}
	if c.Pairs == "" {
		errs = append(errs, errors.New("pairs is missing: the file of preference pairs or ranked answers"))
	} else if _, err := datasets.ParseSources(c.Pairs); err != nil {
		errs = append(errs, fmt.Errorf("pairs: %w", err))
	}
	if !(c.Centering >= 0 && c.Centering <= math.MaxFloat64) {
		errs = append(errs, fmt.Errorf("centering must be finite and not negative, got %v", c.Centering))
	}
	if !(c.Margin >= 0 && c.Margin <= math.MaxFloat64) {
		errs = append(errs, fmt.Errorf("margin must be finite and not negative, got %v", c.Margin))
	}
	if c.Ranking != RankingPairs && c.Ranking != RankingPlackettLuce {
		errs = append(errs, fmt.Errorf("ranking must be one of %s, %s, got %q", RankingPairs, RankingPlackettLuce, c.Ranking))
	}
	return errors.Join(errs...)
}
