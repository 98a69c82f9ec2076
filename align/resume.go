package align

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"align/internal/config"
	"align/internal/device"
	"align/internal/train"
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
	"loss_mean": fixed, "loss_on": fixed, "neftune_noise_alpha": fixed,
	// dpo
	"beta": fixed, "label_smoothing": fixed, "nll": fixed, "mask_format": fixed, "ref": fixed, "loss": fixed,
	"desirable_weight": fixed, "undesirable_weight": fixed, "simpo_gamma": fixed, "cpo_alpha": fixed, "discopop_tau": fixed,
	// reward
	"centering": fixed, "margin": fixed, "ranking": fixed,
	// ppo
	"scorer": fixed, "algorithm": fixed, "rollout": fixed, "k": fixed, "max_new": fixed, "temperature": fixed,
	"ppo_epochs": fixed, "mini_batches": fixed, "kl_coef": fixed, "kl_estimator": fixed, "kl_in": fixed, "kl_target": fixed,
	"kl_horizon": fixed, "stop_kl": fixed, "clip_range": fixed, "clip_range_high": fixed, "dual_clip": fixed, "value_clip_range": fixed,
	"vf_coef": fixed, "entropy_coef": fixed, "gamma": fixed, "lambda": fixed, "critic_learning_rate": fixed,
	"whiten_rewards": fixed, "whiten_advantages": fixed, "scale_rewards": fixed, "normalise_scores": fixed, "score_clip": fixed,
	"missing_eos_penalty": fixed, "overlong_buffer": fixed, "overlong_factor": fixed,
	// pretrain
	"hidden_size": fixed, "intermediate_size": fixed, "num_hidden_layers": fixed, "num_attention_heads": fixed, "num_key_value_heads": fixed,
	"head_dim": fixed, "vocab_size": fixed, "max_position_embeddings": fixed, "rms_norm_eps": fixed, "rope_theta": fixed,
	"tie_word_embeddings": fixed, "initializer_range": fixed,
}

// lineage is what a resumed run must find again: the hashes of what goes in,
// and every setting that moves a number.
func (s *stage) lineage(c any, data string) map[string]string {
	l := s.dataLineage(data)
	l["model"], l[train.Activations] = s.model.Hash, s.act.String()
	l["shape"] = hashShape(s.config)
	if s.special != "" {
		l["special"] = s.special
	}
	if s.start != "" {
		l["adapter"], l["adapter's scale and places"] = s.start, s.startFactors
	}
	if s.settings.Dropout > 0 {
		l[train.Draws] = device.Draws
	}
	for _, f := range settingsOf(c) {
		if onResume[f.Key] == fixed {
			l["setting "+f.Key] = f.String()
		}
	}
	return l
}

// dataLineage is the part of lineage that is known before a model is read.
func (s *stage) dataLineage(data string) map[string]string {
	l := map[string]string{"tokenizer": s.tokenizer.Hash(), "data": data, "records": strings.Join(s.records, ", ")}
	if len(s.shares) > 0 {
		l["mixture"] = s.weights()
	}
	return l
}

// goOn claims the run to go on with, and refuses settings that are not those it
// began with. c is the method's config.
func (s *stage) goOn(c any) (err error) {
	if s.release, err = claim(s.run, s.env.note); err != nil {
		return err
	}
	began, err := beganWith(s.run, c)
	if err != nil {
		return err
	}
	return sameRun(s.run, began, s.asked)
}

// beganWith are the settings that a run's file has, in a copy of the config c: a
// key that an earlier version did not write is as c has it.
func beganWith(run string, c any) ([]config.Field, error) {
	began := reflect.New(reflect.TypeOf(c).Elem())
	began.Elem().Set(reflect.ValueOf(c).Elem())
	fields := settingsOf(began.Interface())
	_, err := config.Read(filepath.Join(run, RunFile), fields)
	return fields, err
}

// sameRun names every fixed setting that is another than the run began with.
func sameRun(run string, began, asked []config.Field) error {
	var other []string
	for _, f := range asked {
		i := slices.IndexFunc(began, func(b config.Field) bool { return b.Key == f.Key })
		if i < 0 || onResume[f.Key] != fixed || began[i].String() == f.String() {
			continue
		}
		other = append(other, fmt.Sprintf("%s is %q, the run began with %q", f.Key, f.String(), began[i].String()))
	}
	if len(other) == 0 {
		return nil
	}
	return errors.New("resume: " + strings.Join(other, "; ") + fmt.Sprintf(": leave that out to go on with %s, or begin another run with it: --config %s --out NEW", run, filepath.Join(run, RunFile)))
}

// keepSettings writes the run's file anew where a run that goes on has other
// settings than it says, so that it tells what is run.
func (s *stage) keepSettings() error {
	if !s.settings.Resume {
		return nil
	}
	return writeSettings(s.run, s.asked)
}
