// Package bench measures how fast a machine runs a model of random weights. [Measure]
// runs workloads, a trainer's steps, generation or single kernels, and gives every
// [Figure] beside its floor, the best that the machine allows; it is align bench.
// [Planned] finds the [Speed] behind the times of align plan by the same steps.
// It reads no data, and no model but a GGUF file that is named.
package bench

import (
	"context"
	"fmt"
	"strings"

	"align/internal/compute"
	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/host"
	"align/internal/work"
	"align/model"
)

// Workloads lists what Measure takes: steps of the trainers, generation, the
// largest kernels by themselves, and the machine's own rates.
var Workloads = []string{"sft", "dpo", "ppo", "decode", "rollout", "gemm", "attention", "elementwise", "machine"}

// Measure measures the workloads, each on a device of its own, and hands every figure to emit.
func Measure(ctx context.Context, o Options, env work.Environment, emit func(Figure) error) error {
	if err := o.Validate(); err != nil {
		return err
	}
	for _, w := range o.Workloads {
		if err := measure(ctx, w, o, env, emit); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

// measure measures one workload on a device of its own.
func measure(ctx context.Context, workload string, o Options, env work.Environment, emit func(Figure) error) error {
	config, err := Shape(o.Shape)
	if err != nil {
		return err
	}
	b := &bench{options: o, config: config, env: env, emit: emit, workload: workload}
	if b.backend, b.act, err = o.Compute.Open(env.Note, env.Threads); err != nil {
		return err
	}
	defer func() { b.backend.Close() }()
	if b.rates, err = newRates(o.Compute); err != nil {
		return err
	}
	if card, is := b.backend.(*cuda.Backend); is {
		b.backend = profileOf(card)
		if err := b.rates.measureCard(b.backend, b.act, cardProbe); err != nil {
			return err
		}
	}
	b.rates.measureArithmetic()
	env.Tell(b.describe())
	switch workload {
	case "sft":
		return b.sft(ctx)
	case "dpo":
		return b.dpo(ctx)
	case "ppo":
		return b.ppo(ctx)
	case "decode":
		return b.decode(ctx)
	case "rollout":
		return b.rollout(ctx)
	case "gemm":
		return b.gemm(ctx)
	case "attention":
		return b.attention(ctx)
	case "elementwise":
		return b.elementwise(ctx)
	}
	return b.machine()
}

// Shape is the shape of a name of model.ShapeNames, or of a model.
func Shape(name string) (model.Config, error) {
	if model.IsShape(name) {
		return model.Shape(name)
	}
	c, err := model.ReadConfig(name)
	if err != nil {
		return c, fmt.Errorf("cfg %q is neither one of %s nor a model: %w", name, strings.Join(model.ShapeNames, ", "), err)
	}
	return c, nil
}

// bench is one workload under measurement.
type bench struct {
	options  Options
	workload string
	config   model.Config
	env      work.Environment
	emit     func(Figure) error
	backend  compute.Backend
	act      device.Type
	rates    *rates
	// inKernels is the time of one step's kernels by a card's clock, 0 on the CPU.
	inKernels float64
}

func (b *bench) describe() string {
	o := b.options
	sizes, form := fmt.Sprintf("batch %d of %d tokens", o.Batch, o.Length), o.Compute.Precision
	if o.Quantize != "" {
		form += " on " + o.Quantize
	}
	switch b.workload {
	case "dpo":
		sizes = fmt.Sprintf("%d pairs of a prompt of %d and answers of %d tokens, reference %s", o.Batch, o.Prompt, o.Response, o.Reference)
	case "ppo":
		sizes = fmt.Sprintf("%d answers of %d tokens to prompts of %d, %d to a micro-batch, %d epochs", o.Batch, o.Response, o.Prompt, min(o.Micro, o.Batch), ppoEpochs)
	case "decode", "rollout":
		sizes = fmt.Sprintf("batch %d, prompts of %d and answers of %d tokens", o.Batch, o.Prompt, o.Response)
	}
	if o.Compute.OnCard() {
		return fmt.Sprintf("%s: %s (%d parameters), %s, %s, %s; floors are what its own kernels reach on a product of %d and a sum of %d elements",
			b.workload, o.Shape, b.config.Parameters(), form, sizes, b.backend.Name(), cardProbe.side, cardProbe.elements)
	}
	return fmt.Sprintf("%s: %s (%d parameters), %s, %s, %d threads, level %s", b.workload, o.Shape, b.config.Parameters(), form, sizes, b.rates.threads, b.rates.set.Level)
}

// stored is the type that weights have in memory: on a card, which rounds all others,
// BF16.
func (b *bench) stored() device.Type {
	if b.options.Compute.Precision == "bf16" || b.act == device.BF16 {
		return device.BF16
	}
	return device.F32
}

// seed of the weights and tokens.
const seed = 1

// model makes the model of random weights, or loads a GGUF file's own.
func (b *bench) model() (*model.Model, error) {
	if model.IsGGUF(b.options.Shape) {
		return b.load()
	}
	return model.RandomQuantised(b.config, b.backend, b.act, b.stored(), b.options.Quantize, seed)
}

// load reads a GGUF file's weights and says what is held of them.
func (b *bench) load() (*model.Model, error) {
	o := model.LoadOptions{Quantize: b.options.Quantize, Progress: b.env.Doing("loading the model")}
	m, err := model.LoadWith(b.options.Shape, b.backend, b.act, o)
	if err == nil {
		b.env.Tell(m.Summary(b.options.Shape, o))
	}
	return m, err
}

// adapter makes an adapter on all linear layers, as most users train.
func (b *bench) adapter(m *model.Model) (*model.Adapter, error) {
	a, err := model.NewAdapter(b.config, model.LoRAConfig{Rank: b.options.Rank, Alpha: 2 * float64(b.options.Rank), Dropout: b.options.Dropout, Targets: model.Modules})
	if err != nil {
		return nil, err
	}
	return a, m.AllocAdapter(a, a.Initial(seed))
}

// peak is the most memory in bytes that was taken: of the card, or by the process.
func (b *bench) peak() int64 {
	if p, is := b.backend.(interface{ Peak() int64 }); is {
		return p.Peak()
	}
	return host.PeakMemory()
}
