package train

import (
	"align/internal/optim"
)

// Settings are the options that all training commands share, under one name as
// flag (--learning-rate), YAML key (learning_rate) and Go field. The methods
// embed them in their own configs.
type Settings struct {
	// Model names the base model: a folder, a GGUF file, or one of a local store.
	Model string `yaml:"model"`
	// Quantize is the type that the base's linear weights are held in, one of
	// model.Quantizations; "" leaves them as they are stored.
	Quantize string `yaml:"quantize,omitempty"`
	// DoubleQuant rounds the scales of nf4 as QLoRA's double quantisation does.
	DoubleQuant bool `yaml:"double_quant,omitempty"`
	// Full trains all weights of the model instead of an adapter.
	Full bool `yaml:"full,omitempty"`
	// Adapter is the adapter, run or checkpoint to start from; "" starts a new one.
	Adapter string `yaml:"adapter,omitempty"`
	// Out is the run folder; "" takes runs/METHOD-NNN.
	Out string `yaml:"out,omitempty"`

	// Epochs is how often the data is seen; Steps > 0 sets the number of
	// optimizer steps instead and wraps round the data.
	Epochs float64 `yaml:"epochs"`
	Steps  int     `yaml:"steps,omitempty"`
	// Batch is the number of examples or pairs of a micro-step; Accumulate
	// micro-steps make one optimizer step.
	Batch      int `yaml:"batch"`
	Accumulate int `yaml:"accumulate"`
	// MaxLength bounds prompt and answer together, in tokens; 0 takes
	// min(2048, the model's context).
	MaxLength int `yaml:"max_length,omitempty"`

	LearningRate float64 `yaml:"learning_rate"`
	Schedule     string  `yaml:"schedule"`
	// Warmup below 1 is a fraction of the steps, else a number of steps.
	Warmup float64 `yaml:"warmup"`
	// MinLRRate is the least rate as a share of LearningRate, NumCycles the half
	// cosines of cosine_with_restarts, Power that of polynomial, and Decay how long
	// warmup_stable_decay falls, counted like Warmup.
	MinLRRate   float64 `yaml:"min_lr_rate"`
	NumCycles   int     `yaml:"num_cycles"`
	Power       float64 `yaml:"power"`
	Decay       float64 `yaml:"decay"`
	WeightDecay float64 `yaml:"weight_decay"`
	// AdamBeta1 and AdamBeta2 are AdamW's decay of its moments, AdamEpsilon is
	// added to the root of the second.
	AdamBeta1   float64 `yaml:"adam_beta1"`
	AdamBeta2   float64 `yaml:"adam_beta2"`
	AdamEpsilon float64 `yaml:"adam_epsilon"`
	// Clip is the largest global gradient norm; 0 turns clipping off.
	Clip float64 `yaml:"clip"`

	Rank    int     `yaml:"rank"`
	Alpha   float64 `yaml:"alpha"`
	Dropout float64 `yaml:"dropout"`
	// Targets are the adapted modules by name, separated by commas, or all-linear.
	Targets string `yaml:"targets" config:"names"`
	// Layers limits the adapter to a range of layers, "8-15"; "" is all.
	Layers string `yaml:"layers,omitempty"`
	// RSLoRA scales by alpha/sqrt(rank) (https://arxiv.org/abs/2312.03732).
	RSLoRA bool `yaml:"rslora,omitempty"`
	// DoRA trains the lengths of the weights' rows too (https://arxiv.org/abs/2402.09353).
	DoRA bool `yaml:"dora,omitempty"`
	// ModulesToSave are trained whole beside the adapter: embed_tokens, lm_head.
	ModulesToSave string `yaml:"modules_to_save,omitempty" config:"names"`
	// LoRAPlusRatio is B's learning rate as a multiple of A's
	// (https://arxiv.org/abs/2402.12354); 1 is plain LoRA.
	LoRAPlusRatio float64 `yaml:"lora_plus_ratio"`
	// InitSpecial says what becomes of special tokens that the base never
	// trained and the data uses: "mean" starts their rows as the mean of the
	// others, "" leaves them.
	InitSpecial string `yaml:"init_special,omitempty"`

	Seed  uint64 `yaml:"seed"`
	Order string `yaml:"order"`
	// Packing lays a micro-step's examples end to end in one row of tokens.
	Packing bool `yaml:"packing"`

	// Eval is a file of held-out examples; without it EvalFraction of the data
	// is held out (0 turns evaluation off). EvalEvery of 0 evaluates before the
	// first and after the last step only.
	Eval         string  `yaml:"eval,omitempty"`
	EvalFraction float64 `yaml:"eval_fraction"`
	EvalEvery    Every   `yaml:"eval_every,omitempty"`
	// SaveEvery of 0 saves after the last step only; Keep is the number of
	// checkpoints kept.
	SaveEvery Every `yaml:"save_every"`
	Keep      int   `yaml:"keep"`
	// Best is the metric of the evaluation by which a checkpoint is kept beside
	// the newest ones; "" keeps none. EarlyStop ends the run after that many
	// evaluations in a row without a better one; 0 is off.
	Best      string `yaml:"best,omitempty"`
	EarlyStop int    `yaml:"early_stop,omitempty"`
	// TensorBoard writes event files into the run's folder tensorboard.
	TensorBoard bool `yaml:"tensorboard,omitempty"`
	// Track is where metrics are posted while the run goes on: "mlflow:URL", or
	// "" for nowhere.
	Track string `yaml:"track,omitempty"`
	// Resume goes on from the newest valid checkpoint of Out.
	Resume bool `yaml:"-"`

	Overlong   string `yaml:"overlong"`
	BadRecords string `yaml:"bad_records"`
	// Map names foreign columns: "prompt=Question,chosen=Better".
	Map      string `yaml:"map,omitempty"`
	Template string `yaml:"template"`

	// Dedupe leaves exact repetitions, and what stands in the evaluation too, out
	// of the training data; else they are only counted.
	Dedupe bool `yaml:"dedupe,omitempty"`
	// SourceEpochs bounds an epoch of a mixture of files with weights: none of
	// them is passed over more often in it.
	SourceEpochs float64 `yaml:"source_epochs"`

	Threads   int    `yaml:"threads,omitempty"`
	Device    string `yaml:"device"`
	Precision string `yaml:"precision"`
	// Memory is the most that is used of a card, as "24GiB"; "" is all.
	Memory string `yaml:"memory,omitempty"`
	// SavePolicy says which activations a layer keeps for its backward pass:
	// auto, none, attention, products or all.
	SavePolicy string `yaml:"save_policy"`
}

