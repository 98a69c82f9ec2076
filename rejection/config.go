package rejection

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"align/datasets"
	"align/internal/host"
	"align/internal/rollout"
	"align/internal/score"
	"align/model"
)

// Config is everything that a rejection sampling job is asked to do.
type Config struct {
	// Model names the base model, Quantize how its linear weights are held;
	// Adapter is the adapter, run or checkpoint to sample from; "" samples from
	// the base.
	Model    string `yaml:"model"`
	Quantize string `yaml:"quantize,omitempty"`
	Adapter  string `yaml:"adapter,omitempty"`
	// Prompts is the file of prompts, Out the folder to write.
	Prompts string `yaml:"prompts"`
	Out     string `yaml:"out,omitempty"`
	// Reward is a reward model's run or folder; Scorer is a rule in its place:
	// exact, regex:PATTERN, length, length:N, gsm8k or command:CMD.
	Reward string `yaml:"reward,omitempty"`
	Scorer string `yaml:"scorer,omitempty"`

	// Generator is the address of a server that draws the answers in place of
	// this process.
	Generator string `yaml:"generator,omitempty"`

	// K is the number of answers to each prompt.
	K           int     `yaml:"k"`
	MaxNew      int     `yaml:"max_new"`
	Temperature float64 `yaml:"temperature"`
	TopP        float64 `yaml:"top_p"`
	TopK        int     `yaml:"top_k"`
	MinP        float64 `yaml:"min_p"`
	Seed        uint64  `yaml:"seed"`
	// Sequences is how many answers are drawn at once.
	Sequences int `yaml:"sequences"`

	// Pairs says what stands against the best answer: worst, or random, one of
	// those that score lower by MinMargin.
	Pairs     string  `yaml:"rejected"`
	MinMargin float64 `yaml:"min_margin"`
	// Ties says which of answers with equal scores is the best or the worst: the
	// first, which is a plain sample, or the likeliest under what sampled them,
	// which makes the policy surer of what it gets right. A rule's scores are
	// mostly equal.
	Ties string `yaml:"ties"`
	// Similar is the likeness of two answers, from 0 to 1, from which on they
	// make no pair.
	Similar float64 `yaml:"similar"`

	// Shard is "i/n": the i-th of n parts of the prompts; "" is all.
	Shard  string `yaml:"shard,omitempty"`
	Resume bool   `yaml:"-"`

	// Map names foreign columns: "prompt=question".
	Map      string `yaml:"map,omitempty"`
	Template string `yaml:"template"`
	Threads  int    `yaml:"threads,omitempty"`
	Device   string `yaml:"device"`
	// Memory is the most that is used of a card, as "24GiB"; "" is all.
	Memory    string `yaml:"memory,omitempty"`
	Precision string `yaml:"precision"`
}

// What stands against the best answer of a pair.
const (
	PairsWorst  = "worst"
	PairsRandom = "random"
)

// Which of answers with equal scores is taken.
const (
	TiesFirst     = "first"
	TiesLikeliest = "likeliest"
)

// DefaultConfig returns the defaults: K = 10, as at the low end of
// https://arxiv.org/abs/2407.21783, section 4.2.2, and plain sampling.
func DefaultConfig() Config {
	return Config{
		K: 10, MaxNew: 512, Temperature: 1, TopP: 1, Seed: 42, Sequences: 16,
		Pairs: PairsWorst, Ties: TiesFirst, Similar: 0.95, Template: "auto", Device: "auto", Precision: "auto",
	}
}

// Validate returns all faults of the config at once. The comparisons are
// written so that a NaN fails them.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Model != "", "model is missing: the folder of a Llama model")
	check(c.Prompts != "", "prompts is missing: the file of prompts")
	check(c.Reward != "" || c.Scorer != "", "reward is missing: a reward model, or scorer: a rule")
	check(c.Reward == "" || c.Scorer == "", "reward (%q) and scorer (%q) both score: name one", c.Reward, c.Scorer)
	check(c.K >= 2, "k must be at least 2: the best of fewer is no choice, got %d", c.K)
	check(c.K <= rollout.MaxSamples, "k must be at most %d, got %d", rollout.MaxSamples, c.K)
	check(c.MaxNew >= 1, "max_new must be at least 1, got %d", c.MaxNew)
	check(c.Sequences >= 1 && c.Sequences <= rollout.MaxSamples, "sequences must lie in [1, %d], got %d", rollout.MaxSamples, c.Sequences)
	check(c.Temperature > 0, "temperature must be positive: at 0 all %d answers are the same, got %v", c.K, c.Temperature)
	check(slices.Contains([]string{"auto", "f32", "bf16"}, c.Precision), "precision must be one of auto, f32, bf16, got %q", c.Precision)
	check(c.Threads >= 0, "threads must be at least 0, got %d", c.Threads)
	_, wrongShard := parseShard(c.Shard)
	_, wrongMap := datasets.ParseMapping(c.Map)
	_, wrongSize := host.ParseSize(c.Memory)
	return errors.Join(append(errs, c.validateChoice(), c.sampling().Validate(), model.CheckQuantize(c.Quantize), wrongShard, wrongMap, wrongSize,
		host.CheckDevice(c.Device), score.Check(c.Scorer), rollout.CheckAddress(c.Generator))...)
}

// validateChoice returns the faults of what chooses among samples that are
// there, which is all that a merge does.
func (c Config) validateChoice() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(slices.Contains([]string{PairsWorst, PairsRandom}, c.Pairs), "rejected must be one of worst, random, got %q", c.Pairs)
	check(slices.Contains([]string{TiesFirst, TiesLikeliest}, c.Ties), "ties must be one of first, likeliest, got %q", c.Ties)
	check(c.MinMargin >= 0 && c.MinMargin <= math.MaxFloat64, "min_margin must be finite and not negative, got %v", c.MinMargin)
	check(c.Similar > 0 && c.Similar <= 1, "similar must lie in (0, 1], got %v", c.Similar)
	return errors.Join(errs...)
}

func (c Config) sampling() rollout.Sampling {
	return rollout.Sampling{Temperature: c.Temperature, TopK: c.TopK, TopP: c.TopP, MinP: c.MinP, RepetitionPenalty: 1}
}

// Whole says whether the draws are of the policy's whole distribution, nothing
// cut off.
func (c Config) Whole() bool { return c.TopP == 1 && c.TopK == 0 && c.MinP == 0 }

// Shard is part Index of Count, counted from 0.
type Shard struct{ Index, Count int }

// String is "i/n", counted from 1.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index+1, s.Count) }

func parseShard(s string) (Shard, error) {
	if s == "" {
		return Shard{0, 1}, nil
	}
	var i, n int
	if k, _ := fmt.Sscanf(s, "%d/%d", &i, &n); k != 2 || i < 1 || n < i || strings.TrimSpace(s) != fmt.Sprintf("%d/%d", i, n) {
		return Shard{}, fmt.Errorf("shard %q: want i/n with 1 <= i <= n", s)
	}
	return Shard{i - 1, n}, nil
}
