package bench

import (
	"context"
	"errors"
	"slices"
	"time"

	"align/datasets"
	"align/internal/compute"
	"align/internal/cost"
	"align/internal/device"
	"align/internal/exec"
	"align/internal/host"
	"align/internal/optim"
	"align/model"
	"align/sft"
)

// Planned is a run that is planned, as far as its speed hangs on it. What is measured
// has its widths and random weights.
type Planned struct {
	Compute compute.Settings // with the precision settled
	Backend compute.Backend
	Act     device.Type // of activations
	Config  model.Config
	// Stored is the type that most of its weights have.
	Stored device.Type
	// Full says that all weights are trained; else an adapter is, with the rank, alpha
	// and dropout of LoRA, on all linear layers.
	Full bool
	LoRA model.LoRAConfig
}

// Pack is an average pack of a run: the work of one, of so many sequences.
type Pack struct {
	cost.Work
	Sequences int
}

// Calibration takes about calibrationTime, and more where one step does: at least
// calibrationSteps of every model, each of what the peak rate does in
// calibrationStep. A pack is cut to that, though short packs run slower: what a
// step does once for a weight has fewer tokens to share it.
const (
	calibrationTime  = 2 * time.Second
	calibrationStep  = calibrationTime / 5
	calibrationSteps = 2
)

// calibrationVocab bounds the vocabulary of the calibrating models: the head's
// speed does not depend on more.
const calibrationVocab = 32768

// Calibrate runs real steps of models with the run's widths but one and two
// layers, on packs like the run's, by turns, for about two seconds: what the second layer adds is the
// layers' speed, what is left of the first is the rest's.
func (p Planned) Calibrate(ctx context.Context, save exec.SavePolicy, pack Pack) (Speed, error) {
	r, err := newRates(p.Compute)
	if err != nil {
		return Speed{}, err
	}
	r.measureArithmetic()
	var samples [2]sample
	for i := range samples {
		defer samples[i].close()
		samples[i].threads = r.threads
		if err := samples[i].open(p, i+1, save, pack, r.flops); err != nil {
			return Speed{}, err
		}
	}
	for i := range samples {
		if err := samples[i].warm(); err != nil {
			return Speed{}, err
		}
	}
	for start := time.Now(); len(samples[0].times.wall) < calibrationSteps || time.Since(start) < calibrationTime; {
		for i := range samples {
			if err := errors.Join(ctx.Err(), samples[i].step()); err != nil {
				return Speed{}, err
			}
		}
	}
	v := speedOf(&samples[0], &samples[1], r.flops)
	return v, p.attention(ctx, &v, samples[1].size, save, pack)
}

// maxAttended bounds the sequence that attention alone is measured on: its rate
// hardly grows beyond.
const maxAttended = 2048

