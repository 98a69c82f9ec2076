package foreign

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// sampledKeys are keys that TRL's GRPOConfig and RLOOConfig alone have.
var sampledKeys = []string{
	"num_generations", "num_iterations", "steps_per_generation", "generation_batch_size", "reward_funcs", "reward_model_name_or_path", "epsilon", "epsilon_high",
	"scale_rewards", "mask_truncated_completions", "use_bias_correction_kl", "use_vllm", "normalize_advantages", "reward_clip_range",
}

// rlooKeys are RLOOConfig's alone.
var rlooKeys = []string{"normalize_advantages", "reward_clip_range"}

// sampledRules are those of keys of the trainers that learn from answers of their
// own.
func sampledRules() map[string]rule {
	whole1 := "answers are drawn from all tokens by their probabilities"
	return map[string]rule{
		"num_generations": whole("k"), "num_iterations": whole("ppo_epochs"), "temperature": number("temperature"),
		"steps_per_generation": noted, "generation_batch_size": noted, // finishSampled reads them
		"epsilon": number("clip_range"), "epsilon_high": number("clip_range_high"), "delta": number("dual_clip"), "entropy_coef": number("entropy_coef"),
		"importance_sampling_level": text("importance_sampling_level"),
		"use_bias_correction_kl":    weighedKL,
		"reward_model_name_or_path": text("reward"),
		"reward_funcs":              without("use scorer: exact, regex:PATTERN, gsm8k, length or command:CMD, a program of your own"),
		"reward_weights":            without("there is one scorer: command:CMD can add several up"),
		"scale_rewards":             scaleRewards, "reward_clip_range": scoreClip,
		"normalize_advantages":       same("advantages of rloo are not normalised", "false"),
		"mask_truncated_completions": same("use missing_eos_penalty or overlong_buffer: an answer that was cut counts", "false"),
		"use_vllm":                   same("use generator: the URL of a vLLM server", "false"),
		"top_p":                      same(whole1, "1"), "top_k": same(whole1, "0", "-1"), "min_p": same(whole1, "0"), "repetition_penalty": same(whole1, "1"),
		"shuffle_dataset": ofMethod(shuffled, switched), // of the others it shuffles before the sampler does
	}
}

// ofMethod takes one rule for ppo and another for all others.
func ofMethod(sampled, other rule) rule {
	return func(c *Config, e entry) error {
		if c.Method == "ppo" {
			return sampled(c, e)
		}
		return other(c, e)
	}
}

// scaleRewards divides by the deviation of a prompt's answers, or not.
func scaleRewards(c *Config, e entry) error {
	switch plainText(e.value) {
	case "group", "true", "True":
		c.set("scale_rewards", "on", e)
	case "none", "false", "False":
		c.set("scale_rewards", "off", e)
	default:
		c.leave(e, "advantages are divided by the deviation of a prompt's answers, or by nothing")
	}
	return nil
}

// weighedKL multiplies the divergence in the loss by the ratio, or not.
func weighedKL(c *Config, e entry) error {
	on, err := truthOf(e.value)
	if err == nil {
		c.set("kl_in", map[bool]string{true: "ratio-loss", false: "loss"}[on], e)
	}
	return err
}

// scoreClip carries a range that is as wide below 0 as above.
func scoreClip(c *Config, e entry) error {
	if _, err := numberOf(e.value); err == nil { // RLOOConfig's up to 0.19
		return number("score_clip")(c, e)
	}
	list, _ := e.value.([]any)
	if len(list) != 2 {
		return fmt.Errorf("want two numbers, got %s", plainText(e.value))
	}
	low, errLow := numberOf(list[0])
	high, errHigh := numberOf(list[1])
	switch {
	case errLow != nil || errHigh != nil:
		return fmt.Errorf("want two numbers, got %s", plainText(e.value))
	case low != -high || high <= 0:
		c.leave(e, "score_clip is one bound in either direction")
		return nil
	}
	c.set("score_clip", formatNumber(high), e)
	return nil
}

