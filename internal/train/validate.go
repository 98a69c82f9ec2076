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
		positive("learning_rate", s.LearningRate, false), shareOrSteps("warmup", s.Warmup), within("weight_decay", s.WeightDecay, 0, 1),
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

// shareOrSteps is a share of a run's steps below 1, else their number.
func shareOrSteps(key string, v float64) error {
	if v > 1 && v != math.Trunc(v) {
		return fmt.Errorf("%s must be a share below 1 or a whole number of steps, got %v", key, v)
	}
	return within(key, v, 0, 1e9)
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
