package ppo

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"align/internal/rollout"
	"align/internal/score"
	"align/internal/train"
)

// Algorithms: they differ in the baseline alone.
const (
	PPO  = "ppo"  // a critic, generalised advantage estimation
	RLOO = "rloo" // the mean of the prompt's other answers (https://arxiv.org/abs/2402.14740)
	GRPO = "grpo" // the mean of the prompt's answers (https://arxiv.org/abs/2402.03300)
)

// Levels of importance sampling.
const (
	TokenLevel       = "token"
	SequenceLevel    = "sequence"
	SequenceSumLevel = "sequence-sum"
)

// Config is everything that a run is asked to do. Batch of the settings is the
// number of answers of a micro-batch, Epochs counts passes over the prompts,
// and Steps optimizer steps.
type Config struct {
	train.Settings `yaml:",inline"`
	// Prompts is the file of prompts.
	Prompts string `yaml:"prompts"`
	// Reward is a reward model's run or folder; Scorer is a rule in its place.
	Reward string `yaml:"reward,omitempty"`
	Scorer string `yaml:"scorer,omitempty"`
	// Generator is the address of a server that draws the answers in place of
	// this process; it is given the policy before each rollout.
	Generator string `yaml:"generator,omitempty"`
	// Algorithm is ppo, rloo or grpo.
	Algorithm string `yaml:"algorithm"`

	// Rollout is the number of prompts of a rollout, K of answers to each.
	Rollout     int     `yaml:"rollout"`
	K           int     `yaml:"k"`
	MaxNew      int     `yaml:"max_new"`
	Temperature float64 `yaml:"temperature"`
	// Sequences is how many answers are drawn at once.
	Sequences int `yaml:"sequences"`

	// PPOEpochs is how often a rollout is gone through, MiniBatches into how
	// many optimizer steps each time.
	PPOEpochs   int `yaml:"ppo_epochs"`
	MiniBatches int `yaml:"mini_batches"`

	// KLCoef weighs the divergence from the reference, estimated by
	// KLEstimator (k1, k2, k3), in the rewards; with KLIn loss it is a term of
	// the loss instead, always k3 (GRPO's paper has it so), and with ratio-loss
	// that term times the ratio.
	KLCoef      float64 `yaml:"kl_coef"`
	KLEstimator string  `yaml:"kl_estimator"`
	KLIn        string  `yaml:"kl_in"`
	// KLTarget, in nats per answer, makes the coefficient adaptive; 0 fixes it.
	KLTarget  float64 `yaml:"kl_target"`
	KLHorizon float64 `yaml:"kl_horizon"`
	// StopKL ends a rollout's epochs early once a mini-batch's policy is this
	// many nats per token from the one that sampled; 0 never does.
	StopKL float64 `yaml:"stop_kl"`

	// ImportanceSamplingLevel is token, where each token has its own ratio, or
	// sequence, where the tokens of an answer have the answer's (GSPO,
	// https://arxiv.org/abs/2507.18071), for which ClipRange is 3e-4, and
	// ClipRangeHigh 4e-4, in its paper. With sequence-sum the ratio is the product of
	// the tokens', and an answer's loss counts once, as in TRL's RLOO.
	ImportanceSamplingLevel string `yaml:"importance_sampling_level"`
	// LossMean says what the loss of a step is a mean over: token, all tokens of its
	// answers alike (DAPO, https://arxiv.org/abs/2503.14476); sequence, the answers
	// alike, each of them the mean of its tokens (GRPO); constant, the answers alike,
	// each of them the sum of its tokens over MaxNew (Dr. GRPO,
	// https://arxiv.org/abs/2503.20783).
	LossMean  string  `yaml:"loss_mean"`
	ClipRange float64 `yaml:"clip_range"`
	// ClipRangeHigh is the range above 1 (https://arxiv.org/abs/2503.14476, section
	// 3.1: 0.28 beside 0.2 below); 0 is ClipRange.
	ClipRangeHigh  float64 `yaml:"clip_range_high"`
	DualClip       float64 `yaml:"dual_clip"`
	ValueClipRange float64 `yaml:"value_clip_range"`
	VFCoef         float64 `yaml:"vf_coef"`
	EntropyCoef    float64 `yaml:"entropy_coef"`
	Gamma          float64 `yaml:"gamma"`
	Lambda         float64 `yaml:"lambda"`
	// CriticLearningRate is the critic's, as a multiple of the policy's.
	CriticLearningRate float64 `yaml:"critic_learning_rate"`

	// WhitenRewards scales the tokens' rewards to variance 1, WhitenAdvantages
	// the advantages to mean 0 too (ppo only).
	WhitenRewards    bool `yaml:"whiten_rewards"`
	WhitenAdvantages bool `yaml:"whiten_advantages"`
	// ScaleRewards divides a group's advantages by its standard deviation
	// (grpo only).
	ScaleRewards bool `yaml:"scale_rewards"`
	// NormaliseScores takes the running mean and deviation out of the scores;
	// ScoreClip then holds them to plus or minus itself; 0 is off.
	NormaliseScores bool    `yaml:"normalise_scores"`
	ScoreClip       float64 `yaml:"score_clip"`
	// MissingEOSPenalty is taken off the score of an answer that did not end
	// by itself.
	MissingEOSPenalty float64 `yaml:"missing_eos_penalty"`
	// OverlongBuffer is the number of tokens before MaxNew over which an answer
	// loses up to OverlongFactor (https://arxiv.org/abs/2503.14476); 0 is off.
	OverlongBuffer int     `yaml:"overlong_buffer"`
	OverlongFactor float64 `yaml:"overlong_factor"`
}

