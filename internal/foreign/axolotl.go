package foreign

import (
	"fmt"
	"slices"
)

// axolotl is a file of axolotl.
func axolotl() *tool {
	return &tool{name: "axolotl", method: axolotlMethod, finish: finishAxolotl, rules: with(map[string]rule{
		"base_model": text("model"), "lora_model_dir": text("adapter"),
		"adapter":  same("there are adapters by LoRA only", "lora", "qlora"), // finish reads it
		"datasets": dataFiles, "pretraining_dataset": without("there is no training on a stream of texts"), "test_datasets": evalFile,
		"sequence_len": whole("max_length"), "sample_packing": packed,
		"excess_length_strategy": choice("overlong", map[string]string{"drop": "drop", "truncate": "truncate", "raise": "error"}),
		"chat_template":          choice("template", map[string]string{"llama3": "llama3", "chatml": "chatml", "tokenizer_default": "auto"}),
		"enable_dft_loss":        dftIf, "train_on_inputs": lossOnIf("all"), "group_by_length": same("records keep their order", "false"),

		"lora_r": whole("rank"), "lora_target_modules": modules, "peft_use_rslora": truth("rslora"), "peft_use_dora": truth("dora"),
		"peft_layers_to_transform": layerList, "bnb_config_kwargs": without("4 bits are nf4 with double_quant"),
		"lora_target_linear": allLinear, "lora_fan_in_fan_out": same("weights are as Llama stores them", "false"),

		"micro_batch_size": whole("batch"), "num_epochs": number("epochs"),
		"optimizer": same("the optimizer is AdamW with moments in float32", adamW...), "lr_scheduler": choice("schedule", schedules), "cosine_min_lr_ratio": noted, // finishSchedule reads it
		"val_set_size":    fraction,
		"evals_per_epoch": timesPerEpoch, "saves_per_epoch": timesPerEpoch,
		"fsdp": without("training is one process on one machine"), "fsdp_config": without("training is one process on one machine"),
		"model_type": same("the model is Llama", "LlamaForCausalLM", "AutoModelForCausalLM"), "tokenizer_type": same("the tokenizer is read from the model's folder", "AutoTokenizer", "PreTrainedTokenizerFast", "LlamaTokenizer"),
		"special_tokens": without("special tokens are the tokenizer's"), "flash_attention": same("attention is always computed in blocks", "true", "false"),
		"tf32": same("numbers are f32 or bf16", "false"), "strict": switched, "pad_to_sequence_len": same("there is no padding", "false"),

		"use_tensorboard": truth("tensorboard"), "dataset_exact_deduplication": truth("dedupe"), "shuffle_merged_datasets": same("order: sequential keeps the files' order", "true"),

		"rl": preference, "reward_model": switched,
		"rl_beta": number("beta"), "dpo_beta": number("beta"), "orpo_alpha": number("beta"),
		"dpo_label_smoothing": number("label_smoothing"), "rpo_alpha": number("nll"),
		"simpo_gamma": number("simpo_gamma"), "cpo_alpha": number("nll"), // of simpo, where it weighs the NLL
		"kto_desirable_weight": number("desirable_weight"), "kto_undesirable_weight": number("undesirable_weight"),
	})}
}

func axolotlMethod(entries []entry) (string, error) {
	if find(entries, "reward_model") == true {
		return "reward", nil
	}
	switch rl := find(entries, "rl"); rl {
	case nil, false:
		return "sft", nil
	case "grpo", "gdpo", "ebft":
		return "", fmt.Errorf("rl: %v has no twin among align sft, dpo and reward", rl)
	}
	return "dpo", nil
}

// preference carries axolotl's rl over to a loss.
func preference(c *Config, e entry) error {
	if e.value == true || e.value == false { // before there were several
		return nil
	}
	return lossWord(map[string]string{"dpo": "sigmoid", "ipo": "ipo", "orpo": "orpo", "simpo": "simpo", "kto": "kto"})(c, e)
}

func allLinear(c *Config, e entry) error {
	on, err := truthOf(e.value)
	if err == nil && on {
		c.set("targets", "all-linear", e)
	}
	return err
}

// fraction is a share of the records to hold out; from 1 on the tools take it
// for a number of records.
func fraction(c *Config, e entry) error {
	x, err := numberOf(e.value)
	switch {
	case err != nil:
		return err
	case x < 0:
		return fmt.Errorf("must not be negative, got %v", x)
	case x >= 1:
		c.leave(e, "eval_fraction is a share of the records below 1, this is their number")
		return nil
	}
	c.set("eval_fraction", formatNumber(x), e)
	return nil
}

// finishAxolotl: without an adapter all weights are trained. The defaults are
// those of utils/schemas (config.py, training.py, peft.py), of core/builders
// (base.py: a warm-up of 3 % of the steps, of 100 steps at most; four
// checkpoints; rl.py) and of the loading of models (nf4 with double
// quantisation). Preference training is TRL's, without dropout; simpo is TRL's
// CPOTrainer, whose cpo_alpha of 1 weighs an NLL.
func finishAxolotl(c *Config, entries []entry) error {
	if find(entries, "adapter") == nil && c.Method != "reward" {
		c.fallback("full", "on")
	}
	if e, on := allLinearOf(entries); on {
		c.set("targets", "all-linear", e) // beside other names too
	}
	for _, v := range c.Values {
		if v.Key == "quantize" && v.Text == "nf4" && find(entries, "adapter") == "qlora" {
			c.fallback("double_quant", "on")
		}
	}
	for _, v := range [][2]string{
		{"batch", "1"}, {"accumulate", "1"}, {"epochs", "1"}, {"schedule", "cosine"}, {"warmup", "0.03"}, {"weight_decay", "0"},
		{"max_length", "512"}, {"keep", "4"},
	} {
		c.fallback(v[0], v[1])
	}
	if find(entries, "rl") == "simpo" {
		c.fallback("nll", "1")
	}
	c.noHeldOut()
	c.finishSchedule(entries)
	c.finishEvery(entries, axolotlEvery(entries)...)
	switch {
	case c.has("full"):
	case c.Method == "sft":
		c.fallback("dropout", "0")
	default:
		c.withoutDropout(entries, "TRL's trainers turn it off in preference training")
	}
	return nil
}

// axolotlEvery: numbers go before words, and a checkpoint is saved at each epoch's
// end where the file has neither (core/builders/base.py).
func axolotlEvery(entries []entry) []strategy {
	evaluated, saved := evaluations(), saves()
	if says(entries, evaluated.number, evaluated.perEpoch) {
		evaluated.words, evaluated.word = nil, "steps"
	}
	if says(entries, saved.number, saved.perEpoch) {
		saved.words = nil
	} else {
		saved.word = "epoch"
	}
	return []strategy{evaluated, saved}
}

// says is hasAny of numbers that are not switched off.
func says(entries []entry, keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		e, ok := lookUp(entries, key)
		return ok && e.value != nil && !isSwitchedOff(e)
	})
}

// allLinearOf is the entry that asks for all linear layers.
func allLinearOf(entries []entry) (e entry, on bool) {
	for _, e := range entries {
		if e.key == "lora_target_linear" {
			on, err := truthOf(e.value)
			return e, err == nil && on
		}
	}
	return entry{}, false
}
