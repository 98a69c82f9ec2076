package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"align/datasets"
	"align/internal/device"
	"align/internal/host"
	"align/internal/mlflow"
	"align/internal/nearest"
	"align/internal/optim"
	"align/model"
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
	Targets string `yaml:"targets"`
	// Layers limits the adapter to a range of layers, "8-15"; "" is all.
	Layers string `yaml:"layers,omitempty"`
	// RSLoRA scales by alpha/sqrt(rank) (https://arxiv.org/abs/2312.03732).
	RSLoRA bool `yaml:"rslora,omitempty"`
	// DoRA trains the lengths of the weights' rows too (https://arxiv.org/abs/2402.09353).
	DoRA bool `yaml:"dora,omitempty"`
	// ModulesToSave are trained whole beside the adapter: embed_tokens, lm_head.
	ModulesToSave string `yaml:"modules_to_save,omitempty"`
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

// leastEpsilon keeps AdamW's epsilon a normal float32: at 0 an element that has
// no gradient yet would be 0/0.
const leastEpsilon = 1e-37

// choices are the values of the settings that have a fixed list.
var choices = map[string][]string{
	"schedule":    append(optim.Schedules(), WarmedConstant),
	"order":       {"shuffle", "sequential"},
	"overlong":    {"drop", "truncate-prompt", "truncate", "error"},
	"bad_records": {"default", "strict", "skip"},
	"precision":   {"auto", "f32", "bf16"},
	"save_policy": {"auto", "tiled", "none", "attention", "products", "all"},
}

// Validate returns all faults of the settings at once.
func (s Settings) Validate() error {
	return errors.Join(
		positive("epochs", s.Epochs, s.Steps > 0), atMost("epochs", s.Epochs, maxEpochs), atLeast("steps", s.Steps, 0), atMost("steps", float64(s.Steps), maxSteps),
		atLeast("batch", s.Batch, 1), atMost("batch", float64(s.Batch), maxBatch), atLeast("accumulate", s.Accumulate, 1), atMost("accumulate", float64(s.Accumulate), maxBatch), atLeast("max_length", s.MaxLength, 0),
		positive("learning_rate", s.LearningRate, false), within("warmup", s.Warmup, 0, 1e9), within("weight_decay", s.WeightDecay, 0, 1),
		within("clip", s.Clip, 0, 1e9), belowOne("adam_beta1", s.AdamBeta1), belowOne("adam_beta2", s.AdamBeta2), within("adam_epsilon", s.AdamEpsilon, leastEpsilon, 1),
		atLeast("rank", s.Rank, 1), atMost("rank", float64(s.Rank), maxRank), positive("alpha", s.Alpha, false), within("dropout", s.Dropout, 0, 0.999), device.Dropout{P: s.Dropout}.Check(),
		positive("source_epochs", s.SourceEpochs, false), within("eval_fraction", s.EvalFraction, 0, 0.9),
		atLeast("keep", s.Keep, 1), s.checkEarlyStop(), s.checkTrack(), atLeast("threads", s.Threads, 0), atMost("threads", float64(s.Threads), host.MaxThreads),
		s.checkSchedule(), oneOf("order", s.Order), oneOf("overlong", s.Overlong), oneOf("bad_records", s.BadRecords),
		oneOf("precision", s.Precision), oneOf("save_policy", s.SavePolicy), model.CheckQuantize(s.Quantize), s.checkMachine(),
		positive("lora_plus_ratio", s.LoRAPlusRatio, false), s.checkVariant(),
	)
}

// Bounds far above what a run is asked for, which keep a slip of the keyboard from
// filling the memory, or from a number of steps that no integer holds.
const (
	maxEpochs = 1e6
	maxBatch  = 1 << 20
	maxRank   = 1 << 16 // no layer of a Llama is wider
)