// defaultSourceEpochs is how often data can be repeated with about the gain of
// new data (https://arxiv.org/abs/2305.16264, section 6).
const defaultSourceEpochs = 4

// defaultDecay is the share of the steps over which the rate of
// https://arxiv.org/abs/2404.06395, section 4, falls.
const defaultDecay = 0.1

// DefaultSettings are the defaults where the methods do not differ.
func DefaultSettings() Settings {
	adam := optim.DefaultConfig()
	return Settings{
		Epochs: 1, Batch: 4, Accumulate: 1,
		Schedule: "cosine", NumCycles: 1, Power: 1, Decay: defaultDecay,
		Clip: adam.Clip, AdamBeta1: adam.Beta1, AdamBeta2: adam.Beta2, AdamEpsilon: adam.Eps,
		Rank: 16, Alpha: 32, Targets: "all-linear", LoRAPlusRatio: 1,
		Seed: 42, Order: "shuffle", Packing: true,
		EvalFraction: 0.05, SaveEvery: EverySteps(500), Keep: 2, Best: "eval_loss",
		Overlong: "drop", BadRecords: "default", Template: "auto",
		SourceEpochs: defaultSourceEpochs,
		Device:       "auto", Precision: "auto", SavePolicy: "auto",
	}
}

// AdamW are the optimizer's constants.
func (s Settings) AdamW() optim.Config {
	return optim.Config{Beta1: s.AdamBeta1, Beta2: s.AdamBeta2, Eps: s.AdamEpsilon, WeightDecay: s.WeightDecay, Clip: s.Clip}
}

// TrackMLflow begins a Track that names an MLflow server.
const TrackMLflow = "mlflow:"
