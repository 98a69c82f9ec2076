package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"align/align"
	"align/internal/config"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// setting describes one key for the help text and the commented YAML: its
// effect, unit and range. A word in backquotes is the name of the value.
type setting struct{ key, section, help string }

// The sections of the help text.
const (
	inOut    = "Input and output"
	method   = "Method"
	training = "Training"
	adapter  = "Adapter"
	data     = "Data"
	eval     = "Evaluation and checkpoints"
	shape    = "Model"
	machine  = "Machine"
)

// settings are the keys of all methods, in the order of the help text. A
// method shows those that its config has.
var settings = []setting{
	{"model", inOut, "base model: a folder, a .gguf file, ollama:NAME or OWNER/NAME in the Hugging Face cache (`name`); none is the adapter's base, or builtin:tiny, the small one inside the program"},
	{"pairs", inOut, "`file` (also --data) of preference pairs, of labelled answers for dpo with loss kto, or of ranked answers for reward: JSON, JSONL, CSV, TSV or Parquet, also .gz and .zst; several with weights as a.jsonl:0.7, the flag repeated or separated by commas"},
	{"prompts", inOut, "`file` of prompts: JSON, JSONL, CSV, TSV or Parquet, also .gz and .zst"},
	{"reward", inOut, "`folder` of the reward model: a run, a checkpoint or a Hugging Face classifier"},
	{"data", inOut, "`file` of examples: JSON, JSONL, CSV, TSV or Parquet, also .gz and .zst; several with weights as a.jsonl:0.7, the flag repeated or separated by commas"},
	{"adapter", inOut, "`folder` of the adapter, run or checkpoint to start from; none starts a new adapter, or for rejection draws from the model alone"},
	{"tokenizer", inOut, "`folder` of a tokenizer, as align tokenizer train writes it, or a model that has one"},
	{"out", inOut, "`folder` of the run; none takes runs/METHOD-NNN"},

	{"hidden_size", shape, "width of the model, 1 or more"},
	{"intermediate_size", shape, "width of the MLP, 1 or more"},
	{"num_hidden_layers", shape, "layers, 1 or more"},
	{"num_attention_heads", shape, "heads of the attention, 1 or more"},
	{"num_key_value_heads", shape, "heads of keys and values, a divisor of num_attention_heads; 0 takes as many"},
	{"head_dim", shape, "width of a head, even; 0 takes hidden_size / num_attention_heads"},
	{"vocab_size", shape, "rows of the embedding, no less than the tokenizer has tokens; 0 takes as many"},
	{"max_position_embeddings", shape, "longest text in tokens, 2 or more"},
	{"rms_norm_eps", shape, "added to the mean square in a norm, above 0"},
	{"rope_theta", shape, "base of the rotary frequencies, above 0; higher suits longer texts"},
	{"tie_word_embeddings", shape, "let the head be the embedding, on or off"},
	{"initializer_range", shape, "standard deviation of the matrices at the start, above 0 to 1"},

	{"scorer", method, "`rule` in place of a reward model: exact, regex:PATTERN, length, length:N, gsm8k or command:CMD"},
	{"rounds", method, "number of rounds, 1 or more"},
	{"stages", method, "stages of a round in order, of reward, rejection, sft, dpo and ppo; none takes reward,rejection,sft,dpo (`list`)"},
	{"algorithm", method, "baseline: ppo (a critic), rloo or grpo (the other answers to the prompt; k of 2 or more) (`name`)"},
	{"k", method, "answers to each prompt, 2 to 65536, and 1 for ppo too"},
	{"rollout", method, "prompts that are answered before each update, 1 or more"},
	{"max_new", method, "tokens of an answer at most, 1 or more"},
	{"temperature", method, "divides the logits of the draws, above 0"},
	{"top_p", method, "draw from the likeliest tokens that reach this probability, above 0 to 1"},
	{"top_k", method, "draw from the K likeliest tokens; 0 is off"},
	{"min_p", method, "draw from tokens of at least this share of the likeliest one's probability; 0 is off"},
	{"rejected", method, "what stands against the best answer in a pair: worst or random (`name`)"},
	{"min_margin", method, "least difference of scores in a pair, 0 or more"},
	{"ties", method, "which of answers with equal scores is the best or the worst: first, or likeliest by log-probability (`name`)"},
	{"similar", method, "likeness of two answers, above 0 to 1, from which on they make no pair"},
	{"centering", method, "pull of the mean score to 0, 0 or more; 0.01 is usual, 0 is off"},
	{"margin", method, "factor of the data's margin column, 0 or more; 0 leaves it out"},
	{"ranking", method, "loss of a list of ranked answers: pairs, the mean over its pairs, or plackett-luce, the likelihood of its order (`name`)"},
	{"shard", method, "`part` i/n of the prompts, by their content; none is all"},
	{"beta", method, "strength of the pull towards the reference, above 0; lower moves further away"},
	{"loss", method, "`name` of align help losses"},
	{"desirable_weight", method, "weight of the desirable answers of kto and apo_zero_unpaired, 0 or more"},
	{"undesirable_weight", method, "weight of their undesirable answers, 0 or more"},
	{"simpo_gamma", method, "reward margin that loss simpo aims at, 0 or more; its paper has 0.3 to 1.6, with a beta of 2 to 10"},
	{"cpo_alpha", method, "weight of the chosen answer's negative log-likelihood in loss cpo, 0 or more"},
	{"discopop_tau", method, "temperature of loss discopop, above 0 to 1"},
	{"f_divergence_type", method, "divergence by which the reference is held to: reverse_kl (DPO), forward_kl, js_divergence or alpha_divergence (`name`)"},
	{"f_alpha_divergence_coef", method, "α of f_divergence_type alpha_divergence: 1 is reverse_kl, 0 forward_kl"},
	{"label_smoothing", method, "share of pairs assumed to be labelled the wrong way round, 0 to 0.5"},
	{"mask_format", method, "leave header and end-of-turn tokens out of the preference loss, on or off; the NLL keeps them"},
	{"nll", method, "weight of the chosen answer's negative log-likelihood per token, 0 or more; 0.2 keeps its probability from falling"},
	{"ppo_epochs", method, "passes over the answers of a rollout, 1 or more"},
	{"mini_batches", method, "optimizer steps of a pass over a rollout, 1 or more"},
	{"kl_coef", method, "strength of the pull towards the reference per nat, 0 or more"},
	{"kl_estimator", method, "estimate of the divergence at a token: k1, k2 or k3 (`name`)"},
	{"kl_in", method, "where the divergence counts: reward, or loss, as a term of it (then always k3), or ratio-loss, that term times the ratio (`name`)"},
	{"kl_target", method, "divergence in nats per answer that kl_coef is adapted to; 0 leaves it fixed"},
	{"kl_horizon", method, "answers over which kl_coef is adapted, above 0; lower adapts faster"},
	{"stop_kl", method, "divergence in nats per token from the policy that sampled at which a rollout is given up; 0 never does"},
	{"importance_sampling_level", method, "whose ratio counts at a token: token, its own, or sequence, the geometric mean of its answer's, with a clip_range of 3e-4 or so (GSPO), or sequence-sum, their product (RLOO of TRL) (`name`)"},
	{"clip_range", method, "the ratio counts from 1 - clip_range to 1 + clip_range, between 0 and 1"},
	{"clip_range_high", method, "that range above 1 where it is another, 0.28 in DAPO; 0 takes clip_range"},
	{"dual_clip", method, "bound of the ratio where the advantage is negative, above 1 + clip_range (or clip_range_high); 0 is off"},
	{"value_clip_range", method, "how far a value may move from its old one in a rollout, above 0"},
	{"vf_coef", method, "weight of the critic's loss, 0 or more (ppo)"},
	{"entropy_coef", method, "weight of the entropy bonus, 0 or more"},
	{"gamma", method, "discount per token, 0 to 1 (ppo)"},
	{"lambda", method, "generalised advantage estimation: 1 trusts the rewards alone, 0 the critic alone (ppo)"},
	{"critic_learning_rate", method, "the critic's learning rate, as a multiple of the policy's (ppo)"},
	{"whiten_rewards", method, "scale the tokens' rewards to variance 1, on or off (ppo)"},
	{"whiten_advantages", method, "shift and scale the advantages to mean 0 and variance 1, on or off (ppo)"},
	{"scale_rewards", method, "divide the advantages of a prompt's answers by their standard deviation, on or off (grpo)"},
	{"normalise_scores", method, "take the running mean and deviation out of the scores, on or off"},
	{"score_clip", method, "bound of a score in either direction, after normalising; 0 is off"},
	{"missing_eos_penalty", method, "taken off the score of an answer that was cut at max_new, 0 or more"},
	{"overlong_buffer", method, "tokens before max_new over which an answer loses up to overlong_factor; 0 is off"},
	{"overlong_factor", method, "what an answer of max_new tokens loses, 0 or more"},
	{"ref", method, "reference: init (the policy as loaded), base (no adapter) or an adapter's `folder`"},
	{"loss_on", method, "tokens that are trained on: assistant (every turn of it; a whole text), completion (its last turn alone) or all (prompts too) (`name`)"},
	{"neftune_noise_alpha", method, "strength of noise on the embeddings in training (NEFTune), 0 or more; its paper has 5 to 15, 0 adds none"},
	{"loss_mean", method, "what the loss is a mean of: token (all target tokens alike) or sequence (all examples or answers alike, each by its mean), and in ppo constant (answers alike, each by its sum over max_new: Dr. GRPO) (`name`)"},

	{"epochs", training, "passes over the data, above 0"},
	{"steps", training, "optimizer steps; overrides epochs and wraps round the data; 0 follows epochs"},
	{"batch", training, "examples or pairs of a micro-step, 1 or more; higher is faster and takes more memory"},
	{"accumulate", training, "micro-steps of an optimizer step, 1 or more; the same effect as a larger batch, in less memory"},
	{"learning_rate", training, "peak learning rate, above 0"},
	{"schedule", training, "learning rate after the warm-up (`name`), as Transformers' of that name: constant, linear, cosine, cosine_with_min_lr, cosine_with_restarts, polynomial, inverse_sqrt or warmup_stable_decay"},
	{"warmup", training, "below 1 a fraction of the steps, else a number of steps; 0 starts at the peak"},
	{"min_lr_rate", training, "least rate as a share of learning_rate, 0 to below 1; of the schedules cosine_with_min_lr, polynomial and warmup_stable_decay"},
	{"num_cycles", training, "falls from the peak, 1 or more; of the schedule cosine_with_restarts"},
	{"power", training, "power of the schedule polynomial, above 0; 1 is a line"},
	{"decay", training, "how long the schedule warmup_stable_decay falls at the end: below 1 a fraction of the steps, else a number of steps"},
	{"weight_decay", training, "decoupled weight decay of AdamW, 0 to 1"},
	{"adam_beta1", training, "decay of AdamW's first moment, 0 to below 1"},
	{"adam_beta2", training, "decay of AdamW's second moment, 0 to below 1; 0.95 is usual for pretraining"},
	{"adam_epsilon", training, "added to the root of AdamW's second moment, above 0"},
	{"clip", training, "largest global gradient norm; 0 turns clipping off"},
	{"seed", training, "seed of initialisation, order, dropout and draws; the same seed gives the same bytes"},

	{"full", adapter, "train all weights of the model instead of an adapter, on or off"},
	{"rank", adapter, "rank of the LoRA matrices, 1 or more; higher learns more and is larger"},
	{"alpha", adapter, "scale of the adapter: alpha / rank, above 0"},
	{"dropout", adapter, "share of the adapter's inputs set to zero in training, 0 to 0.999"},
	{"targets", adapter, "adapted modules by `name`, separated by commas, or all-linear"},
	{"layers", adapter, "`range` of layers with an adapter, as 8-15; none means all"},
	{"rslora", adapter, "scale by alpha / sqrt(rank) instead"},
	{"dora", adapter, "train the lengths of the weights' rows beside the adapter (DoRA), on or off; learns more at a low rank, and a step takes longer"},
	{"modules_to_save", adapter, "`modules` trained whole beside the adapter: embed_tokens, lm_head or both, separated by commas; each takes 16 bytes a weight"},
	{"lora_plus_ratio", adapter, "learning rate of B as a multiple of A's (LoRA+), above 0; 1 is plain LoRA, the paper's choice is 16"},
	{"init_special", adapter, "how special tokens that the base never trained start where the data uses them: mean of the other rows; none leaves them; takes modules_to_save, or full (`name`)"},

	{"max_length", data, "tokens of prompt and answer together; 0 takes the model's context, at most 2048"},
	{"order", data, "`order` of the examples: shuffle (anew each epoch) or sequential"},
	{"packing", data, "lay the examples of a micro-step end to end in one row; changes speed, never the result"},
	{"overlong", data, "what is done with examples above max_length: drop, truncate-prompt, truncate or error (`policy`)"},
	{"bad_records", data, "records that cannot be used: default (malformed ones stop the run), strict (all stop it) or skip (`policy`)"},
	{"map", data, "foreign `columns`: prompt=Question,chosen=Better,rejected=Worse"},
	{"template", data, "chat template by `name`, or a file; auto is what the adapter's run was trained with, else the model's own"},
	{"dedupe", data, "leave exact copies of records, and what is in the evaluation too, out of the training data, on or off; else they are counted"},
	{"source_epochs", data, "of several files with weights: passes over one of them in an epoch at most, above 0; an epoch has as many records as all files together, or fewer for it"},

	{"eval", eval, "`file` of held-out examples"},
	{"eval_fraction", eval, "without eval: share of the data that is held out, 0 to 0.9; 0 turns evaluation off"},
	{"eval_every", eval, "`interval` between evaluations: steps, a share of the run as 0.1 or 10%, or 1epoch, 0.5epoch; 0 evaluates before the first and after the last step"},
	{"save_every", eval, "`interval` between checkpoints: steps, a share of the run as 0.1 or 10%, or 1epoch, 0.5epoch; 0 saves after the last step"},
	{"keep", eval, "number of checkpoints that are kept, 1 or more"},
	{"best", eval, "`metric` of the evaluation whose best checkpoint is kept beside the newest, as eval_loss; none keeps none"},
	{"early_stop", eval, "evaluations in a row without a better one after which the run ends; 0 is off"},
	{"track", eval, "post settings and metrics while the run goes on: mlflow:`URL`, with #EXPERIMENT at its end if it is not to be align; none sends nothing"},
	{"tensorboard", eval, "write TensorBoard's event files into the run's folder tensorboard, on or off"},

	{"threads", machine, "threads of the CPU; 0 takes one for each core; changes speed, never the result"},
	{"quantize", machine, "`type` that the base's linear layers are held in: nf4, int8, q8_0 or q4_0; none leaves them as stored; what they are computed in is precision"},
	{"double_quant", machine, "round nf4's scales as QLoRA's double quantisation does, on or off; for its numbers, not for memory"},
	{"generator", machine, "`URL` of a vLLM or llama.cpp server that draws the answers in place of this process, with #MODEL where it has several models; ppo wants vLLM, to load the policy before each rollout"},
	{"sequences", machine, "answers that are drawn (or asked of a server) at once, 1 or more; changes speed, never the result"},
	{"device", machine, "`device` that computes: cpu, cuda or cuda:1 and so on; auto is cpu"},
	{"memory", machine, "the most that is used of a card's memory, a `size` as 24GiB; none takes all of it"},
	{"precision", machine, "`form` of numbers in products: f32, bf16 or auto: bf16 on a card, and for a large model stored so where the processor multiplies it (AVX512_BF16), else f32"},
	{"save_policy", machine, "activations kept for the backward pass: auto, tiled, none, attention, products or all (`policy`); fewer is slower and takes less memory, and tiled serves long sequences"},
}

