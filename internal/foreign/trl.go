package foreign

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// trl is TRL's command line: script arguments, model config and the trainers'
// configs.
func trl() *tool {
	rules := map[string]rule{
		"model_name_or_path": text("model"), "model_revision": same("name the folder of the revision with model", "main"),
		"dtype": choice("precision", dtypes), "torch_dtype": choice("precision", dtypes),
		"dataset_name": dataFiles, "datasets": dataFiles,
		"dataset_train_split": same("a file is one split", "train"), "dataset_test_split": same("name the held-out records with eval", "test"),
		"use_peft": switched, // finish reads it
		"lora_r":   whole("rank"), "lora_target_modules": modules,
		"use_bnb_nested_quant": truth("double_quant"),

		unboundedKey: lengthBound, "max_seq_length": whole("max_length"),
		"max_prompt_length":     without("max_length bounds prompt and answer together; overlong: truncate-prompt cuts prompts"),
		"max_completion_length": ofMethod(whole("max_new"), without("max_length bounds prompt and answer together")),
		"truncation_mode":       choice("overlong", map[string]string{"keep_start": "truncate", "keep_end": "truncate-prompt"}),
		"packing":               packed, "padding_free": truth("packing"),
		"dataset_text_field":   textField,
		"chat_template_path":   templateFile,
		"completion_only_loss": switched, "assistant_only_loss": switched, // finish reads them

		"beta": ofMethod(number("kl_coef"), number("beta")), "label_smoothing": number("label_smoothing"), "rpo_alpha": number("nll"),
		"loss_type": ofMethod(sampledLoss, lossType), "loss_weights": noted, // finish joins the two
		"reference_free":           same("there is a loss without a reference: simpo, orpo or cpo", "false"),
		"precompute_ref_log_probs": switched, // always so, and cached
		"disable_dropout":          switched, // finish reads it
		"sync_ref_model":           same("the reference does not move", "false"),
		"use_weighting":            same("there is no WPO", "false"),
		"f_divergence_type":        divergence, "f_alpha_divergence_coef": number("f_alpha_divergence_coef"),
		"discopop_tau": number("discopop_tau"), "simpo_gamma": number("simpo_gamma"), "cpo_alpha": number("cpo_alpha"),
		"desirable_weight": number("desirable_weight"), "undesirable_weight": number("undesirable_weight"),

		"center_rewards_coefficient": number("centering"),
		"alpha":                      same("there is no AlphaPO", "0"),
	}
	maps.Copy(rules, sampledRules())
	maps.Copy(rules, ppoRules())
	return &tool{name: "TRL", method: trlMethod, finish: finishTRL, rules: with(rules)}
}

// supervisedLosses are the values of loss_type that SFTConfig has.
var supervisedLosses = []string{"nll", "chunked_nll", "dft"}

// trlMethod goes by keys that only one trainer has.
func trlMethod(entries []entry) (string, error) {
	switch {
	case hasAny(entries, sampledKeys...), hasAny(entries, ppoKeys...), sampledMeans[plainText(find(entries, "loss_type"))] != "":
		return "ppo", nil
	case hasAny(entries, "center_rewards_coefficient"):
		return "reward", nil
	case hasAny(entries, "beta", "rpo_alpha", "label_smoothing", "max_prompt_length", "precompute_ref_log_probs", "reference_free", "sync_ref_model", "loss_weights", "f_divergence_type", "desirable_weight", "undesirable_weight", "simpo_gamma", "cpo_alpha"),
		hasAny(entries, "loss_type") && !slices.Contains(supervisedLosses, plainText(find(entries, "loss_type"))):
		return "dpo", nil
	case hasAny(entries, "packing", "dataset_text_field", "max_seq_length", "completion_only_loss", "assistant_only_loss", "loss_type", "neftune_noise_alpha"):
		return "sft", nil
	}
	return "", errors.New("no key tells the trainer: add --method sft, dpo, reward or ppo")
}

