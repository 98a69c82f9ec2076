package config

// Foreign says how to write a setting of TRL, PEFT or Transformers here. ok is
// false if key is not a setting of theirs that people bring along. Names and
// meanings are those of TRL 1.10, the older ones those of 0.x.
func Foreign(key string) (advice string, ok bool) {
	advice, ok = foreign[key]
	return advice, ok
}

// foreign is read only. An advice begins with our key and says what differs.
var foreign = map[string]string{
	// TRL, what a model and its data are called.
	"model_name_or_path": "use model, a folder on this machine",
	"dataset_name":       "use pairs (dpo) or data (sft), a file on this machine",
	"output_dir":         "use out",
	"logging_dir":        "use out: the metrics lie in the run folder",

	// TRL, lengths.
	"max_seq_length":        "use max_length",
	"sequence_len":          "use max_length",
	"cutoff_len":            "use max_length",
	"max_prompt_length":     "use max_length for prompt and answer together, and overlong: truncate-prompt to cut prompts",
	"max_completion_length": "use max_length for prompt and answer together",
	"truncation_mode":       "use overlong: truncate (keep_start) or truncate-prompt (keep_end)",

	// TRL, preference losses.
	"rpo_alpha":                "use nll: the same weight on the chosen answer's mean negative log-likelihood",
	"loss_type":                "use loss",
	"loss_weights":             "use loss: sigmoid:1,sft:0.2",
	"reference_free":           "use a loss without a reference, as loss: simpo",
	"train_type":               "use the command of the method: align sft, dpo, reward or ppo",
	"kto_chosen_weight":        "use desirable_weight",
	"kto_rejected_weight":      "use undesirable_weight",
	"ref_model":                "use ref: init, base or the folder of an adapter",
	"ref_adapter_name":         "use ref: init, base or the folder of an adapter",
	"precompute_ref_log_probs": "leave it out: reference log-probabilities are always computed once and cached",
	"disable_dropout":          "use dropout: 0",
	"completion_only_loss":     "leave it out: prompt and completion data trains on the completion alone",
	"assistant_only_loss":      "leave it out: conversations train on the assistant's turns alone",
	"padding_free":             "use packing: on",
	"sample_packing":           "use packing: on",
	"packing_strategy":         "use packing: on",

	// PEFT.
	"lora_r":              "use rank",
	"lora_rank":           "use rank",
	"r":                   "use rank",
	"lora_alpha":          "use alpha",
	"lora_dropout":        "use dropout",
	"lora_target_modules": "use targets: names separated by commas, or all-linear",
	"lora_target":         "use targets: names separated by commas, or all-linear",
	"target_modules":      "use targets: names separated by commas, or all-linear",
	"layers_to_transform": "use layers: a range as 8-15",
	"use_rslora":          "use rslora",
	"use_peft":            "leave it out: training is LoRA unless full is on",
	"use_dora":            "use dora",
	"peft_use_dora":       "use dora",
	"loraplus_lr_ratio":   "use lora_plus_ratio",

	"lora_modules_to_save": "use modules_to_save: embed_tokens,lm_head",
	"additional_target":    "use modules_to_save: embed_tokens,lm_head",
	"load_in_4bit":         "use quantize: nf4",
	"load_in_8bit":         "use quantize: int8",
	"use_bnb_nested_quant": "use double_quant",
	"double_quantization":  "use double_quant",

	// Transformers' TrainingArguments.
	"per_device_train_batch_size": "use batch",
	"micro_batch_size":            "use batch",
	"train_batch_size":            "use batch",
	"gradient_accumulation_steps": "use accumulate",
	"num_train_epochs":            "use epochs",
	"num_epochs":                  "use epochs",
	"max_steps":                   "use steps",
	"lr":                          "use learning_rate",
	"lr_scheduler_type":           "use schedule",
	"lr_scheduler":                "use schedule",
	"warmup_steps":                "use warmup: 1 or more is a number of steps",
	"warmup_ratio":                "use warmup: below 1 is a fraction of the steps",
	"max_grad_norm":               "use clip",
	"save_steps":                  "use save_every",
	"save_total_limit":            "use keep",
	"eval_steps":                  "use eval_every",
	"val_set_size":                "use eval_fraction",
	"val_size":                    "use eval_fraction",
	"dataloader_num_workers":      "leave it out: reading the data takes no workers",
	"gradient_checkpointing":      "use save_policy: none recomputes all activations, all keeps them",
	"bf16":                        "use precision: bf16",
	"fp16":                        "use precision: bf16",
	"data_seed":                   "use seed: one seed for all",
	"chat_template":               "use template",
	"no_cuda":                     "use device: cpu",
	"use_cpu":                     "use device: cpu",
	"logging_steps":               "leave it out: every step is logged",
	"report_to":                   "leave it out: nothing is sent anywhere; the metrics lie in the run folder; tensorboard: on writes event files there, track: mlflow:URL posts to a server",
	"metric_for_best_model":       "use best: a metric of the evaluation, as eval_loss",
	"load_best_model_at_end":      "leave it out: the best checkpoint is kept beside the newest, and named at the end",
	"early_stopping_patience":     "use early_stop, in evaluations",
	"remove_unused_columns":       "leave it out: columns are recognised by their names, or named with map",
}
