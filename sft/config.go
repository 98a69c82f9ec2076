package sft

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/datasets"
	"align/internal/train"
)

// Config is everything that a supervised fine-tuning run is asked to do.
type Config struct {
	train.Settings `yaml:",inline"`
	// Data is the file of examples, or several with weights: "a.jsonl:0.7,b.jsonl:0.3".
	Data string `yaml:"data" config:"list"`
	// Loss is the loss of a token, one of Losses.
	Loss string `yaml:"loss"`
	// LossMean says what the loss is the mean of: "token", all target tokens
	// of a step alike, or "sequence", the examples alike whatever their length.
	LossMean string `yaml:"loss_mean"`
	// LossOn says which tokens are trained on, one of datasets.LossOn.
	LossOn string `yaml:"loss_on"`
	// NEFTuneNoiseAlpha is the strength of the noise on the embeddings in training
	// (https://arxiv.org/abs/2310.05914); 0 adds none.
	NEFTuneNoiseAlpha float64 `yaml:"neftune_noise_alpha"`
}

// DefaultConfig returns the defaults: those all methods share, with the
// learning rate, warm-up and dropout that TRL, LLaMA-Factory and the
// alignment handbook agree on for LoRA.
func DefaultConfig() Config {
	s := train.DefaultSettings()
	s.LearningRate = 2e-4
	s.Warmup = 0.03
	s.Dropout = 0.05
	return Config{Settings: s, Loss: LossNLL, LossMean: "token", LossOn: datasets.LossOnAssistant}
}

// maxNoise is far above what its paper tries, 5 to 15.
const maxNoise = 1000.0

// Measured are the metrics of an evaluation.
func Measured() []string { return train.EvalMetrics() }

// Validate returns all faults of the config at once.
func (c Config) Validate() error {
	errs := []error{c.Settings.Validate(), c.CheckBest(Measured())}
	if c.Data == "" {
		errs = append(errs, errors.New("data is missing: the file of examples"))
	} else if _, err := datasets.ParseSources(c.Data); err != nil {
		errs = append(errs, fmt.Errorf("data: %w", err))
	}
	if !slices.ContainsFunc(Losses(), func(l Loss) bool { return l.Name == c.Loss }) {
		errs = append(errs, fmt.Errorf("loss must be one of %s, %s, got %q", LossNLL, LossDFT, c.Loss))
	}
	if c.LossMean != "token" && c.LossMean != "sequence" {
		errs = append(errs, fmt.Errorf("loss_mean must be one of token, sequence, got %q", c.LossMean))
	}
	if !slices.Contains(datasets.LossOn(), c.LossOn) {
		errs = append(errs, fmt.Errorf("loss_on must be one of %s, got %q", strings.Join(datasets.LossOn(), ", "), c.LossOn))
	}
	if !(c.NEFTuneNoiseAlpha >= 0 && c.NEFTuneNoiseAlpha <= maxNoise) {
		errs = append(errs, fmt.Errorf("neftune_noise_alpha must lie in [0, %v], got %v", maxNoise, c.NEFTuneNoiseAlpha))
	}
	return errors.Join(errs...)
}
