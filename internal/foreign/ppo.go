package foreign

import (
	"math"
	"slices"
	"strconv"
)

// ppoKeys are keys that TRL's PPOConfig alone has, and RLOOConfig up to 0.19, which
// shares them (trl/trainer/utils.py, OnPolicyConfig).
var ppoKeys = []string{
	"num_ppo_epochs", "num_mini_batches", "kl_coef", "kl_estimator", "cliprange", "cliprange_value", "vf_coef", "lam", "whiten_rewards",
	"missing_eos_penalty", "response_length", "total_episodes", "rloo_k",
}

// ppoRules are those of the two.
func ppoRules() map[string]rule {
	return map[string]rule{
		"num_ppo_epochs": whole("ppo_epochs"), "num_mini_batches": whole("mini_batches"), "rloo_k": whole("k"),
		"kl_coef": number("kl_coef"), "kl_estimator": text("kl_estimator"),
		"cliprange": number("clip_range"), "cliprange_value": number("value_clip_range"), "vf_coef": number("vf_coef"),
		"gamma": number("gamma"), "lam": number("lambda"), "whiten_rewards": truth("whiten_rewards"),
		"missing_eos_penalty": number("missing_eos_penalty"), "response_length": whole("max_new"),
		"total_episodes":    noted, // finishPPO reads it
		"reward_model_path": text("reward"), "sft_model_path": without("the policy starts from model and adapter"),
		"stop_token":    same("answers end at the template's stop tokens", "eos"),
		"stop_token_id": without("answers end at the template's stop tokens"),
		// Sizes of forward passes, and samples that are printed.
		"local_rollout_forward_batch_size": noted, "num_sample_generations": noted,
		"token_level_kl": same("the divergence counts in an answer's sum", "false"), "normalize_reward": same("use normalise_scores, by a running mean", "false"),
		"normalize_advantage": same("advantages of rloo are not normalised", "false"),
	}
}

// finishPPO sets the defaults of PPOConfig, and of RLOOConfig with rloo_k, in TRL
// 0.19.1, whose loops clip no gradient. An update is of batch *
// gradient_accumulation_steps answers.
func (c *Config) finishPPO(entries []entry) {
	defaults := [][2]string{{"algorithm", "ppo"}, {"k", "1"}, {"score_clip", "0"}}
	if hasAny(entries, "rloo_k") {
		defaults = [][2]string{{"algorithm", "rloo"}, {"score_clip", "10"}, {"importance_sampling_level", "sequence-sum"}, {"loss_mean", "sequence"}}
	}
	defaults = append(defaults, [][2]string{
		{"max_new", "53"}, {"temperature", "0.7"}, {"ppo_epochs", "4"}, {"mini_batches", "1"}, {"kl_coef", "0.05"}, {"kl_in", "reward"},
		{"clip_range", "0.2"}, {"learning_rate", "5e-05"}, {"missing_eos_penalty", "0"},
	}...)
	for _, v := range defaults {
		c.fallback(v[0], v[1])
	}
	if !hasAny(entries, "max_grad_norm") {
		c.put(Value{Key: "clip", Text: "0"})
	}
	c.episodes(entries)
}

// episodes turns numbers of answers into prompts of a rollout and optimizer steps.
func (c *Config) episodes(entries []entry) {
	answers, k := c.count("batch")*c.count("accumulate"), c.count("k")
	c.Values = slices.DeleteFunc(c.Values, func(v Value) bool { return v.Key == "accumulate" })
	named := entry{key: "gradient_accumulation_steps"}
	if answers < 1 || k < 1 || answers%k != 0 {
		c.leave(named, "%d answers to a rollout do not go into %d to a prompt: set rollout (prompts)", answers, k)
		return
	}
	c.put(Value{Key: "rollout", Text: strconv.Itoa(answers / k), From: named.key})
	for _, e := range entries {
		if x, err := numberOf(e.value); e.key == "total_episodes" && err == nil {
			updates := int(math.Ceil(x / float64(answers)))
			c.set("steps", strconv.Itoa(updates*c.count("ppo_epochs")*c.count("mini_batches")), e)
		}
	}
}
