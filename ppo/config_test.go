package ppo

import (
	"math"
	"strings"
	"testing"

	"align/datasets"
)

func TestConfigValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string // "" means valid
	}{
		{"the defaults with prompts and a scorer", func(*Config) {}, ""},
		{"no prompts", func(c *Config) { c.Prompts = "" }, "prompts is missing"},
		{"no scorer", func(c *Config) { c.Scorer = "" }, "reward is missing: a reward model, or scorer: a rule"},
		{"two scorers", func(c *Config) { c.Reward = "r" }, "both score: name one"},
		{"algorithm", func(c *Config) { c.Algorithm = "x" }, `algorithm must be one of ppo, rloo, grpo, got "x"`},
		{"the level of the ratio", func(c *Config) { c.ImportanceSamplingLevel = "answer" }, `importance_sampling_level must be one of token, sequence, sequence-sum, got "answer"`},
		{"ratios of answers", func(c *Config) { c.ImportanceSamplingLevel = SequenceLevel }, ""},
		{"a group of one", func(c *Config) { c.Algorithm = RLOO }, "k must be at least 2 with rloo"},
		{"a group of two", func(c *Config) { c.Algorithm, c.K = RLOO, 2 }, ""},
		{"dropout", func(c *Config) { c.Dropout = 0.1 }, "dropout must be 0"},
		{"accumulation", func(c *Config) { c.Accumulate = 2 }, "accumulate must be 1"},
		{"greedy", func(c *Config) { c.Temperature = 0 }, "temperature must be positive"},
		{"estimator", func(c *Config) { c.KLEstimator = "k4" }, "kl_estimator must be one of"},
		{"kl_in", func(c *Config) { c.KLIn = "x" }, "kl_in must be one of"},
		{"kl NaN", func(c *Config) { c.KLCoef = math.NaN() }, "kl_coef must be finite"},
		{"clip range", func(c *Config) { c.ClipRange = 1 }, "clip_range must lie in (0, 1)"},
		{"clip range above", func(c *Config) { c.ClipRangeHigh = -1 }, "clip_range_high must be finite and not negative, got -1"},
		{"dual clip below the range above", func(c *Config) { c.ClipRangeHigh, c.DualClip = 3, 2 }, "dual_clip must be 0 or more than 1 + clip_range"},
		{"dual clip", func(c *Config) { c.DualClip = 1.1 }, "dual_clip must be 0 or more than 1 + clip_range"},
		{"gamma", func(c *Config) { c.Gamma = 1.1 }, "gamma must lie in [0, 1]"},
		{"lambda", func(c *Config) { c.Lambda = -1 }, "lambda must lie in [0, 1]"},
		{"buffer", func(c *Config) { c.OverlongBuffer = 1000 }, "overlong_buffer must lie in [0, max_new]"},
		{"rollout", func(c *Config) { c.Rollout = 0 }, "rollout must be at least 1"},
		{"sequences", func(c *Config) { c.Sequences = 1e11 }, "sequences must be at most 65536"},
		{"a shared setting", func(c *Config) { c.Batch = 0 }, "batch must be at least 1, got 0"},
	} {
		c := DefaultConfig()
		c.Prompts, c.Scorer = "prompts.jsonl", "length"
		tc.change(&c)
		err := c.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}

// The steps of so many passes are those that the rollouts come to, the small ones too.
func TestStepsOf(t *testing.T) {
	c := DefaultConfig()
	for _, c.MiniBatches = range []int{1, 2, 4} {
		for _, prompts := range []int{1, 4, 5, 6, 11} {
			for _, epochs := range []float64{0.1, 1, 1.4, 2, 3} {
				for _, c.K = range []int{1, 3} {
					c.Rollout, c.PPOEpochs = 4, 3
					order, err := datasets.NewOrder(prompts, c.Rollout, true, 1)
					if err != nil {
						t.Fatal(err)
					}
					want := 0
					for range order.Steps(epochs) {
						want += c.PPOEpochs * min(c.MiniBatches, len(order.Next())*c.K)
					}
					if got := c.StepsOf(prompts, epochs); got != want {
						t.Errorf("%v passes over %d prompts, k %d, %d mini-batches: %d steps, the rollouts come to %d", epochs, prompts, c.K, c.MiniBatches, got, want)
					}
				}
			}
		}
	}
}