// lengthBound carries the bound of lengths over, or that there is none.
func lengthBound(c *Config, e entry) error {
	if e.value != nil {
		return whole("max_length")(c, e)
	}
	c.set("max_length", "0", e)
	c.leave(e, "nothing is cut there; 0 is the model's context here, 2048 at most: name a larger one if the data has it")
	return nil
}

// textField maps the column of plain texts.
func textField(c *Config, e entry) error {
	if name := plainText(e.value); name != "text" {
		c.set("map", "text="+name, e)
	}
	return nil
}

// lossType carries one loss over, or several with weights of 1.
func lossType(c *Config, e entry) error {
	list := names(e.value)
	if c.Method != "dpo" {
		return supervisedLoss(c, e)
	}
	if len(list) == 1 {
		c.set("loss", list[0], e)
		return nil
	}
	for i := range list {
		list[i] += ":1"
	}
	c.set("loss", strings.Join(list, ","), e)
	return nil
}

// supervisedLoss carries the loss of SFTConfig over.
func supervisedLoss(c *Config, e entry) error {
	switch word := plainText(e.value); {
	case word == "nll" || word == "chunked_nll": // the same, in less memory
	case c.Method == "sft" && word == "dft":
		c.set("loss", word, e)
	case c.Method == "sft":
		c.leave(e, "the losses of sft are nll and dft")
	default:
		c.leave(e, "the loss of %s is fixed", c.Method)
	}
	return nil
}

// dftIf is the switch of tools that have one for that loss.
func dftIf(c *Config, e entry) error {
	on, err := truthOf(e.value)
	switch {
	case err != nil || !on:
		return err
	case c.Method != "sft":
		c.leave(e, "dft is a loss of sft")
	default:
		c.set("loss", "dft", e)
	}
	return nil
}

func finishTRL(c *Config, entries []entry) error {
	c.weighLosses(entries)
	if err := c.finishCPO(entries); err != nil {
		return err
	}
	c.noteSmoothing(entries)
	c.finishPrecision(entries)
	c.finishBest(entries)
	c.noteOrder(entries)
	c.trainTRL(entries)
	c.trainingDefaults()
	if c.Method != "ppo" {
		c.fallback("max_length", "1024")
	}
	switch c.Method {
	case "ppo":
		if hasAny(entries, ppoKeys...) {
			c.finishPPO(entries)
		} else {
			c.finishSampled(entries)
		}
	case "sft":
		c.fallback("learning_rate", "2e-05")
		c.fallback("overlong", "truncate")
	case "dpo":
		if hasAny(entries, "desirable_weight", "undesirable_weight") {
			c.fallback("loss", "kto")         // KTOTrainer's; there is no key that names the trainer
			c.fallback("order", "sequential") // KTOTrainer's sampler, for its baseline is of neighbours
		}
		c.fallback("learning_rate", "1e-06")
		c.fallback("beta", "0.1")
		c.fallback("overlong", "truncate")
	case "reward":
		c.fallback("learning_rate", "0.0001")
	}
	c.finishSchedule(entries)
	evaluated := evaluations()
	evaluated.steps = "10" // TRL's logging_steps
	c.finishEvery(entries, evaluated, saves())
	c.finishLossOn(entries)
	return nil
}

// divergence carries over a name, or a member of FDivergenceType of TRL up to 0.19.
func divergence(c *Config, e entry) error {
	name := strings.ToLower(strings.TrimPrefix(plainText(e.value), "FDivergenceType."))
	c.set("f_divergence_type", name, e)
	return nil
}

// finishBest: the best checkpoint is that of the least eval_loss where the file does
// not name a metric.
func (c *Config) finishBest(entries []entry) {
	e, _ := lookUp(entries, "load_best_model_at_end")
	on, err := truthOf(e.value)
	switch {
	case err != nil || !on || hasAny(entries, "metric_for_best_model"):
	case c.Method == "ppo":
		c.leave(e, "nothing is held out to rank checkpoints by")
	default:
		c.set("best", "eval_loss", e)
	}
}

