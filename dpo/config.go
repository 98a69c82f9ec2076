package dpo

import (
	"errors"
	"fmt"
	"math"

	"align/datasets"
	"align/internal/train"
)

// Config is everything that a direct preference optimisation run is asked to do.
type Config struct {
	train.Settings `yaml:",inline"`
	// Pairs is the file of preference pairs, or several with weights: "a.jsonl:0.7,b.jsonl:0.3".
	Pairs string `yaml:"pairs" config:"list"`
	// Beta is the strength of the pull towards the reference, β of
	// https://arxiv.org/abs/2305.18290.
	Beta float64 `yaml:"beta"`
	// LabelSmoothing is the share of pairs assumed to be labelled the wrong
	// way round (cDPO); 0 trusts all labels, 0.5 none.
	LabelSmoothing float64 `yaml:"label_smoothing"`
	// NLL weighs the chosen answer's negative log-likelihood per token, added
	// to the loss (https://arxiv.org/abs/2407.21783, section 4.1.4: 0.2).
	NLL float64 `yaml:"nll"`
	// MaskFormat leaves header and termination tokens out of both answers in the
	// loss, the first change of that section; the NLL keeps them, so that the
	// model still learns to stop.
	MaskFormat bool `yaml:"mask_format"`
	// Ref is the reference: "init", the policy as loaded; "base", the model
	// without any adapter; or the folder of an adapter, run or checkpoint.
	Ref string `yaml:"ref"`
	// Loss is the name of a preference loss, or a weighted sum: "sigmoid:1,sft:0.2".
	// With kto and apo_zero_unpaired the pairs are single labelled answers.
	Loss string `yaml:"loss"`
	// DesirableWeight and UndesirableWeight weigh the two kinds of labelled
	// answers, λ_D and λ_U of https://arxiv.org/abs/2402.01306.
	DesirableWeight   float64 `yaml:"desirable_weight"`
	UndesirableWeight float64 `yaml:"undesirable_weight"`
	// SimPOGamma is the target margin of simpo, γ of https://arxiv.org/abs/2405.14734.
	SimPOGamma float64 `yaml:"simpo_gamma"`
	// CPOAlpha weighs the NLL inside cpo.
	CPOAlpha float64 `yaml:"cpo_alpha"`
	// DiscoPOPTau is the temperature of discopop, τ of https://arxiv.org/abs/2406.08414.
	DiscoPOPTau float64 `yaml:"discopop_tau"`
	// FDivergenceType is the divergence by which the reference is held to, one of
	// Divergences; FAlphaDivergenceCoef is α of alpha_divergence
	// (https://arxiv.org/abs/2309.16240).
	FDivergenceType      string  `yaml:"f_divergence_type"`
	FAlphaDivergenceCoef float64 `yaml:"f_alpha_divergence_coef"`
}

// DefaultConfig returns the defaults: those all methods share, with β of the
// paper, no dropout as in TRL, and the learning rate and warm-up that the
// alignment handbook and LLaMA-Factory agree on for LoRA.
func DefaultConfig() Config {
	s := train.DefaultSettings()
	s.LearningRate = 5e-6
	s.Warmup = 0.1
	s.Dropout = 0
	s.Best = "eval_rewards/accuracies"
	p := DefaultParams()
	return Config{
		Settings: s, Beta: p.Beta, Ref: "init", Loss: "sigmoid", DesirableWeight: p.DesirableWeight, UndesirableWeight: p.UndesirableWeight,
		SimPOGamma: p.SimPOGamma, CPOAlpha: p.CPOAlpha, DiscoPOPTau: p.DiscoPOPTau,
		FDivergenceType: p.FDivergenceType, FAlphaDivergenceCoef: p.FAlphaDivergenceCoef,
	}
}

// Measured are the metrics of an evaluation; those of one kind of labelled
// answers are there where some of the kind are held out.
func (c Config) Measured() []string {
	own := []string{"rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected"}
	own = append(own, c.likelihoodMetrics()...)
	if c.Unpaired() {
		own = append(own, "kl", "count/chosen", "count/rejected")
	}
	return train.EvalMetrics(own...)
}

// RefFolder is the folder that Ref names; "" where it is a word.
func (c Config) RefFolder() string {
	if c.Ref == "init" || c.Ref == "base" {
		return ""
	}
	return c.Ref
}

// Validate returns all faults of the config at once. The comparisons are
// written so that a NaN fails them.
func (c Config) Validate() error {
	errs := []error{c.Settings.Validate(), c.CheckBest(c.Measured())}
	if c.Pairs == "" {
		errs = append(errs, errors.New("pairs is missing: the file of preference pairs"))
	} else if _, err := datasets.ParseSources(c.Pairs); err != nil {
		errs = append(errs, fmt.Errorf("pairs: %w", err))
	}
	if !(c.Beta > 0) {
		errs = append(errs, fmt.Errorf("beta must be positive, got %v", c.Beta))
	}
	if !(c.LabelSmoothing >= 0 && c.LabelSmoothing <= 0.5) {
		errs = append(errs, fmt.Errorf("label_smoothing must lie in [0, 0.5], got %v", c.LabelSmoothing))
	}
	if !(c.NLL >= 0) {
		errs = append(errs, fmt.Errorf("nll must not be negative, got %v", c.NLL))
	}
	for _, x := range []struct {
		key   string
		value float64
	}{{"beta", c.Beta}, {"nll", c.NLL}} {
		if math.IsInf(x.value, 1) {
			errs = append(errs, fmt.Errorf("%s must be finite, got %v", x.key, x.value))
		}
	}
	if c.Ref == "" {
		errs = append(errs, errors.New("ref is empty: init, base or the folder of an adapter"))
	}
	errs = append(errs, c.checkLoss())
	return errors.Join(errs...)
}

func (c Config) checkLoss() error {
	loss, err := ParseWeighted(c.Loss)
	if err != nil {
		return err
	}
	p := c.Params()
	if !(p.Beta > 0) || !(p.LabelSmoothing >= 0 && p.LabelSmoothing <= 0.5) {
		p.Beta, p.LabelSmoothing = 1, 0.1 // told once, by Validate
	}
	errs := []error{loss.Validate(p), c.checkDivergence(loss)}
	if loss.Unpaired() && c.NLL > 0 {
		errs = append(errs, fmt.Errorf("nll is %v, but loss %s has no chosen answers: nll must be 0", c.NLL, c.Loss))
	}
	if loss.HasBaseline() && c.Batch*c.Accumulate < 2 {
		errs = append(errs, fmt.Errorf("loss %s needs at least 2 answers to a step for its baseline, got batch %d and accumulate %d", c.Loss, c.Batch, c.Accumulate))
	}
	return errors.Join(errs...)
}

// Unpaired says whether the run is on single labelled answers.
func (c Config) Unpaired() bool {
	loss, err := ParseWeighted(c.Loss)
	return err == nil && loss.Unpaired()
}

// Params are the constants of the losses.
func (c Config) Params() Params {
	return Params{
		Beta: c.Beta, LabelSmoothing: c.LabelSmoothing, SimPOGamma: c.SimPOGamma, CPOAlpha: c.CPOAlpha, DiscoPOPTau: c.DiscoPOPTau,
		FDivergenceType: c.FDivergenceType, FAlphaDivergenceCoef: c.FAlphaDivergenceCoef,
		DesirableWeight: c.DesirableWeight, UndesirableWeight: c.UndesirableWeight,
	}
}
