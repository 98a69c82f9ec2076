package foreign

import "maps"

// adamW are the names of the optimizer that is used here.
var adamW = []string{"adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw", "adamw_apex_fused"}

// dtypes are the types of the model's numbers.
var dtypes = map[string]string{"auto": "auto", "float32": "f32", "fp32": "f32", "bfloat16": "bf16", "bf16": "bf16", "null": "auto"}

// trainingRules are those of Transformers' TrainingArguments, that all three
// tools pass on, and of PEFT's LoRA under its most common names.
func trainingRules() map[string]rule {
	return map[string]rule{
		"output_dir": text("out"), "seed": whole("seed"),
		"learning_rate": number("learning_rate"), "weight_decay": number("weight_decay"), "max_grad_norm": number("clip"),
		"lr_scheduler_type": choice("schedule", schedules), schedulerKwargs: noted, // finishSchedule reads it
		"warmup_steps": warmupSteps, "warmup_ratio": warmupRatio,
		"num_train_epochs": number("epochs"), "max_steps": whole("steps"),
		"per_device_train_batch_size": whole("batch"), "gradient_accumulation_steps": whole("accumulate"),
		"save_total_limit": whole("keep"),
		"save_steps":       stepsOrShare, "eval_steps": stepsOrShare, "logging_steps": loggingSteps,
		"save_strategy": strategyWord, "eval_strategy": strategyWord, "evaluation_strategy": strategyWord,
		"bf16": halfPrecision, "fp16": same("there is no fp16 here: precision is auto, f32 or bf16", "false"),
		"optim":      same("the optimizer is AdamW with moments in float32", adamW...),
		"adam_beta1": number("adam_beta1"), "adam_beta2": number("adam_beta2"), "adam_epsilon": number("adam_epsilon"),
		"gradient_checkpointing":  same("save_policy: auto keeps what fits", "true", "false"),
		"train_sampling_strategy": choice("order", map[string]string{"random": "shuffle", "sequential": "sequential"}),
		"do_train":                same("align trains", "true"), "do_eval": same("name the held-out records with eval or eval_fraction", "true", "false"),
		"resume_from_checkpoint": same("go on with --resume --out RUN", "false"),
		"neftune_noise_alpha":    noisy, "neftune_alpha": noisy, "noisy_embedding_alpha": noisy,
		"deepspeed":  without("training is one process on one machine"),
		"lora_alpha": number("alpha"), "lora_dropout": number("dropout"), "use_rslora": truth("rslora"),
		"use_dora": truth("dora"), "lora_bias": same("biases are not trained", "none"),
		"loraplus_lr_ratio": number("lora_plus_ratio"), "loraplus_lr_embedding": without("lora_plus_ratio is of the matrices B alone"),
		"lora_modules_to_save": savedModules, "layers_to_transform": layerList,
		"load_in_4bit": quantizeIf("nf4"), "load_in_8bit": quantizeIf("int8"),
		"early_stopping_patience": whole("early_stop"), "metric_for_best_model": bestMetric,
		"load_best_model_at_end": switched, "report_to": reportTo,
		"bnb_4bit_quant_type": same("of 4 bits there is nf4", "nf4"),
	}
}

// with adds rules to those of the training arguments; its own go before them.
func with(own map[string]rule) map[string]rule {
	rules := trainingRules()
	maps.Copy(rules, own)
	return rules
}

// halfPrecision is bf16 where it is asked for; false leaves the choice open.
func halfPrecision(c *Config, e entry) error {
	if e.value == "auto" {
		return nil
	}
	on, err := truthOf(e.value)
	if err == nil && on {
		c.set("precision", "bf16", e)
	}
	return err
}

// trainingDefaults are Transformers' where they are not ours.
func (c *Config) trainingDefaults() {
	for _, v := range [][2]string{
		{"batch", "8"}, {"accumulate", "1"}, {"epochs", "3"}, {"schedule", "linear"}, {"warmup", "0"},
		{"weight_decay", "0"}, {"clip", "1"}, {"seed", "42"},
	} {
		c.fallback(v[0], v[1])
	}
	c.noHeldOut()
}

// noHeldOut: none of the tools holds records out unless it is told to.
func (c *Config) noHeldOut() {
	if !c.has("eval") {
		c.fallback("eval_fraction", "0")
	}
}
