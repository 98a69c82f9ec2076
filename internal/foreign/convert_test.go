package foreign

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// carried are the values as "key=text", without the tool's defaults.
func carried(c *Config) map[string]string {
	m := map[string]string{}
	for _, v := range c.Values {
		if v.From != "" {
			m[v.Key] = v.Text
		}
	}
	return m
}

func left(c *Config) (keys []string) {
	for _, l := range c.Left {
		keys = append(keys, l.Key)
	}
	return keys
}

func TestConvert(t *testing.T) {
	for _, tc := range []struct {
		name, text, tool, method string
		want                     map[string]string
		left                     []string
	}{
		{
			"TRL, DPO", "model_name_or_path: m\nbeta: 0.05\nuse_peft: true\nlora_r: 32\nlora_target_modules: [q_proj, v_proj]\nloss_type: ipo\nwarmup_ratio: 0.1\nmax_steps: -1\nfp16: true\nseed: 3000000000000000000\n",
			"TRL", "dpo",
			map[string]string{"model": "m", "beta": "0.05", "rank": "32", "targets": "q_proj,v_proj", "loss": "ipo", "warmup": "0.1", "seed": "3000000000000000000", "dropout": "0"},
			[]string{"fp16"},
		},
		{
			"TRL, SFT in JSON", `{"max_seq_length": 512, "packing": true, "dataset_name": "a.jsonl", "learning_rate": "2e-4", "dataset_text_field": "body", "warmup_steps": 20, "warmup_ratio": 0.1}`,
			"TRL", "sft",
			map[string]string{"max_length": "512", "packing": "on", "data": "a.jsonl", "learning_rate": "0.0002", "map": "text=body", "warmup": "20"}, []string{"packing"},
		},
		{
			"TRL, AdamW's constants", "packing: false\nadam_beta1: 0.9\nadam_beta2: 0.95\nadam_epsilon: 1e-6\nuse_peft: false\nassistant_only_loss: true",
			"TRL", "sft",
			map[string]string{"loss_on": "assistant", "packing": "off", "adam_beta1": "0.9", "adam_beta2": "0.95", "adam_epsilon": "1e-06"}, nil,
		},
		{
			"TRL, a schedule's own settings", "packing: false\nuse_peft: false\nlearning_rate: 2e-4\nlr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: {min_lr: 2e-5, num_cycles: 0.5}",
			"TRL", "sft",
			map[string]string{"packing": "off", "learning_rate": "0.0002", "schedule": "cosine_with_min_lr", "min_lr_rate": "0.1"}, []string{"lr_scheduler_kwargs.num_cycles", "assistant_only_loss"},
		},
		{
			"TRL, the same as JSON", "packing: false\nuse_peft: false\nlr_scheduler_kwargs: '{\"num_decay_steps\": 30, \"min_lr_ratio\": 0.1, \"decay_type\": \"1-sqrt\"}'\nlr_scheduler_type: warmup_stable_decay\ncompletion_only_loss: false",
			"TRL", "sft",
			map[string]string{"packing": "off", "schedule": "warmup_stable_decay", "decay": "30", "min_lr_rate": "0.1", "loss_on": "all"}, []string{"lr_scheduler_kwargs.decay_type"},
		},
		{
			"axolotl, a least rate", "base_model: m\nlearning_rate: 1e-4\nlr_scheduler: cosine\ncosine_min_lr_ratio: 0.2", "axolotl", "sft",
			map[string]string{"model": "m", "learning_rate": "0.0001", "schedule": "cosine_with_min_lr", "min_lr_rate": "0.2"}, nil,
		},
		{
			"TRL, DPO has no loss on prompts", "beta: 0.1\nuse_peft: true\ncompletion_only_loss: true", "TRL", "dpo",
			map[string]string{"beta": "0.1", "dropout": "0"}, []string{"completion_only_loss"},
		},
		{
			"LLaMA-Factory, the last turn", "stage: sft\nmask_history: true\ntrain_on_prompt: false", "LLaMA-Factory", "sft", map[string]string{"loss_on": "completion"}, nil,
		},
		{
			"LLaMA-Factory, noise", "stage: sft\nneftune_alpha: 5", "LLaMA-Factory", "sft", map[string]string{"neftune_noise_alpha": "5"}, nil,
		},
		{
			"TRL, GRPO", "model_name_or_path: m\ndataset_name: p.jsonl\nnum_generations: 8\nper_device_train_batch_size: 4\ngradient_accumulation_steps: 4\nsteps_per_generation: 8\nmax_completion_length: 256\nbeta: 0.01\nepsilon: 0.2\nepsilon_high: 0.28\nimportance_sampling_level: sequence\nnum_iterations: 2\nscale_rewards: none\nloss_type: dr_grpo\nreward_funcs: [accuracy_reward]\nuse_peft: true\nlora_r: 8\nlora_dropout: 0.1\ntop_p: 1.0\nuse_vllm: true",
			"TRL", "ppo",
			map[string]string{
				"model": "m", "prompts": "p.jsonl", "k": "8", "batch": "4", "rollout": "4", "mini_batches": "2", "max_new": "256", "kl_coef": "0.01", "clip_range": "0.2", "clip_range_high": "0.28", "importance_sampling_level": "sequence", "loss_mean": "constant",
				"ppo_epochs": "2", "scale_rewards": "off", "rank": "8", "dropout": "0",
			},
			[]string{"reward_funcs", "use_vllm", "lora_dropout"},
		},
		{
			"TRL, RLOO", "num_generations: 2\nreward_model_name_or_path: rm\nreward_clip_range: [-5, 5]\nnormalize_advantages: false\nper_device_train_batch_size: 3\nuse_peft: true\nbeta: 0.1",
			"TRL", "ppo",
			map[string]string{"k": "2", "reward": "rm", "score_clip": "5", "batch": "3", "kl_coef": "0.1", "dropout": "0"},
			[]string{"gradient_accumulation_steps"},
		},
		{
			"TRL, no bound of lengths", "beta: 0.1\nuse_peft: true\nmax_length: null\nwarmup_ratio: null", "TRL", "dpo",
			map[string]string{"beta": "0.1", "dropout": "0", "max_length": "0"}, []string{"max_length"},
		},
		{
			"TRL, weighted losses", "beta: 0.1\nloss_type: [sigmoid, sft]\nloss_weights: [1.0, 0.2]\nuse_peft: true\ndisable_dropout: false\nlora_dropout: 0.1",
			"TRL", "dpo", map[string]string{"beta": "0.1", "loss": "sigmoid:1,sft:0.2", "dropout": "0.1"}, nil,
		},
		{
			"TRL, weights that do not fit", "loss_type: sigmoid\nloss_weights: [1.0, 0.2]\nlora_dropout: 0.1\nlora_r: 4",
			"TRL", "dpo", map[string]string{"loss": "sigmoid", "rank": "4", "dropout": "0"}, []string{"loss_weights", "lora_dropout"},
		},
		{
			"TRL, reward", "center_rewards_coefficient: 0.01\nmetric_for_best_model: accuracy\n", "TRL", "reward", map[string]string{"centering": "0.01", "best": "eval_accuracy"}, []string{"use_peft"},
		},
		{
			"axolotl", "base_model: m\nload_in_4bit: true\nadapter: qlora\ndatasets:\n- path: data/a.jsonl\n  type: alpaca\n- path: b.parquet\nval_set_size: 0.1\nsequence_len: 4096\nsample_packing: true\nlora_target_linear: true\nmicro_batch_size: 2\nnum_epochs: 4\noptimizer: adamw_bnb_8bit\nlr_scheduler: cosine\nwandb_project: x\nwandb_entity:\ntrain_on_inputs: true\nbf16: auto",
			"axolotl", "sft",
			map[string]string{"model": "m", "quantize": "nf4", "data": "data/a.jsonl,b.parquet", "eval_fraction": "0.1", "max_length": "4096", "packing": "on", "targets": "all-linear", "batch": "2", "epochs": "4", "schedule": "cosine", "loss_on": "all"},
			[]string{"sample_packing", "optimizer", "wandb_project"},
		},
		{
			"axolotl, DPO", "base_model: m\nadapter: lora\nrl: ipo\ndpo_beta: 0.2\nval_set_size: 200\nchat_template: gemma", "axolotl", "dpo",
			map[string]string{"model": "m", "loss": "ipo", "beta": "0.2", "dropout": "0"}, []string{"val_set_size", "chat_template"},
		},
		{
			"axolotl, KTO and newer keys", "base_model: m\nadapter: lora\nlora_target_linear: true\nlora_target_modules: [q_proj]\nrl: kto\nkto_desirable_weight: 1.2\npeft_use_dora: true\nlora_modules_to_save: [lm_head, score]\nloraplus_lr_ratio: 16\npeft_layers_to_transform: [1, 3]\nearly_stopping_patience: 2\nmetric_for_best_model: loss\nuse_tensorboard: true\ndataset_exact_deduplication: true\ndatasets:\n- path: a.jsonl\n  type: {user_defined: x}\n  split: test\n  ds_type: json",
			"axolotl", "dpo",
			map[string]string{
				"model": "m", "targets": "all-linear", "loss": "kto", "desirable_weight": "1.2", "dora": "on", "modules_to_save": "lm_head", "lora_plus_ratio": "16", "layers": "1,3",
				"early_stop": "2", "best": "eval_loss", "tensorboard": "on", "dedupe": "on", "pairs": "a.jsonl", "dropout": "0",
			},
			[]string{"lora_modules_to_save", "datasets[0].split", "datasets[0].type"},
		},
		{
			"axolotl, SimPO", "base_model: m\nrl: simpo\nsimpo_gamma: 1\ncpo_alpha: 0.5", "axolotl", "dpo",
			map[string]string{"model": "m", "loss": "simpo", "simpo_gamma": "1", "nll": "0.5"}, nil,
		},
		{
			"LLaMA-Factory, KTO", "model_name_or_path: m\nstage: kto\nkto_chosen_weight: 2\nlora_dropout: 0.1\nadditional_target: embed_tokens,lm_head\ndisable_shuffling: true\nuse_dora: true\nreport_to: [tensorboard, wandb]",
			"LLaMA-Factory", "dpo",
			map[string]string{"model": "m", "loss": "kto", "desirable_weight": "2", "dropout": "0", "modules_to_save": "embed_tokens,lm_head", "order": "sequential", "dora": "on", "tensorboard": "on"},
			[]string{"report_to", "lora_dropout"},
		},
		{
			"TRL, KTO and DiscoPOP", "undesirable_weight: 0.8\ndiscopop_tau: 0.1\nuse_peft: true\nload_in_4bit: true\nuse_bnb_nested_quant: true", "TRL", "dpo",
			map[string]string{"undesirable_weight": "0.8", "discopop_tau": "0.1", "quantize": "nf4", "double_quant": "on", "dropout": "0"}, nil,
		},
		{
			"LLaMA-Factory", "model_name_or_path: m\nstage: dpo\nfinetuning_type: lora\nlora_target: all\npref_beta: 0.1\npref_ftx: 0.2\ndataset: dpo_en_demo\ntemplate: llama3\ncutoff_len: 1024\noverwrite_cache: true\nquantization_bit: 8", "LLaMA-Factory", "dpo",
			map[string]string{"model": "m", "targets": "all-linear", "beta": "0.1", "nll": "0.2", "template": "llama3", "max_length": "1024", "quantize": "int8", "dropout": "0"}, []string{"dataset"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Convert("x.yaml", []byte(tc.text), "")
			if err != nil {
				t.Fatal(err)
			}
			if c.Tool != tc.tool || c.Method != tc.method {
				t.Errorf("%s, %s, want %s, %s", c.Tool, c.Method, tc.tool, tc.method)
			}
			if diff := cmp.Diff(tc.want, carried(c)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.left, left(c)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a tool does where its file is silent is carried over too.
func TestDefaults(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"TRL trains all weights", "beta: 0.1", "full=on batch=8 epochs=3 schedule=linear learning_rate=1e-06 max_length=1024 eval_fraction=0 !rank"},
		{"TRL's LoRA", "max_seq_length: 9\nuse_peft: true\nshuffle_dataset: false", "!order targets=q_proj,v_proj rank=16 alpha=32 dropout=0.05 learning_rate=2e-05 overlong=truncate !full"},
		{"TRL holds out what it is told to", "beta: 0.1\nlearning_rate: 1e-5", "learning_rate=1e-05"},
		{"axolotl without an adapter", "base_model: m", "full=on eval_fraction=0 batch=1 max_length=512 epochs=1 !rank"},
		{"axolotl's held-out file", "base_model: m\ntest_datasets:\n- path: t.jsonl", "eval=t.jsonl !eval_fraction"},
		{"axolotl's LoRA", "base_model: m\nadapter: qlora\nload_in_4bit: true", "quantize=nf4 double_quant=on dropout=0 warmup=0.03 keep=4 !full !rank"},
		{"axolotl's SimPO", "base_model: m\nrl: simpo", "loss=simpo nll=1 full=on !dropout"},
		{"LLaMA-Factory's 4 bits", "stage: sft\nquantization_bit: 4", "quantize=nf4 double_quant=on dropout=0"},
		{"LLaMA-Factory's KTO", "stage: kto", "loss=kto beta=0.1 dropout=0"},
		{"TRL's KTO", "desirable_weight: 1", "loss=kto learning_rate=1e-06 order=sequential"},
		{"TRL's polynomial", "packing: false\nlearning_rate: 8e-7\nlr_scheduler_type: polynomial", "min_lr_rate=0.125 !power"},
		{"Transformers' constant has no warm-up", "packing: false\nwarmup_ratio: 0.1\nlr_scheduler_type: constant", "warmup=0"},
		{"and with one it has", "packing: false\nwarmup_ratio: 0.1\nlr_scheduler_type: constant_with_warmup", "schedule=constant warmup=0.1"},
		{"TRL's GRPO", "num_generations: 4\nuse_peft: true", "algorithm=grpo k=4 batch=8 rollout=2 mini_batches=1 max_new=512 kl_coef=0 kl_in=ratio-loss learning_rate=1e-06 score_clip=0 missing_eos_penalty=0 !accumulate !max_length"},
		{"TRL's GRPO as its paper has it", "beta: 0.04\nuse_bias_correction_kl: false", "algorithm=grpo kl_coef=0.04 kl_in=loss"},
		{"TRL's PPO", "num_ppo_epochs: 2\nnum_mini_batches: 2\nper_device_train_batch_size: 8\ngradient_accumulation_steps: 4\ntotal_episodes: 1000\nuse_peft: true", "algorithm=ppo k=1 rollout=32 batch=8 ppo_epochs=2 mini_batches=2 steps=128 max_new=53 temperature=0.7 kl_coef=0.05 kl_in=reward learning_rate=5e-05 score_clip=0 missing_eos_penalty=0 clip=0 !accumulate"},
		{"TRL's RLOO up to 0.19", "rloo_k: 4\nkl_coef: 0.1\nreward_clip_range: 5.0\nuse_peft: true", "algorithm=rloo k=4 rollout=2 kl_coef=0.1 score_clip=5 ppo_epochs=4 importance_sampling_level=sequence-sum"},
		{"TRL's order", "num_generations: 4\nshuffle_dataset: false", "order=sequential"},
		{"Transformers' order", "packing: false\ntrain_sampling_strategy: sequential", "order=sequential"},
		{"TRL's RLOO", "normalize_advantages: false\nuse_peft: true", "algorithm=rloo k=2 rollout=4 kl_coef=0.05 kl_in=reward importance_sampling_level=sequence-sum loss_mean=sequence"},
		{"TRL's GRPO by its loss alone", "loss_type: grpo\nuse_peft: true", "algorithm=grpo k=8 loss_mean=sequence !importance_sampling_level"},
		{"TRL's CPO", "cpo_alpha: 0.7\nloss_type: sigmoid\nlabel_smoothing: 0.1", "loss=cpo cpo_alpha=0.7 label_smoothing=0.1 !nll"},
		{"TRL's CPO by its margin alone", "simpo_gamma: 0.5", "loss=cpo !nll"},
		{"TRL's SimPO keeps the likelihood", "simpo_gamma: 1.0\nloss_type: simpo", "loss=simpo simpo_gamma=1 nll=1 !cpo_alpha"},
		{"TRL's SimPO without it", "cpo_alpha: 0.0\nloss_type: simpo", "loss=simpo nll=0 !cpo_alpha"},
		{"TRL's divergences", "f_divergence_type: alpha_divergence\nf_alpha_divergence_coef: 0.3", "f_divergence_type=alpha_divergence f_alpha_divergence_coef=0.3"},
		{"and as 0.19 names them", "f_divergence_type: FDivergenceType.JS_DIVERGENCE", "f_divergence_type=js_divergence"},
		{"numbers in float32 by name", "packing: false\nbf16: false", "precision=f32"},
		{"but not beside fp16", "packing: false\nbf16: false\nfp16: true", "!precision"},
		{"nor over dtype", "packing: false\ndtype: bfloat16\nbf16: false", "precision=bf16"},
		{"the best by the loss", "packing: false\nload_best_model_at_end: true", "best=eval_loss"},
		{"the best by a metric", "beta: 0.1\nload_best_model_at_end: true\nmetric_for_best_model: rewards/margins", "best=eval_rewards/margins"},
		{"TRL's chat template", "packing: false\nchat_template_path: chat.jinja", "template=chat.jinja"},
		{"a folder is no template", "packing: false\nchat_template_path: models/llama", "!template"},
		{"Transformers' epochs", "packing: false\neval_strategy: epoch\nsave_strategy: epoch", "eval_every=1epoch save_every=1epoch"},
		{"a share of the run", "packing: false\neval_strategy: steps\neval_steps: 0.1\nsave_steps: 0.25", "eval_every=0.1 save_every=0.25"},
		{"eval_steps is logging_steps", "stage: sft\neval_strategy: steps\nlogging_steps: 25", "eval_every=25 save_every=500"},
		{"or Transformers' own", "stage: sft\neval_strategy: steps", "eval_every=500"},
		{"or TRL's own", "packing: false\nevaluation_strategy: steps", "eval_every=10 save_every=500"},
		{"no evaluation", "packing: false\neval_steps: 10", "!eval_every save_every=500"},
		{"no checkpoint between", "packing: false\nsave_strategy: \"no\"\nsave_steps: 10", "save_every=0"},
		{"axolotl's evaluations switched off", "base_model: m\nlogging_steps: 1\neval_steps: 0\nsave_steps: 0", "save_every=1epoch"},
		{"axolotl's evaluations beside its logs", "base_model: m\nlogging_steps: 1\neval_steps:\nevals_per_epoch: 4", "eval_every=0.25epoch save_every=1epoch"},
		{"axolotl's evaluations", "base_model: m\nevals_per_epoch: 4", "eval_every=0.25epoch save_every=1epoch"},
		{"axolotl's checkpoints", "base_model: m\nsave_strategy: epoch\nsaves_per_epoch: 2\neval_steps: 7", "eval_every=7 save_every=0.5epoch"},
		{"axolotl's words", "base_model: m\nsave_strategy: \"no\"\neval_strategy: epoch", "eval_every=1epoch save_every=0"},
		{"TRL's dynamic fine-tuning", "loss_type: dft\nuse_peft: true", "loss=dft rank=16"},
		{"TRL's likelihood in chunks", "loss_type: chunked_nll\nuse_peft: true", "!loss"},
		{"axolotl's dynamic fine-tuning", "base_model: m\nenable_dft_loss: true", "loss=dft"},
		{"LLaMA-Factory's", "stage: sft\nuse_dft_loss: true", "loss=dft"},
		{"switched off", "stage: sft\nuse_dft_loss: false", "!loss"},
		{"LLaMA-Factory's alpha", "stage: sft\nlora_rank: 4", "rank=4 alpha=8 learning_rate=5e-05 !full"},
		{"TRL's LoRA without use_peft", "packing: false\nuse_dora: true\nlora_dropout: 0.1", "dora=on dropout=0.1 rank=16 !full"},
		{"TRL's LoRA switched off", "packing: false\nuse_peft: false\nuse_dora: true\nlora_r: 8\nlora_dropout: 0.1", "full=on !dora !rank !dropout"},
		{"LLaMA-Factory's full", "stage: sft\nfinetuning_type: full", "full=on !rank !alpha"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Convert("x.yaml", []byte(tc.text), "")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, v := range c.Values {
				got[v.Key] = v.Text
			}
			for _, want := range strings.Fields(tc.want) {
				key, text, set := strings.Cut(strings.TrimPrefix(want, "!"), "=")
				if have, ok := got[key]; ok != set || have != text {
					t.Errorf("%s is %q, want %s", key, have, want)
				}
			}
		})
	}
}

func TestConvertRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"no settings", "- a", "want one mapping"},
		{"nothing", "", "want one mapping"},
		{"syntax", "a: [", "x.yaml:1: "},
		{"a file of something else", "name: x\nservices: [a]", "no key is one of TRL, axolotl or LLaMA-Factory"},
		{"no method", "learning_rate: 1e-5", "add --method sft, dpo, reward or ppo"},
		{"a word for a number", "beta: much", "x.yaml:1: beta: want a number, got much"},
		{"all faults at once", "beta: 0.1\nuse_peft: maybe\nlora_r: [1]", "x.yaml:3: lora_r: want a number, got 1"},
		{"steps and a half", "beta: 0.1\nsave_steps: 1.5", "x.yaml:2: save_steps: want a whole number of steps, or a share of the run below 1, got 1.5"},
		{"a word for steps", "beta: 0.1\neval_steps: often", "x.yaml:2: eval_steps: want a number, got often"},
		{"a list for a word", "beta: 0.1\nsave_strategy: [steps]", "x.yaml:2: save_strategy: want epoch, steps or no, got steps"},
		{"a ratio above 1", "beta: 0.1\nwarmup_ratio: 3", "want a ratio from 0 to 1, got 3"},
		{"a list for a text", "beta: 0.1\noutput_dir: [a, b]", "output_dir: want a text, got a,b"},
		{"not a number", "beta: .nan", "beta: want a number"},
		{"a negative share", "base_model: m\nval_set_size: -1", "must not be negative"},
		{"a loss of CPO that is not here", "cpo_alpha: 1\nloss_type: hinge", "x.yaml: line 2: loss_type: CPO's hinge, which has no reference, is not to be had here"},
		{"axolotl's grpo", "base_model: m\nrl: grpo", "rl: grpo has no twin"},
		{"a word for a layer", "base_model: m\npeft_layers_to_transform: [first]", "want the numbers of layers, got first"},
		{"a loss that is not here", "stage: dpo\npref_loss: kto_pair", "x.yaml:2: pref_loss: there is no loss kto_pair here"},
		{"LLaMA-Factory's ppo", "stage: ppo", "stage ppo draws answers by top_p and top_k"},
		{"LLaMA-Factory's pt", "stage: pt", "stage pt: texts are run together there"},
		{"a stage that is none", "stage: grpo", "stage grpo has no twin"},
		{"a large file", "beta: 1 #" + strings.Repeat("x", maxFile), "the limit is"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Convert("x.yaml", []byte(tc.text), ""); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// --method takes a file of stage pt over, and says what is other; not one of ppo.
func TestStagesWithoutATwin(t *testing.T) {
	c, err := Convert("x.yaml", []byte("stage: pt\ncutoff_len: 64"), "sft")
	if err != nil || len(c.Left) != 1 || c.Left[0].Key != "stage" || !strings.Contains(c.Left[0].Reason, "by itself") {
		t.Errorf("pt as sft: %v, %+v", err, c)
	}
	for stage, method := range map[string]string{"pt": "dpo", "ppo": "ppo"} {
		if _, err := Convert("x.yaml", []byte("stage: "+stage), method); err == nil || !strings.Contains(err.Error(), "x.yaml:1: stage: ") {
			t.Errorf("%s as %s: %v", stage, method, err)
		}
	}
}

// Every key of a file is carried over, left with a reason, or known to be what
// happens anyway: nothing unknown goes unsaid.
func TestNoUnknownKeyIsSilent(t *testing.T) {
	c, err := Convert("x.yaml", []byte("beta: 0.1\neval_steps: 5\nsave_strategy: often\nsome_new_key: 1\nlogging_steps: 1\nneftune_noise_alpha: 5\nhub_model_id: x"), "dpo")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"some_new_key", "logging_steps", "neftune_noise_alpha", "hub_model_id", "eval_steps", "save_strategy"}, left(c)); diff != "" {
		t.Error(diff)
	}
	for _, l := range c.Left {
		if l.Reason == "" || l.Line == 0 {
			t.Errorf("%s is left without a reason or a line: %+v", l.Key, l)
		}
	}
}