// plainHelp is the help of a key without the names of values.
func plainHelp(key string) string {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
	if i < 0 {
		return ""
	}
	return strings.ReplaceAll(valueKind.ReplaceAllString(settings[i].help, ""), "`", "")
}

// flagName is the flag of a key: --learning-rate of learning_rate.
func flagName(key string) string { return strings.ReplaceAll(key, "_", "-") }

// addSettings adds a flag for each field, in the order of settings. Flags may
// be written with "_" for "-", --lr means --learning-rate, and where a method
// takes pairs alone --data means --pairs.
func addSettings(c *cobra.Command, fields []config.Field) {
	flags := c.Flags()
	keys := config.Keys(fields)
	onlyPairs := slices.Contains(keys, "pairs") && !slices.Contains(keys, "data")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch {
		case name == "lr":
			name = "learning-rate"
		case name == "data" && onlyPairs:
			name = "pairs"
		}
		return pflag.NormalizedName(flagName(name))
	})
	for _, s := range settings {
		i := slices.IndexFunc(fields, func(f config.Field) bool { return f.Key == s.key })
		if i < 0 {
			continue
		}
		var value pflag.Value = fields[i]
		if fields[i].IsList() {
			value = &listFlag{Field: fields[i]}
		}
		f := flags.VarPF(value, flagName(s.key), "", s.help)
		f.Annotations = map[string][]string{sectionKey: {s.section}}
	}
}

