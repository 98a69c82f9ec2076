package dpo

import (
	"math"
	"strings"
	"testing"
)

func TestConfigValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string // "" means valid
	}{
		{"the defaults with pairs", func(*Config) {}, ""},
		{"no pairs", func(c *Config) { c.Pairs = "" }, "pairs is missing"},
		{"beta zero", func(c *Config) { c.Beta = 0 }, "beta must be positive, got 0"},
		{"a fault is told once", func(c *Config) { c.Beta, c.LabelSmoothing, c.Loss = -1, 2, "robust,discopop"; c.DiscoPOPTau = 0 }, "beta must be positive, got -1\nlabel_smoothing must lie in [0, 0.5], got 2\ndpo: discopop: discopop_tau must lie"},
		{"beta infinite", func(c *Config) { c.Beta = math.Inf(1) }, "beta must be finite, got +Inf"},
		{"nll infinite", func(c *Config) { c.NLL = math.Inf(1) }, "nll must be finite, got +Inf"},
		{"beta NaN", func(c *Config) { c.Beta = math.NaN() }, "beta must be positive, got NaN"},
		{"half the labels wrong", func(c *Config) { c.LabelSmoothing = 0.5 }, ""},
		{"more than half", func(c *Config) { c.LabelSmoothing = 0.6 }, "label_smoothing must lie in [0, 0.5], got 0.6"},
		{"negative NLL", func(c *Config) { c.NLL = -1 }, "nll must not be negative, got -1"},
		{"no reference", func(c *Config) { c.Ref = "" }, "ref is empty"},
		{"a margin below zero", func(c *Config) { c.Loss, c.SimPOGamma = "simpo", -1 }, "simpo_gamma must not be negative, got -1"},
		{"a weight that is no number", func(c *Config) { c.Loss, c.CPOAlpha = "cpo", math.NaN() }, "cpo_alpha must not be negative, got NaN"},
		{"no temperature", func(c *Config) { c.Loss, c.DiscoPOPTau = "discopop", 0 }, "discopop_tau must lie in (0, 1], got 0"},
		{"another divergence", func(c *Config) { c.FDivergenceType = JSDivergence }, ""},
		{"of a sum with a likelihood", func(c *Config) { c.FDivergenceType, c.Loss = ForwardKL, "ipo,sft:0.2" }, ""},
		{"no divergence", func(c *Config) { c.FDivergenceType = "kl" }, `f_divergence_type must be one of reverse_kl, forward_kl, js_divergence, alpha_divergence, got "kl"`},
		{"a divergence for one of two", func(c *Config) { c.FDivergenceType, c.Loss = ForwardKL, "sigmoid,nca_pair" }, "f_divergence_type forward_kl is not for the loss nca_pair: it is of sigmoid, robust, hinge, ipo, ipo_sum, sigmoid_norm, exo_pair, discopop"},
		{"an exponent that is no number", func(c *Config) { c.FAlphaDivergenceCoef = math.NaN() }, "f_alpha_divergence_coef must lie in [-10, 10], got NaN"},
		{"optimal transport", func(c *Config) { c.Loss = "aot_pair" }, "it sorts the rewards of a micro-batch"},
		{"another loss", func(c *Config) { c.Loss = "x" }, `loss "x" is unknown`},
		{"a shared setting", func(c *Config) { c.Batch = 0 }, "batch must be at least 1, got 0"},
	} {
		c := DefaultConfig()
		c.Pairs = "pairs.jsonl"
		tc.change(&c)
		err := c.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}