// checkVariant refuses settings of an adapter that do not go together.
func (s Settings) checkVariant() error {
	_, wrongSaved := model.ParseSaved(s.ModulesToSave)
	_, wrongTargets := model.ParseTargets(s.Targets)
	_, wrongLayers := model.ParseLayers(s.Layers, model.MaxLayers)
	errs := []error{wrongSaved, wrongTargets, wrongLayers}
	if s.DoubleQuant && s.Quantize != "nf4" {
		errs = append(errs, fmt.Errorf("double_quant is for quantize nf4, got quantize %q", s.Quantize))
	}
	if s.Full && (s.DoRA || s.ModulesToSave != "" || s.LoRAPlusRatio != 1) {
		errs = append(errs, errors.New("full trains all weights: dora, modules_to_save and lora_plus_ratio are settings of an adapter"))
	}
	switch {
	case s.InitSpecial == "":
	case s.InitSpecial != "mean":
		errs = append(errs, fmt.Errorf("init_special must be mean, got %q", s.InitSpecial))
	case !s.Full && s.ModulesToSave == "":
		errs = append(errs, errors.New("init_special changes rows of the embedding and the head, which an adapter alone does not hold: it takes modules_to_save embed_tokens,lm_head, or full"))
	case s.Adapter != "":
		errs = append(errs, errors.New("init_special is for a new adapter: the one that is gone on with has its rows"))
	}
	return errors.Join(errs...)
}

// checkMachine refuses names of devices, sizes and columns that mean nothing.
func (s Settings) checkMachine() error {
	_, wrongSize := host.ParseSize(s.Memory)
	_, wrongMap := datasets.ParseMapping(s.Map)
	return errors.Join(host.CheckDevice(s.Device), wrongSize, wrongMap)
}

// checkTrack refuses what names no tracking server.
func (s Settings) checkTrack() error {
	if s.Track == "" {
		return nil
	}
	target, ok := strings.CutPrefix(s.Track, TrackMLflow)
	if !ok {
		return fmt.Errorf("track must be %shttp://HOST:PORT, got %q", TrackMLflow, s.Track)
	}
	if _, err := mlflow.ParseTarget(target); err != nil {
		return fmt.Errorf("track: %w", err)
	}
	return nil
}

// TrackMLflow begins a Track that names an MLflow server.
const TrackMLflow = "mlflow:"

// CheckBest refuses a best that is none of the metrics that an evaluation of the
// method measures.
func (s Settings) CheckBest(measured []string) error {
	if s.Best == "" || slices.Contains(measured, s.Best) {
		return nil
	}
	bare := strings.TrimPrefix(s.Best, "eval_") // TRL's word for it
	if near := nearest.Name("eval_"+bare, measured); near != "" {
		return fmt.Errorf("best is %q, which is not measured: did you mean %s", s.Best, near)
	}
	return fmt.Errorf("best is %q, which is not measured: want one of %s", s.Best, strings.Join(measured, ", "))
}

// checkEarlyStop refuses to stop by an evaluation that there is not.
func (s Settings) checkEarlyStop() error {
	errs := []error{atLeast("early_stop", s.EarlyStop, 0)}
	if s.EarlyStop > 0 && (s.Best == "" || s.Eval == "" && s.EvalFraction == 0) {
		errs = append(errs, fmt.Errorf("early_stop is %d, but there is no evaluation to stop by: it takes best, and eval or eval_fraction", s.EarlyStop))
	}
	return errors.Join(errs...)
}

// The comparisons are written so that a NaN fails them.

func positive(key string, v float64, unused bool) error {
	if unused || v > 0 && v <= math.MaxFloat64 {
		return nil
	}
	return fmt.Errorf("%s must be positive and finite, got %v", key, v)
}

func within(key string, v, lo, hi float64) error {
	if v >= lo && v <= hi {
		return nil
	}
	return fmt.Errorf("%s must lie in [%v, %v], got %v", key, lo, hi, v)
}

func belowOne(key string, v float64) error {
	if v >= 0 && v < 1 {
		return nil
	}
	return fmt.Errorf("%s must lie in [0, 1), got %v", key, v)
}

func atLeast(key string, v, least int) error {
	if v >= least {
		return nil
	}
	return fmt.Errorf("%s must be at least %d, got %d", key, least, v)
}

func atMost(key string, v, most float64) error {
	if v > most {
		return fmt.Errorf("%s must be at most %.0f, got %v", key, most, v)
	}
	return nil
}

func oneOf(key, v string) error {
	if slices.Contains(choices[key], v) {
		return nil
	}
	return fmt.Errorf("%s must be one of %s, got %q", key, strings.Join(choices[key], ", "), v)
}
