package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/internal/compute"
	"align/internal/device"
	"align/internal/nearest"
	"align/model"
)

// Options say what to measure, on a model of random weights.
type Options struct {
	Workloads []string
	// Shape is a name of model.ShapeNames, a model folder whose shape is taken, or a
	// GGUF file, whose weights are taken as well: they are of several types.
	Shape string
	// Batch is the sequences of a step (sft, decode and the kernels), its
	// pairs (dpo) or the answers of a rollout (rollout, ppo).
	Batch int
	// Micro is the answers of a micro-batch of ppo.
	Micro int
	// Length is the tokens of a sequence of sft, gemm, attention and elementwise.
	Length int
	// Prompt and Response are the tokens of dpo's pairs and of what is generated.
	Prompt, Response int
	// LossShare is the share of sft's tokens that carry loss, at the end.
	LossShare float64
	// Reference says what dpo's step includes: "cached" log-probabilities, or
	// "every", the reference's pass over its pairs as well.
	Reference string
	Rank      int
	// Dropout is that of the adapter in sft and dpo. No floor counts it.
	Dropout float64
	// Quantize is how the model's linear layers are held: "" as Compute.Precision says,
	// or one of model.Quantizations.
	Quantize string
	// Steps are measured, Warmup steps before them are not.
	Steps, Warmup int
	SavePolicy    string
	// Compute holds a precision of f32 or bf16: there is no auto.
	Compute compute.Settings
}

// DefaultOptions are the sizes of a step that takes seconds on two cores.
func DefaultOptions() Options {
	return Options{
		Shape: "small", Batch: 1, Micro: 2, Length: 512, Prompt: 256, Response: 256, LossShare: 1, Reference: "cached",
		Rank: 16, Steps: 5, Warmup: 1, SavePolicy: "auto", Compute: compute.Settings{Precision: "f32"},
	}
}

// Validate returns all faults of the options at once.
func (o Options) Validate() error {
	var errs []error
	known := map[string]bool{}
	for _, w := range Workloads {
		known[w] = true
	}
	for _, w := range o.Workloads {
		if known[w] {
			continue
		}
		err := fmt.Errorf("unknown workload %q, want some of %s", w, strings.Join(Workloads, ", "))
		if near := nearest.Name(w, Workloads); near != "" {
			err = fmt.Errorf("unknown workload %q, did you mean %q", w, near)
		}
		errs = append(errs, err)
	}
	errs = append(errs, o.checkQuantize())
	errs = append(errs, o.checkSizes())
	if o.Compute.Threads < 0 {
		errs = append(errs, fmt.Errorf("threads must not be negative, got %d", o.Compute.Threads))
	}
	if !(o.LossShare > 0 && o.LossShare <= 1) {
		errs = append(errs, fmt.Errorf("loss_share must lie in (0, 1], got %v", o.LossShare))
	}
	if err := (device.Dropout{P: o.Dropout}).Check(); err != nil {
		errs = append(errs, err)
	}
	if o.Reference != "cached" && o.Reference != "every" {
		errs = append(errs, fmt.Errorf("reference must be cached or every, got %q", o.Reference))
	}
	if o.Compute.Precision != "f32" && o.Compute.Precision != "bf16" {
		errs = append(errs, fmt.Errorf("precision must be f32 or bf16, got %q", o.Compute.Precision))
	}
	return errors.Join(errs...)
}

const (
	maxSize   = 1 << 16 // of each size
	maxTokens = 1 << 20 // of a batch
)

// checkSizes refuses what no machine measures.
func (o Options) checkSizes() error {
	var errs []error
	for _, n := range []struct {
		name         string
		value, least int
	}{
		{"batch", o.Batch, 1}, {"micro", o.Micro, 1}, {"seq", o.Length, 2}, {"prompt", o.Prompt, 1}, {"resp", o.Response, 1}, {"rank", o.Rank, 1},
		{"steps", o.Steps, 1}, {"warmup", o.Warmup, 0},
	} {
		if n.value < n.least || n.value > maxSize {
			errs = append(errs, fmt.Errorf("%s must lie in [%d, %d], got %d", n.name, n.least, maxSize, n.value))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if n := o.Batch * max(o.Length, o.Prompt+2*o.Response); n > maxTokens {
		return fmt.Errorf("batch %d is %d tokens, at most %d", o.Batch, n, maxTokens)
	}
	return nil
}

// checkQuantize also refuses the workloads that hold no model.
func (o Options) checkQuantize() error {
	err := model.CheckQuantize(o.Quantize)
	for _, w := range o.Workloads {
		if o.Quantize != "" && slices.Contains([]string{"gemm", "attention", "elementwise", "machine"}, w) {
			err = errors.Join(err, fmt.Errorf("quantize is for workloads that hold a model, which %s does not", w))
		}
	}
	return err
}