// attention measures attention by itself where the run's sequences are longer
// than the calibrating ones.
func (p Planned) attention(ctx context.Context, v *Speed, measured cost.Work, save exec.SavePolicy, pack Pack) error {
	v.mix = measured.Pairs / measured.Tokens
	if pack.Pairs <= 1.05*v.mix*pack.Tokens {
		return nil
	}
	r, err := newRates(p.Compute)
	if err != nil {
		return err
	}
	o := DefaultOptions()
	o.Batch, o.Length = 1, min(int(2*pack.Pairs/pack.Tokens), maxAttended)
	b := bench{options: o, config: p.Config, backend: p.Backend, act: p.Act, rates: r}
	forward, backward, flops, err := b.attend(ctx)
	if err != nil {
		return err
	}
	v.attend = flops / quietSeconds(forward.wall, forward.core, r.threads)
	v.attendBack = 2 * flops / quietSeconds(backward.wall, backward.core, r.threads)
	if save == exec.SaveNone || save == exec.SaveTiled {
		v.again = 1
	}
	return nil
}

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
// the processor's clock to tell their time: from a second one, where that is not
// plain already.
func (c *sample) warm() error {
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
	c.repeat = min(max(int(1.5*coreResolution/max(took, 1e-6)), 1), maxRepeat)
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

// Speed is how fast a run computes, as Calibrate finds it: operations per second, by the rule of cost: of the decoder layers,
// and of the head with everything else.
type Speed struct {
	layers, rest float64
	// mix is the pairs of attention for each token that layers was measured at.
	// What a run has beyond it, longer sequences, counts by attention's own speeds:
	// attend forward, attendBack backward. again is how often the forward pass of
	// attention is computed once more.
	mix, attend, attendBack, again float64
}

// speedOf are the speeds behind the steps of one and of two layers. Where other
// programs disturbed them so much that a Speed comes out of the question, both
// are that of the two layers together.
func speedOf(one, two *sample, peak float64) Speed {
	layer := two.seconds() - one.seconds()
	rest := one.seconds() - layer*one.layers/(two.layers-one.layers)
	v := Speed{layers: (two.layers - one.layers) / layer, rest: one.rest / rest}
	if layer <= 0 || rest <= 0 || v.layers > peak || v.rest > peak {
		whole := (two.layers + two.rest) / two.seconds()
		return Speed{layers: whole, rest: whole}
	}
	return v
}

// seconds is the time of operations: those of the head are the rest's.
func (v Speed) seconds(all, headless float64) float64 {
	return headless/v.layers + (all-headless)/v.rest
}

// TrainSeconds is the time of all steps, ForwardSeconds of a pass without a
// gradient.
func (v Speed) TrainSeconds(x cost.Model, w cost.Work) float64 {
	w, beyond := v.within(w)
	y := x.Headless()
	seconds := v.seconds(x.Forward(w)+x.Backward(w), y.Forward(w)+y.Backward(w))
	if beyond > 0 {
		forward, backward := x.Attention(beyond)
		seconds += forward*(1+v.again)/v.attend + backward/v.attendBack
	}
	return seconds
}

func (v Speed) ForwardSeconds(x cost.Model, w cost.Work) float64 {
	w, beyond := v.within(w)
	seconds := v.seconds(x.Forward(w), x.Headless().Forward(w))
	if beyond > 0 {
		forward, _ := x.Attention(beyond)
		seconds += forward / v.attend
	}
	return seconds
}

// within is the work with no more pairs than the measured mix, and the pairs
// beyond it.
func (v Speed) within(w cost.Work) (cost.Work, float64) {
	beyond := w.Pairs - v.mix*w.Tokens
	if v.attend == 0 || beyond <= 0 {
		return w, 0
	}
	w.Pairs -= beyond
	return w, beyond
}

// timing is how long steps took, in seconds: by the clock, and of the process's
// processor time.
type timing struct{ wall, core []float64 }

// add runs a step and notes its times.
func (t *timing) add(step func() error) error {
	core, start := host.ProcessorTime(), time.Now()
	if err := step(); err != nil {
		return err
	}
	t.wall = append(t.wall, time.Since(start).Seconds())
	t.core = append(t.core, (host.ProcessorTime() - core).Seconds())
	return nil
}

// Best and median of the steps.
func (t *timing) bestWall() float64   { return slices.Min(t.wall) }
func (t *timing) bestCore() float64   { return slices.Min(t.core) }
func (t *timing) medianWall() float64 { return slices.Sorted(slices.Values(t.wall))[len(t.wall)/2] }

// coreResolution is the seconds from which a step's processor time is good to
// some percent: systems count it in ticks of up to 10 ms.
const coreResolution = 0.1

// quietSeconds is what a step would take had the threads the machine for
// themselves. Others' work lengthens a step by the clock at once, its processor
// time hardly: the least processor time, at the share of the threads that was
// busy in the step with most of it, but never more than the best step by the
// clock took.
//
// A step shorter than coreResolution is taken by the clock.
func quietSeconds(wall, core []float64, threads int) float64 {
	best := slices.Min(wall)
	if slices.Min(core) <= 0 || best < coreResolution {
		return best // the system does not tell, or too coarsely
	}
	busy := 0.0
	if threads == 1 { // which waits for no other
		busy = 1
	}
	for i := range wall {
		busy = max(busy, core[i]/(wall[i]*float64(threads)))
	}
	return min(best, slices.Min(core)/(float64(threads)*min(busy, 1)))
}
