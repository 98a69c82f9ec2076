package runfolder

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/atomicfile"
	"align/internal/config"
)

// change is what a run that goes on may do with a setting.
type change int

const (
	// fixed is a setting that moves a number: another value would be another run.
	fixed change = iota + 1
	// moved is one that names files: they may lie elsewhere, for their content is
	// held to by its hash.
	moved
	// free is one that says how long a run is, how often something is done in it,
	// how it is shown, or where and how fast it computes.
	free
)

// onResume has every setting of every method.
var onResume = map[string]change{
	"model": moved, "tokenizer": moved, "adapter": moved, "out": moved,
	"data": moved, "pairs": moved, "prompts": moved, "eval": moved, "reward": moved,

	"epochs": free, "steps": free, "eval_every": free, "save_every": free, "keep": free, "best": free, "early_stop": free,
	"tensorboard": free, "track": free,
	"threads": free, "device": free, "precision": free, "memory": free, "save_policy": free, "sequences": free, "generator": free,

	"quantize": fixed, "double_quant": fixed, "full": fixed,
	"batch": fixed, "accumulate": fixed, "max_length": fixed, "order": fixed, "packing": fixed, "seed": fixed,
	"learning_rate": fixed, "schedule": fixed, "warmup": fixed, "min_lr_rate": fixed, "num_cycles": fixed, "power": fixed, "decay": fixed,
	"weight_decay": fixed, "adam_beta1": fixed, "adam_beta2": fixed, "adam_epsilon": fixed, "clip": fixed,
	"rank": fixed, "alpha": fixed, "dropout": fixed, "targets": fixed, "layers": fixed, "rslora": fixed, "dora": fixed,
	"modules_to_save": fixed, "lora_plus_ratio": fixed, "init_special": fixed,
	"eval_fraction": fixed, "overlong": fixed, "bad_records": fixed, "map": fixed, "template": fixed, "dedupe": fixed, "source_epochs": fixed,

	// sft
	// sft, and the first of ppo too
	"loss_mean": fixed, "loss_on": fixed, "neftune_noise_alpha": fixed,
	// dpo
	"beta": fixed, "label_smoothing": fixed, "nll": fixed, "mask_format": fixed, "ref": fixed, "loss": fixed,
	"desirable_weight": fixed, "undesirable_weight": fixed, "simpo_gamma": fixed, "cpo_alpha": fixed, "discopop_tau": fixed,
	"f_divergence_type": fixed, "f_alpha_divergence_coef": fixed,
	// reward
	"centering": fixed, "margin": fixed, "ranking": fixed,
	// ppo
	"scorer": fixed, "algorithm": fixed, "rollout": fixed, "k": fixed, "max_new": fixed, "temperature": fixed,
	"ppo_epochs": fixed, "mini_batches": fixed, "kl_coef": fixed, "kl_estimator": fixed, "kl_in": fixed, "kl_target": fixed,
	"kl_horizon": fixed, "stop_kl": fixed, "importance_sampling_level": fixed, "clip_range": fixed, "clip_range_high": fixed, "dual_clip": fixed, "value_clip_range": fixed,
	"vf_coef": fixed, "entropy_coef": fixed, "gamma": fixed, "lambda": fixed, "critic_learning_rate": fixed,
	"whiten_rewards": fixed, "whiten_advantages": fixed, "scale_rewards": fixed, "normalise_scores": fixed, "score_clip": fixed,
	"missing_eos_penalty": fixed, "overlong_buffer": fixed, "overlong_factor": fixed,
	// pretrain
	"hidden_size": fixed, "intermediate_size": fixed, "num_hidden_layers": fixed, "num_attention_heads": fixed, "num_key_value_heads": fixed,
	"head_dim": fixed, "vocab_size": fixed, "max_position_embeddings": fixed, "rms_norm_eps": fixed, "rope_theta": fixed,
	"tie_word_embeddings": fixed, "initializer_range": fixed,
}

// WriteSettings writes every setting of a run, as they are after defaults, file
// and flags.
func WriteSettings(run string, fields []config.Field) error {
	return atomicfile.WriteFile(filepath.Join(run, SettingsFile), func(w io.Writer) error {
		return config.Write(w, fields, func(string) string { return "" })
	})
}

// Fixed says whether a setting moves a number, so that a run which goes on must
// have it as it began.
func Fixed(key string) bool { return onResume[key] == fixed }

// Classified are the settings of which it is known whether they may change.
func Classified() []string { return slices.Sorted(maps.Keys(onResume)) }

// ReadSettings reads what a run's file says into the fields: a key that an earlier
// version did not write stays as it is.
func ReadSettings(run string, fields []config.Field) error {
	_, err := config.Read(filepath.Join(run, SettingsFile), fields)
	return err
}

// IsRefFolder says whether the setting ref names files, which may lie elsewhere like
// those of other settings: their content is held to by its hash.
func IsRefFolder(ref string) bool { return ref != "init" && ref != "base" }

// SameSettings names every fixed setting that is another than the run began with.
func SameSettings(run string, began, asked []config.Field) error {
	var other []string
	for _, f := range asked {
		i := slices.IndexFunc(began, func(b config.Field) bool { return b.Key == f.Key })
		if i < 0 || !Fixed(f.Key) || began[i].String() == f.String() || f.Key == "ref" && IsRefFolder(began[i].String()) && IsRefFolder(f.String()) {
			continue
		}
		other = append(other, fmt.Sprintf("%s is %q, the run began with %q", f.Key, f.String(), began[i].String()))
	}
	if len(other) == 0 {
		return nil
	}
	return errors.New("resume: " + strings.Join(other, "; ") + fmt.Sprintf(": leave that out to go on with %s, or begin another run with it: --config %s --out NEW", run, filepath.Join(run, SettingsFile)))
}