// DefaultConfig returns the defaults: TRL's, with LoRA's learning rate, and the
// answers of full length that its toy values leave out.
func DefaultConfig() Config {
	s := train.DefaultSettings()
	s.LearningRate = 1e-5
	s.Schedule = "linear"
	s.Dropout = 0
	s.EvalFraction = 0
	s.Best = ""
	return Config{
		Settings: s, Algorithm: PPO,
		Rollout: 64, K: 1, MaxNew: 256, Temperature: 1, Sequences: 16, PPOEpochs: 4, MiniBatches: 1,
		KLCoef: 0.05, KLEstimator: "k1", KLIn: "reward", KLHorizon: 10000,
		ImportanceSamplingLevel: TokenLevel, LossMean: MeanToken, ClipRange: 0.2, ValueClipRange: 0.2, VFCoef: 0.1, Gamma: 1, Lambda: 0.95, CriticLearningRate: 1,
		WhitenAdvantages: true, ScaleRewards: true, ScoreClip: 10, MissingEOSPenalty: 1, OverlongFactor: 1,
	}
}

// Validate returns all faults of the config at once. The comparisons are
// written so that a NaN fails them.
func (c Config) Validate() error {
	errs := []error{c.Settings.Validate()}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Prompts != "", "prompts is missing: the file of prompts")
	check(c.Reward != "" || c.Scorer != "", "reward is missing: a reward model, or scorer: a rule")
	check(c.Reward == "" || c.Scorer == "", "reward (%q) and scorer (%q) both score: name one", c.Reward, c.Scorer)
	errs = append(errs, score.Check(c.Scorer), rollout.CheckAddress(c.Generator))
	c.choices(check)
	c.withoutEffect(check)
	check(!slices.Contains([]string{RLOO, GRPO}, c.Algorithm) || c.K >= 2, "k must be at least 2 with %s: the other answers are its baseline, got %d", c.Algorithm, c.K)
	check(c.Temperature > 0 && c.Temperature <= math.MaxFloat64, "temperature must be positive, got %v", c.Temperature)
	for _, p := range []struct {
		name string
		n    int
	}{{"rollout", c.Rollout}, {"k", c.K}, {"max_new", c.MaxNew}, {"sequences", c.Sequences}, {"ppo_epochs", c.PPOEpochs}, {"mini_batches", c.MiniBatches}} {
		check(p.n >= 1, "%s must be at least 1, got %d", p.name, p.n)
	}
	check(c.K <= rollout.MaxSamples, "k must be at most %d, got %d", rollout.MaxSamples, c.K)
	check(c.Sequences <= rollout.MaxSamples, "sequences must be at most %d, got %d", rollout.MaxSamples, c.Sequences)
	for _, p := range []struct {
		name string
		x    float64
	}{
		{"kl_coef", c.KLCoef}, {"kl_target", c.KLTarget}, {"stop_kl", c.StopKL}, {"vf_coef", c.VFCoef}, {"entropy_coef", c.EntropyCoef},
		{"critic_learning_rate", c.CriticLearningRate}, {"score_clip", c.ScoreClip}, {"missing_eos_penalty", c.MissingEOSPenalty}, {"overlong_factor", c.OverlongFactor},
	} {
		check(p.x >= 0 && p.x <= math.MaxFloat64, "%s must be finite and not negative, got %v", p.name, p.x)
	}
	check(c.KLHorizon > 0, "kl_horizon must be positive, got %v", c.KLHorizon)
	check(c.ClipRange > 0 && c.ClipRange < 1, "clip_range must lie in (0, 1), got %v", c.ClipRange)
	check(c.ClipRangeHigh >= 0 && c.ClipRangeHigh <= math.MaxFloat64, "clip_range_high must be finite and not negative, got %v", c.ClipRangeHigh)
	check(c.ValueClipRange > 0, "value_clip_range must be positive, got %v", c.ValueClipRange)
	check(c.DualClip == 0 || c.DualClip > 1+c.clipRange().high, "dual_clip must be 0 or more than 1 + clip_range (or clip_range_high), got %v", c.DualClip)
	check(c.Gamma >= 0 && c.Gamma <= 1, "gamma must lie in [0, 1], got %v", c.Gamma)
	check(c.Lambda >= 0 && c.Lambda <= 1, "lambda must lie in [0, 1], got %v", c.Lambda)
	check(c.OverlongBuffer >= 0 && c.OverlongBuffer <= c.MaxNew, "overlong_buffer must lie in [0, max_new], got %d", c.OverlongBuffer)
	return errors.Join(errs...)
}

