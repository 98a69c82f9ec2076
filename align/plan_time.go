package align

import (
	"context"
	"errors"
	"slices"
	"time"

	"align/datasets"
	"align/internal/cost"
	"align/internal/device"
	"align/internal/exec"
	"align/internal/optim"
	"align/model"
	"align/sft"
)

// speed is operations per second, by the rule of cost: of the decoder layers,
// and of the head with everything else.
type speed struct {
	layers, rest float64
	// mix is the pairs of attention for each token that layers was measured at.
	// What a run has beyond it, longer sequences, counts by attention's own speeds:
	// attend forward, attendBack backward. again is how often the forward pass of
	// attention is computed once more.
	mix, attend, attendBack, again float64
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

// calibrate runs real steps of models with the run's widths but one and two
// layers, on packs like the run's, by turns: what the second layer adds is the
// layers' speed, what is left of the first is the rest's.
func (s *stage) calibrate(ctx context.Context, save exec.SavePolicy, w *workload) (speed, error) {
	r, err := newRates(s.compute())
	if err != nil {
		return speed{}, err
	}
	r.measureArithmetic()
	var samples [2]sample
	for i := range samples {
		defer samples[i].close()
		samples[i].threads = r.threads
		if err := samples[i].open(s, i+1, save, w, r.flops); err != nil {
			return speed{}, err
		}
	}
	for i := range samples {
		if err := samples[i].warm(); err != nil {
			return speed{}, err
		}
	}
	for start := time.Now(); len(samples[0].times.wall) < calibrationSteps || time.Since(start) < calibrationTime; {
		for i := range samples {
			if err := errors.Join(ctx.Err(), samples[i].step()); err != nil {
				return speed{}, err
			}
		}
	}
	v := speedOf(&samples[0], &samples[1], r.flops)
	return v, s.attention(ctx, &v, samples[1].size, save, w)
}

// maxAttended bounds the sequence that attention alone is measured on: its rate
// hardly grows beyond.
const maxAttended = 2048

// attention measures attention by itself where the run's sequences are longer
// than the calibrating ones.
func (s *stage) attention(ctx context.Context, v *speed, measured cost.Work, save exec.SavePolicy, w *workload) error {
	v.mix = measured.Pairs / measured.Tokens
	mean := w.meanPack()
	if mean.Pairs <= 1.05*v.mix*mean.Tokens {
		return nil
	}
	r, err := newRates(s.compute())
	if err != nil {
		return err
	}
	o := DefaultBenchOptions()
	o.Batch, o.Length = 1, min(int(2*mean.Pairs/mean.Tokens), maxAttended)
	b := bench{options: o, config: s.config, env: s.env, backend: s.backend, act: s.act, rates: r}
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

// speedOf are the speeds behind the steps of one and of two layers. Where other
// programs disturbed them so much that a speed comes out of the question, both
// are that of the two layers together.
func speedOf(one, two *sample, peak float64) speed {
	layer := two.seconds() - one.seconds()
	rest := one.seconds() - layer*one.layers/(two.layers-one.layers)
	v := speed{layers: (two.layers - one.layers) / layer, rest: one.rest / rest}
	if layer <= 0 || rest <= 0 || v.layers > peak || v.rest > peak {
		whole := (two.layers + two.rest) / two.seconds()
		return speed{layers: whole, rest: whole}
	}
	return v
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
func (c *sample) open(s *stage, depth int, save exec.SavePolicy, w *workload, peak float64) error {
	config := s.config
	config.NumLayers, config.VocabSize = depth, min(config.VocabSize, calibrationVocab)
	stored, err := s.commonType()
	if err != nil {
		return err
	}
	deep := config
	deep.NumLayers = 2
	examples := calibrationPack(w, config.VocabSize, cost.Of(deep, nil), peak*calibrationStep.Seconds())
	for _, e := range exampleExtents(examples) {
		c.size.Add(e.work())
	}
	if s.settings.Full {
		return c.openFull(s, config, save, examples)
	}
	if c.model, err = model.Random(config, s.backend, s.act, stored, benchSeed); err != nil {
		return err
	}
	a, err := model.NewAdapter(config, model.LoRAConfig{Rank: s.settings.Rank, Alpha: s.settings.Alpha, Dropout: s.settings.Dropout, Targets: model.Modules, DoRA: s.settings.DoRA})
	if err != nil {
		return err
	}
	values, err := c.model.InitialAdapter(a, benchSeed)
	if err != nil {
		return err
	}
	if err := c.model.AllocAdapter(a, values); err != nil {
		return err
	}
	if c.adam, err = optim.New(s.backend, optim.DefaultConfig(), optim.Flat{Value: a.Value, Grad: a.Grad}); err != nil {
		return err
	}
	settings := sft.DefaultConfig()
	settings.Dropout = s.settings.Dropout
	c.one = training{
		method:  &sft.Trainer{Config: settings, Model: c.model, Adapter: a, Save: save, Examples: examples},
		indices: upTo(len(examples)), weight: 1,
	}
	c.count(cost.Of(config, a))
	return nil
}

// openFull makes the model with all its weights to train.
func (c *sample) openFull(s *stage, config model.Config, save exec.SavePolicy, examples []datasets.Example) (err error) {
	var full *model.Full
	if c.model, full, err = model.NewRandom(config, s.backend, s.act, benchSeed, 0.02); err != nil {
		return err
	}
	if c.adam, err = optim.New(s.backend, optim.DefaultConfig(), optim.Flat{Value: full.Value, Grad: full.Grad}); err != nil {
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

func (c *sample) close() {
	if c.adam != nil {
		c.adam.Close()
	}
	if c.model != nil {
		c.model.Close()
	}
}

// commonType is the type that random weights have in the place of the model's.
func (s *stage) commonType() (device.Type, error) {
	if s.base == "" { // a model from nothing
		return device.F32, nil
	}
	bytes, err := model.WeightBytes(s.base, "", s.act, s.matrixType, nil)
	if err != nil || float64(bytes) > 3*float64(s.config.Parameters()) {
		return device.F32, err
	}
	return device.BF16, nil
}

// calibrationPack are examples like an average pack's, their number and then
// their length cut to what a step has operations for.
func calibrationPack(w *workload, vocab int, x cost.Model, flops float64) []datasets.Example {
	mean := w.meanPack()
	length := max(int(mean.Tokens)/w.perPack(), 2)
	most := int(flops / (3 * x.Forward(cost.Work{Tokens: 1, Targets: 1})))
	length = min(length, max(most, 32))
	// Attention runs at a tenth of the products' rate or less.
	for length > 64 && 3*x.Forward(cost.Work{Tokens: float64(length), Targets: float64(length), Pairs: 10 * cost.Causal(length, 0)}) > flops {
		length -= length / 8
	}
	count := max(min(w.perPack(), most/length), 1)
	// A reward model predicts less than one token of a short text; one is the least.
	share := max(mean.Targets/max(mean.Tokens, 1), 1.5/float64(length))
	return randomExamples(vocab, count, length, min(share, 1))
}

// perPack is the number of sequences of an average pack.
func (w *workload) perPack() int { return max((w.sequences+w.packs/2)/max(w.packs, 1), 1) }

// seconds is the time of operations: those of the head are the rest's.
func (v speed) seconds(all, headless float64) float64 {
	return headless/v.layers + (all-headless)/v.rest
}

// trainSeconds is the time of all steps, forwardSeconds of a pass without a
// gradient.
func (v speed) trainSeconds(x cost.Model, w cost.Work) float64 {
	w, beyond := v.within(w)
	y := x.Headless()
	seconds := v.seconds(x.Forward(w)+x.Backward(w), y.Forward(w)+y.Backward(w))
	if beyond > 0 {
		forward, backward := x.Attention(beyond)
		seconds += forward*(1+v.again)/v.attend + backward/v.attendBack
	}
	return seconds
}

func (v speed) forwardSeconds(x cost.Model, w cost.Work) float64 {
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
func (v speed) within(w cost.Work) (cost.Work, float64) {
	beyond := w.Pairs - v.mix*w.Tokens
	if v.attend == 0 || beyond <= 0 {
		return w, 0
	}
	w.Pairs -= beyond
	return w, beyond
}
