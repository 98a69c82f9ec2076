package sft

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
		{"the defaults with data", func(*Config) {}, ""},
		{"the mean over examples", func(c *Config) { c.LossMean = "sequence" }, ""},
		{"no data", func(c *Config) { c.Data = "" }, "data is missing"},
		{"another mean", func(c *Config) { c.LossMean = "" }, `loss_mean must be one of token, sequence, got ""`},
		{"AdamW's constants", func(c *Config) { c.AdamBeta1, c.AdamBeta2, c.AdamEpsilon = 0, 0.95, 1e-5 }, ""},
		{"a first moment that never moves", func(c *Config) { c.AdamBeta1 = 1 }, "adam_beta1 must lie in [0, 1), got 1"},
		{"a second moment of no number", func(c *Config) { c.AdamBeta2 = math.NaN() }, "adam_beta2 must lie in [0, 1), got NaN"},
		{"no epsilon", func(c *Config) { c.AdamEpsilon = 0 }, "adam_epsilon must lie in"},
		{"a schedule with settings", func(c *Config) { c.Schedule, c.MinLRRate, c.Power = "polynomial", 0.1, 2 }, ""},
		{"an unknown schedule", func(c *Config) { c.Schedule = "cubic" }, `schedule must be one of constant, linear, cosine, cosine_with_min_lr, `},
		{"a schedule's setting beside another", func(c *Config) { c.MinLRRate = 0.1 }, "min_lr_rate: 0.1 has no effect with the schedule cosine: it is of cosine_with_min_lr, polynomial, warmup_stable_decay"},
		{"a least rate that is none", func(c *Config) { c.Schedule = "cosine_with_min_lr" }, "schedule cosine_with_min_lr takes min_lr_rate"},
		{"no cycles", func(c *Config) { c.Schedule, c.NumCycles = "cosine_with_restarts", 0 }, "num_cycles must be at least 1, got 0"},
		{"a metric that there is", func(c *Config) { c.Best = "eval_entropy" }, ""},
		{"a metric of another tool", func(c *Config) { c.Best = "loss" }, `best is "loss", which is not measured: did you mean eval_loss`},
		{"a metric of another method", func(c *Config) { c.Best = "eval_accuracy" }, `best is "eval_accuracy", which is not measured: want one of eval_loss, eval_entropy, eval_mean_token_accuracy`},
		{"loss on all", func(c *Config) { c.LossOn = "all" }, ""},
		{"loss on prompts", func(c *Config) { c.LossOn = "prompt" }, `loss_on must be one of assistant, completion, all, got "prompt"`},
		{"dynamic fine-tuning", func(c *Config) { c.Loss = "dft" }, ""},
		{"a loss of dpo", func(c *Config) { c.Loss = "sigmoid" }, `loss must be one of nll, dft, got "sigmoid"`},
		{"noise", func(c *Config) { c.NEFTuneNoiseAlpha = 5 }, ""},
		{"noise of no number", func(c *Config) { c.NEFTuneNoiseAlpha = math.NaN() }, "neftune_noise_alpha must lie in [0, 1000], got NaN"},
		{"a shared setting", func(c *Config) { c.Warmup = -1 }, "warmup must lie in"},
	} {
		c := DefaultConfig()
		c.Data = "data.jsonl"
		tc.change(&c)
		err := c.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}