// shuffled keeps the file's order where it is off.
func shuffled(c *Config, e entry) error {
	on, err := truthOf(e.value)
	if err == nil && !on {
		c.set("order", "sequential", e)
	}
	return err
}

// sampledMeans are GRPOConfig's losses that differ in what they are a mean over.
var sampledMeans = map[string]string{"dapo": "token", "bnpo": "token", "grpo": "sequence", "dr_grpo": "constant"}

// sampledLoss carries over what the loss is a mean over. bnpo's is of the tokens of a
// micro-batch, ours of the step's.
func sampledLoss(c *Config, e entry) error {
	name := plainText(e.value)
	mean, ok := sampledMeans[name]
	if !ok {
		c.leave(e, "there is no loss %s here: loss_mean takes token (dapo), sequence (grpo) or constant (dr_grpo)", name)
		return nil
	}
	c.set("loss_mean", mean, e)
	return nil
}

// finishSampled sets the defaults of GRPOConfig and RLOOConfig (TRL 1.16,
// trainer/grpo_config.py, rloo_config.py) and turns the sizes of batches into
// those of rollouts. TRL puts no bound on scores and takes nothing off answers
// that were cut.
func (c *Config) finishSampled(entries []entry) {
	defaults := [][2]string{{"algorithm", "grpo"}, {"k", "8"}, {"kl_coef", "0"}, {"kl_in", "ratio-loss"}}
	if hasAny(entries, rlooKeys...) {
		defaults = [][2]string{{"algorithm", "rloo"}, {"k", "2"}, {"kl_coef", "0.05"}, {"kl_in", "reward"}, {"importance_sampling_level", "sequence-sum"}, {"loss_mean", "sequence"}}
	}
	defaults = append(defaults, [][2]string{
		{"max_new", "512"}, {"ppo_epochs", "1"}, {"clip_range", "0.2"}, {"learning_rate", "1e-06"}, {"score_clip", "0"}, {"missing_eos_penalty", "0"},
	}...)
	for _, v := range defaults {
		c.fallback(v[0], v[1])
	}
	c.rollouts(entries)
}

// rollouts: TRL counts answers. It draws batch * steps_per_generation of them,
// gradient_accumulation_steps where that is not given, and makes an optimizer step
// of batch * gradient_accumulation_steps (grpo_config.py, __post_init__, for one
// process).
func (c *Config) rollouts(entries []entry) {
	batch, accumulate, k := c.count("batch"), c.count("accumulate"), c.count("k")
	c.Values = slices.DeleteFunc(c.Values, func(v Value) bool { return v.Key == "accumulate" })
	perGeneration, named := accumulate, entry{key: "gradient_accumulation_steps"}
	for _, e := range entries {
		x, err := numberOf(e.value)
		switch {
		case err != nil || x < 1:
		case e.key == "steps_per_generation":
			perGeneration, named = int(x), e
		case e.key == "generation_batch_size" && batch > 0:
			perGeneration, named = int(x)/batch, e
		}
	}
	answers := batch * perGeneration
	if accumulate < 1 || k < 1 || perGeneration%accumulate != 0 || answers%k != 0 || answers == 0 {
		c.leave(named, "%d answers to a rollout in %d steps do not go into %d to a prompt: set rollout (prompts) and mini_batches", answers, max(perGeneration, 0), k)
		return
	}
	c.put(Value{"rollout", strconv.Itoa(answers / k), named.key, named.line})
	c.put(Value{"mini_batches", strconv.Itoa(perGeneration / accumulate), named.key, named.line})
}

// count is a setting of ours as a whole number, 0 where it is none.
func (c *Config) count(key string) int {
	n, err := strconv.Atoi(strings.TrimSpace(c.textOf(key)))
	if err != nil {
		return 0
	}
	return n
}