// What is carried over and counts otherwise here is told as well.
func TestWhatCountsOtherwiseIsTold(t *testing.T) {
	for text, want := range map[string][]string{
		"beta: 0.1\nlabel_smoothing: 0.1":                                                            {"label_smoothing"},
		"beta: 0.1\nlabel_smoothing: 0.0":                                                            nil,
		"beta: 0.1\nloss_type: robust\nlabel_smoothing: 0.1":                                         nil,
		"cpo_alpha: 1\nlabel_smoothing: 0.1":                                                         nil,
		"beta: 0.1\nshuffle_dataset: true\ntrain_sampling_strategy: sequential":                      {"shuffle_dataset"},
		"packing: false\ncompletion_only_loss: true\nshuffle_dataset: true":                          nil,
		"cpo_alpha: 1\nalpha: 0.5":                                                                   {"alpha"},
		"num_generations: 8\nloss_type: luspo":                                                       {"loss_type"},
		"num_generations: 8\ntop_entropy_quantile: 0.2\nscale_rewards: batch\nentropy_coef_min: 0.1": {"scale_rewards", "top_entropy_quantile", "entropy_coef_min"},
	} {
		c, err := Convert("x.yaml", []byte(text+"\nuse_peft: true"), "")
		if err != nil {
			t.Fatal(err)
		}
		got := left(c)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v are told, want %v", text, got, want)
		}
	}
}

func FuzzConvert(f *testing.F) {
	for _, seed := range []string{"beta: 1", "base_model: m\ndatasets: [{path: 1}]", "stage: sft\nlora_rank: .inf", "{a: {b: c}}", "\xff", "loss_type: [[1]]\nloss_weights: {a: 1}", "beta: 1\nbeta: 2",
		"lr_scheduler_type: polynomial\nlearning_rate: 0\nlr_scheduler_kwargs: {power: [1], lr_end: x}", "num_generations: 0\ngeneration_batch_size: 1e300\nreward_clip_range: [1]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, method := range []string{"", "sft", "reward", "ppo"} {
			if c, err := Convert("x.yaml", data, method); err == nil {
				_ = fmt.Sprint(c)
			}
		}
	})
}