// Unused are the shared settings that have no effect here, or one value alone.
func Unused() []string {
	return []string{"full", "init_special", "dropout", "accumulate", "eval", "eval_fraction", "eval_every", "best", "early_stop", "source_epochs"}
}

// withoutEffect refuses settings that other methods have: every rollout is
// scored before it is learnt from, and policy and critic share one base.
func (c Config) withoutEffect(check func(ok bool, format string, args ...any)) {
	check(c.Eval == "" && c.EvalFraction == 0, "eval (%q) and eval_fraction (%v) have no effect here: every rollout is scored before it is learnt from", c.Eval, c.EvalFraction)
	check(c.Best == "", "best (%q) has no effect here: nothing is held out to rank checkpoints by", c.Best)
	check(!c.Full, "full: the policy is trained as an adapter, so that its reference is the same base")
	check(c.SourceEpochs == DefaultConfig().SourceEpochs, "source_epochs (%v) has no effect here: the prompts are one file", c.SourceEpochs)
	check(c.Dropout == 0, "dropout must be 0: the policy that learns must be the one that sampled, got %v", c.Dropout)
	check(c.Accumulate == 1, "accumulate must be 1: mini_batches says how a rollout is cut into steps, got %d", c.Accumulate)
	check(c.InitSpecial == "", "init_special: ppo starts from a policy that has learned its special tokens: start them in sft")
}

func (c Config) choices(check func(ok bool, format string, args ...any)) {
	for _, o := range []struct {
		name, value string
		of          []string
	}{
		{"algorithm", c.Algorithm, []string{PPO, RLOO, GRPO}},
		{"kl_estimator", c.KLEstimator, []string{"k1", "k2", "k3"}},
		{"importance_sampling_level", c.ImportanceSamplingLevel, []string{TokenLevel, SequenceLevel, SequenceSumLevel}},
		{"loss_mean", c.LossMean, []string{MeanToken, MeanSequence, MeanConstant}},
		{"kl_in", c.KLIn, []string{"reward", "loss", "ratio-loss"}},
	} {
		check(slices.Contains(o.of, o.value), "%s must be one of %s, got %q", o.name, strings.Join(o.of, ", "), o.value)
	}
}

func (c Config) sampling() rollout.Sampling {
	return rollout.Sampling{Temperature: c.Temperature, TopP: 1, RepetitionPenalty: 1}
}

// StepsOf is the number of optimizer steps of so many passes over so many prompts, where
// no rollout ends early by StopKL. The last rollout of a pass has the prompts that are
// left, and no mini-batch of it is empty.
func (c Config) StepsOf(prompts int, epochs float64) int {
	perPass := (prompts + c.Rollout - 1) / c.Rollout
	rollouts := max(1, int(math.Ceil(epochs*float64(perPass))))
	last := rollouts / perPass
	left := prompts - (perPass-1)*c.Rollout
	return c.PPOEpochs * ((rollouts-last)*min(c.MiniBatches, c.Rollout*c.K) + last*min(c.MiniBatches, left*c.K))
}
