package bench

import (
	"time"

	"align/datasets"
	"align/internal/cost"
	"align/internal/exec"
	"align/internal/optim"
	"align/model"
	"align/sft"
)

// sample is one calibrating model: its step with the step's operations and
// times.
type sample struct {
	threads      int
	model        *model.Model
	adam         *optim.AdamW
	one          training
	layers, rest float64
	size         cost.Work
	// repeat is how many steps a time is of.
	repeat int
	times  timing
}

// open makes the model, an adapter like the run's and a pack like its packs.
func (c *sample) open(p Planned, depth int, save exec.SavePolicy, pack Pack, peak float64) (err error) {
	config := p.Config
	config.NumLayers, config.VocabSize = depth, min(config.VocabSize, calibrationVocab)
	deep := config
	deep.NumLayers = 2
	examples := calibrationPack(pack, config.VocabSize, cost.Of(deep, nil), peak*calibrationStep.Seconds())
	c.size = workOf(examples)
	if p.Full {
		return c.openFull(p, config, save, examples)
	}
	if c.model, err = model.Random(config, p.Backend, p.Act, p.Stored, seed); err != nil {
		return err
	}
	lora := p.LoRA
	lora.Targets = model.Modules
	a, err := model.NewAdapter(config, lora)
	if err != nil {
		return err
	}
	values, err := c.model.InitialAdapter(a, seed)
	if err != nil {
		return err
	}
	if err := c.model.AllocAdapter(a, values); err != nil {
		return err
	}
	if c.adam, err = optim.New(p.Backend, optim.DefaultConfig(), optim.Flat{Value: a.Value, Grad: a.Grad}); err != nil {
		return err
	}
	settings := sft.DefaultConfig()
	settings.Dropout = p.LoRA.Dropout
	c.one = training{
		method:  &sft.Trainer{Config: settings, Model: c.model, Adapter: a, Save: save, Examples: examples},
		indices: upTo(len(examples)), weight: 1,
	}
	c.count(cost.Of(config, a))
	return nil
}

// openFull makes the model with all its weights to train.
func (c *sample) openFull(p Planned, config model.Config, save exec.SavePolicy, examples []datasets.Example) (err error) {
	var full *model.Full
	if c.model, full, err = model.NewRandom(config, p.Backend, p.Act, seed, 0.02); err != nil {
		return err
	}
	if c.adam, err = optim.New(p.Backend, optim.DefaultConfig(), optim.Flat{Value: full.Value, Grad: full.Grad}); err != nil {
		return err
	}
	settings := sft.DefaultConfig()
	settings.Full, settings.Dropout = true, 0
	c.one = training{
		method:  &sft.Trainer{Config: settings, Model: c.model, Full: full, Save: save, Examples: examples},
		indices: upTo(len(examples)), weight: 1,
	}
	c.count(cost.Of(config, nil).Full())
	return nil
}

// count takes a step's operations apart.
func (c *sample) count(x cost.Model) {
	headless := x.Headless()
	c.layers = headless.Forward(c.size) + headless.Backward(c.size)
	c.rest = x.Forward(c.size) + x.Backward(c.size) - c.layers
}

// step times as many steps as a time is of.
func (c *sample) step() error {
	return c.times.add(func() error {
		for range c.repeat {
			if err := c.one.step(c.adam, len(c.times.wall)+1); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxRepeat bounds the steps that a time is of.
const maxRepeat = 100

// warm makes the first step, which reserves memory, and says how many it takes for
// the processor's clock to tell their time, no more than fit in span: from a second one,
// where that is not plain already.
func (c *sample) warm(span time.Duration) error {
	c.repeat = 1
	if err := c.step(); err != nil || c.times.wall[0] > 10*coreResolution {
		c.times = timing{}
		return err
	}
	if err := c.step(); err != nil {
		return err
	}
	took := c.times.wall[1]
	if core := c.times.core[1] / float64(c.threads); core > 0 {
		took = min(took, core)
	}
	c.repeat = min(max(int(min(1.5*coreResolution, span.Seconds())/max(took, 1e-6)), 1), maxRepeat)
	c.times = timing{}
	return nil
}

// seconds is a step's on a machine without other work: see quietSeconds.
func (c *sample) seconds() float64 {
	return quietSeconds(c.times.wall, c.times.core, c.threads) / float64(max(c.repeat, 1))
}

func (c *sample) close() {
	if c.adam != nil {
		c.adam.Close()
	}
	if c.model != nil {
		c.model.Close()
	}
}

// calibrationPack are examples like an average pack's, their number and then
// their length cut to what a step has operations for.
func calibrationPack(pack Pack, vocab int, x cost.Model, flops float64) []datasets.Example {
	length := max(int(pack.Tokens)/pack.Sequences, 2)
	most := int(flops / (3 * x.Forward(cost.Work{Tokens: 1, Targets: 1})))
	length = min(length, max(most, 32))
	// Attention runs at a tenth of the products' rate or less.
	for length > 64 && 3*x.Forward(cost.Work{Tokens: float64(length), Targets: float64(length), Pairs: 10 * cost.Causal(length, 0)}) > flops {
		length -= length / 8
	}
	count := max(min(pack.Sequences, most/length), 1)
	// A reward model predicts less than one token of a short text; one is the least.
	share := max(pack.Targets/max(pack.Tokens, 1), 1.5/float64(length))
	return randomExamples(vocab, count, length, min(share, 1))
}
