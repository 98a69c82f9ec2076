package foreign

import (
	"errors"
	"fmt"
)

// llamaFactory is a file of LLaMA-Factory.
func llamaFactory() *tool {
	return &tool{name: "LLaMA-Factory", method: llamaFactoryMethod, finish: finishLLaMAFactory, rules: with(map[string]rule{
		"model_name_or_path": text("model"), "adapter_name_or_path": text("adapter"),
		"stage": stage, "finetuning_type": tuning,
		"dataset": dataFiles, "eval_dataset": evalFile, "dataset_dir": without("files are named with their folder"),
		"template":   choice("template", map[string]string{"llama3": "llama3", "chatml": "chatml", "zephyr": "zephyr"}),
		"cutoff_len": whole("max_length"), "max_samples": without("all records are read: shorten the file"),
		"packing": packed, "neat_packing": packed, "train_on_prompt": lossOnIf("all"),
		"mask_history": lossOnIf("completion"), "use_dft_loss": dftIf,
		"mix_strategy": same("give the files weights: a.jsonl:0.7,b.jsonl:0.3", "concat"), "interleave_probs": without("give the files weights: a.jsonl:0.7,b.jsonl:0.3"),

		"lora_rank": whole("rank"), "lora_target": modules, "additional_target": savedModules,
		"double_quantization": truth("double_quant"), "quantization_type": same("of 4 bits there is nf4", "nf4"),
		"quantization_bit": choice("quantize", map[string]string{"4": "nf4", "8": "int8"}), "quantization_method": same("quantisation is align's own", "bnb", "bitsandbytes"),
		"val_size": fraction, "flash_attn": same("attention is always computed in blocks", "auto", "fa2", "sdpa", "disabled"),

		"pref_beta": number("beta"), "pref_ftx": number("nll"), "dpo_label_smoothing": number("label_smoothing"),
		"pref_loss":         lossWord(map[string]string{"sigmoid": "sigmoid", "hinge": "hinge", "ipo": "ipo", "orpo": "orpo", "simpo": "simpo"}),
		"simpo_gamma":       number("simpo_gamma"),
		"kto_chosen_weight": number("desirable_weight"), "kto_rejected_weight": number("undesirable_weight"),
		"ref_model": without("use ref: init, base or the folder of an adapter"),

		"disable_shuffling": unshuffled, "early_stopping_steps": whole("early_stop"),
		"plot_loss": switched, "overwrite_cache": switched,
		"overwrite_output_dir": same("a run's folder is never written over", "false"),
	})}
}

// llamaFactoryMethod reads the stage, sft where there is none.
func llamaFactoryMethod(entries []entry) (string, error) {
	switch stage := find(entries, "stage"); stage {
	case "sft", nil:
		return "sft", nil
	case "dpo", "kto":
		return "dpo", nil
	case "rm":
		return "reward", nil
	case "ppo":
		return "", errors.New(ownDraws)
	case "pt":
		return "", fmt.Errorf("stage pt: %s; --method sft takes the file over as far as that goes", ownBlocks)
	default:
		return "", fmt.Errorf("stage %v has no twin among align sft, dpo and reward", stage)
	}
}

// Two stages do what no command here does: ppo draws by other probabilities than
// it trains on (train/ppo/trainer.py on TRL 0.9, hparams/generating_args.py), pt
// pays no heed to where a text ends (data/processor/pretrain.py).
const (
	ownDraws  = "stage ppo draws answers by top_p and top_k and counts steps in rollouts, align ppo draws from the whole distribution and counts the optimizer's: write its settings anew, from align init ppo"
	ownBlocks = "texts are run together there and cut into blocks of cutoff_len, align sft trains on each text (the column text) by itself"
)

// stage is read by llamaFactoryMethod; what --method overrules is told.
func stage(c *Config, e entry) error {
	switch {
	case e.value == "ppo":
		return errors.New(ownDraws)
	case e.value == "pt" && c.Method != "sft":
		return errors.New(ownBlocks)
	case e.value == "pt":
		c.leave(e, ownBlocks)
	}
	return nil
}

// tuning is LoRA or all weights.
func tuning(c *Config, e entry) error {
	switch e.value {
	case "lora":
	case "full":
		c.set("full", "on", e)
	default:
		c.leave(e, "training is of a LoRA adapter, or of all weights with full")
	}
	return nil
}

// unshuffled keeps the file's order.
func unshuffled(c *Config, e entry) error {
	off, err := truthOf(e.value)
	if err == nil && off {
		c.set("order", "sequential", e)
	}
	return err
}

// finishLLaMAFactory: alpha is twice the rank where it is not given, and the
// rank is 8 (hparams/finetuning_args.py); scales of 4 bits are quantised again
// (model_args.py); preference training is without dropout (train/dpo/trainer.py,
// train/kto/trainer.py).
func finishLLaMAFactory(c *Config, entries []entry) error {
	c.trainingDefaults()
	if find(entries, "stage") == "kto" {
		c.put(Value{Key: "loss", Text: "kto", From: "stage"})
	}
	for _, v := range c.Values {
		if v.Key == "quantize" && v.Text == "nf4" {
			c.fallback("double_quant", "on")
		}
	}
	c.fallback("learning_rate", "5e-05")
	c.finishSchedule(entries)
	c.finishEvery(entries, evaluations(), saves())
	c.fallback("max_length", "2048")
	c.fallback("overlong", "truncate")
	if c.Method == "dpo" {
		c.fallback("beta", "0.1")
	}
	if c.has("full") {
		return nil
	}
	c.fallback("rank", "8")
	for _, v := range c.Values {
		if x, err := numberOf(v.Text); v.Key == "rank" && err == nil {
			c.fallback("alpha", formatNumber(2*x))
		}
	}
	if c.Method == "dpo" {
		c.withoutDropout(entries, "LLaMA-Factory turns it off in preference training")
		return nil
	}
	c.fallback("dropout", "0")
	return nil
}