// mergeFile sets the fields that the preset or the file names and the command
// line does not: defaults < preset < file < flags. It returns the keys that any
// of the three names.
func mergeFile(flags *pflag.FlagSet, path string, fields []config.Field) (explicit []string, err error) {
	given := map[string]string{}
	for _, f := range fields {
		if flag := flags.Lookup(flagName(f.Key)); flag != nil && flag.Changed {
			given[f.Key] = f.String()
			explicit = append(explicit, f.Key)
		}
	}
	named, err := readWithPreset(flags, path, fields)
	if err != nil {
		return nil, err
	}
	var keys []string
	if p := presetOf(flags); p != nil {
		if keys, err = p.apply(fields); err != nil {
			return nil, err
		}
		// An adapter that is named has its own shape, whatever the recipe's is.
		keys = slices.DeleteFunc(keys, func(key string) bool { return key == "rank" || key == "alpha" })
		if named, err = readWithPreset(flags, path, fields); err != nil {
			return nil, err
		}
	}
	keys = append(keys, named...)
	for _, f := range fields {
		if text, ok := given[f.Key]; ok {
			if err := f.Set(text); err != nil {
				return nil, err
			}
		}
	}
	return append(explicit, keys...), epochsOverSteps(flags, fields)
}

// epochsOverSteps drops the steps of a file where the command line says epochs
// alone: steps would override them.
func epochsOverSteps(flags *pflag.FlagSet, fields []config.Field) error {
	given := func(name string) bool { f := flags.Lookup(name); return f != nil && f.Changed }
	i := slices.IndexFunc(fields, func(f config.Field) bool { return f.Key == "steps" })
	if i < 0 || !given("epochs") || given("steps") {
		return nil
	}
	return fields[i].Set("0")
}

// builtinModel is the model that commands take where none is named.
const builtinModel = "builtin:tiny"

// modelOr is the model that was named, or the base of the first adapter that names
// one, or the one inside the program; which, is said unless quiet.
func (s *streams) modelOr(name string, quiet bool, adapters ...string) string {
	if name != "" {
		return name
	}
	name, reason := align.Unnamed(context.Background(), adapters...)
	if !quiet {
		fmt.Fprintf(s.err, "model: %s, %s (none was named)\n", name, reason)
	}
	return name
}