// noteOrder tells of a shuffle before a sampler that keeps the order.
func (c *Config) noteOrder(entries []entry) {
	e, _ := lookUp(entries, "shuffle_dataset")
	if on, err := truthOf(e.value); err == nil && on && c.textOf("order") == "sequential" {
		c.leave(e, "sequential is the order of the file here")
	}
}

// templateFile carries the file of a chat template over; a folder's is not read.
func templateFile(c *Config, e entry) error {
	if name := plainText(e.value); filepath.Ext(name) == ".jinja" {
		return text("template")(c, e)
	}
	c.leave(e, "use template: a name, or the file of a template")
	return nil
}

// weighLosses puts loss_weights to the losses of loss_type.
func (c *Config) weighLosses(entries []entry) {
	for _, e := range entries {
		if e.key != "loss_weights" {
			continue
		}
		losses, weights := names(find(entries, "loss_type")), names(e.value)
		if c.Method != "dpo" || find(entries, "loss_type") == nil || len(losses) != len(weights) {
			c.leave(e, "%d weights for %d losses of loss_type: use loss: sigmoid:1,sft:0.2", len(weights), len(losses))
			continue
		}
		for i := range losses {
			losses[i] += ":" + weights[i]
		}
		c.set("loss", strings.Join(losses, ","), e)
	}
}

// peftTargets are the modules that PEFT adapts in a Llama where none are named
// (peft/utils/constants.py).
const peftTargets = "q_proj,v_proj"

// trainTRL: without use_peft TRL trains all weights, and the LoRA of its model
// config has defaults of its own; dropout is off in preference training.
func (c *Config) trainTRL(entries []entry) {
	peft, err := truthOf(find(entries, "use_peft"))
	lora := err == nil && peft || err != nil && hasAny(entries, "lora_r", "lora_alpha", "lora_target_modules", "lora_dropout", "lora_modules_to_save", "use_dora", "use_rslora")
	if !lora {
		if c.Method == "reward" || c.Method == "ppo" {
			what := map[string]string{"reward": "a reward model", "ppo": "such a policy"}[c.Method]
			c.Left = append(c.Left, Left{"use_peft", 0, "align trains " + what + " as an adapter, TRL all weights where use_peft is not true"})
			return
		}
		c.withoutAdapter()
		c.fallback("full", "on")
		return
	}
	c.fallback("targets", peftTargets)
	c.fallback("rank", "16")
	c.fallback("alpha", "32")
	if c.Method == "ppo" {
		c.withoutDropout(entries, "the policy that learns must be the one that sampled")
		return
	}
	off, err := truthOf(find(entries, "disable_dropout"))
	if c.Method != "sft" && (err != nil || off) {
		c.withoutDropout(entries, "TRL turns it off in preference training: disable_dropout is true unless it is set to false")
		return
	}
	c.fallback("dropout", "0.05")
}

// withoutAdapter leaves the settings of an adapter that TRL does not train.
func (c *Config) withoutAdapter() {
	keys := []string{"rank", "alpha", "dropout", "targets", "layers", "rslora", "dora", "modules_to_save"}
	c.Values = slices.DeleteFunc(c.Values, func(v Value) bool {
		adapts := slices.Contains(keys, v.Key)
		if adapts && v.Line > 0 {
			c.Left = append(c.Left, Left{v.From, v.Line, "use_peft is not true: all weights are trained"})
		}
		return adapts
	})
}

// withoutDropout is the trainer's switch that turns dropout off.
func (c *Config) withoutDropout(entries []entry, reason string) {
	for _, e := range entries {
		if e.key == "lora_dropout" {
			c.leave(e, "%s", reason)
		}
	}
	c.put(Value{Key: "dropout", Text: "0", From: "disable_dropout"})
}
