package bench

import (
	"context"
	"errors"
	"time"

	"align/datasets"
	"align/dpo"
	"align/internal/cost"
	"align/internal/exec"
	"align/internal/host"
	"align/internal/optim"
	"align/internal/train"
	"align/model"
	"align/sft"
)

// training is a trainer's step under measurement: its method, what a step is
// given, and what it costs.
type training struct {
	method  train.Method[[]int]
	indices []int
	weight  float64
	adapter *model.Adapter
	// tokens are counted as laid out one sequence beside the other, whatever
	// the pack shares; flops by the rule of cost, as packed.
	tokens, flops float64
	pairs         float64 // in attention
	// extra is what every step costs besides: the reference's pass.
	extraWall, extraCore float64
	loss                 float64
}

// sft measures steps of supervised fine-tuning.
func (b *bench) sft(ctx context.Context) error {
	m, a, save, err := b.trained()
	if err != nil {
		return err
	}
	defer m.Close()
	o := b.options
	c := sft.DefaultConfig()
	c.Batch, c.Dropout, c.Rank = o.Batch, 0, o.Rank
	t := &sft.Trainer{Config: c, Model: m, Adapter: a, Save: save, Examples: randomExamples(b.config.VocabSize, o.Batch, o.Length, o.LossShare)}
	w, x := workOf(t.Examples), cost.Of(b.config, a)
	s := &training{method: t, indices: upTo(o.Batch), adapter: a, tokens: float64(o.Batch * o.Length), flops: x.Forward(w) + x.Backward(w), pairs: w.Pairs}
	s.weight, _ = t.Weigh(s.indices)
	return b.train(ctx, s)
}

// trained is the model with an adapter to train, and what a step keeps.
func (b *bench) trained() (m *model.Model, a *model.Adapter, save exec.SavePolicy, err error) {
	if m, err = b.model(); err != nil {
		return nil, nil, "", err
	}
	if a, err = b.adapter(m); err == nil {
		save, err = b.savePolicy()
	}
	if err != nil {
		m.Close()
	}
	return m, a, save, err
}

// workOf is the work of a pass over examples in one pack.
func workOf(list []datasets.Example) cost.Work {
	var pack datasets.Pack
	for _, e := range list {
		pack.AddExample(e, 0)
	}
	return cost.WorkOf(&pack)
}

// dpo measures steps of direct preference optimisation.
func (b *bench) dpo(ctx context.Context) error {
	m, a, save, err := b.trained()
	if err != nil {
		return err
	}
	defer m.Close()
	o := b.options
	c := dpo.DefaultConfig()
	c.Batch, c.Rank = o.Batch, o.Rank
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		return err
	}
	t := &dpo.Trainer{Config: c, Loss: loss, Model: m, Adapter: a, Save: save, Pairs: randomPairs(b.config.VocabSize, o)}
	var pack datasets.Pack
	for _, p := range t.Pairs[:o.Batch] {
		pack.AddPair(p, 0)
	}
	w, x := cost.WorkOf(&pack), cost.Of(b.config, a)
	s := &training{method: t, indices: upTo(o.Batch), weight: float64(o.Batch), adapter: a,
		tokens: float64(2 * o.Batch * (o.Prompt + o.Response)), flops: x.Forward(w) + x.Backward(w), pairs: w.Pairs}
	if err := b.references(ctx, t, s); err != nil {
		return err
	}
	if o.Reference == "every" {
		s.flops += cost.Of(b.config, nil).Forward(w)
	}
	return b.train(ctx, s)
}

// references runs the reference over pairs of as many steps as are measured,
// and charges every step its share where that is asked for.
func (b *bench) references(ctx context.Context, t *dpo.Trainer, s *training) error {
	r := &dpo.Referee{Model: t.Model, Batch: b.options.Batch}
	if b.options.Reference == "every" {
		// Memory is reserved and touched by a first pass that is not measured.
		if _, err := r.LogProbs(ctx, t.Pairs[:b.options.Batch]); err != nil {
			return err
		}
	}
	core, start := host.ProcessorTime(), time.Now()
	refs, err := r.LogProbs(ctx, t.Pairs)
	if err != nil {
		return err
	}
	t.References = refs
	if b.options.Reference == "every" {
		steps := float64(len(t.Pairs) / b.options.Batch)
		s.extraWall, s.extraCore = time.Since(start).Seconds()/steps, (host.ProcessorTime()-core).Seconds()/steps
	}
	return nil
}

// train measures optimizer steps as the loop makes them: gradients zeroed, one
// micro-step, norm, clip and update.
func (b *bench) train(ctx context.Context, s *training) error {
	adam, err := optim.New(b.backend, optim.DefaultConfig(), optim.Flat{Value: s.adapter.Value, Grad: s.adapter.Grad})
	if err != nil {
		return err
	}
	defer adam.Close()
	var times timing
	for i := range b.options.Warmup + b.options.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i == b.options.Warmup {
			times = timing{}
		}
		if err := times.add(func() error { return s.step(adam, i+1) }); err != nil {
			return err
		}
		b.env.Doing("measuring "+b.workload)(int64(i+1), int64(b.options.Warmup+b.options.Steps))
	}
	b.rates.measureArithmetic()
	if err := b.kernels(kernelContext{pairs: s.pairs}, func() error { return s.step(adam, 1) }); err != nil {
		return err
	}
	return b.reportTraining(s, &times)
}

// learningRate is a learning rate of common size; it moves no time.
const learningRate = 1e-4

func (s *training) step(adam *optim.AdamW, step int) (err error) {
	if err := adam.Zero(); err != nil {
		return err
	}
	if s.loss, _, err = s.method.Micro(step, s.indices, s.weight); err != nil {
		return err
	}
	_, err = adam.Step(learningRate)
	return err
}

func (b *bench) reportTraining(s *training, times *timing) error {
	wall, core, median := times.bestWall()+s.extraWall, times.bestCore()+s.extraCore, times.medianWall()+s.extraWall
	peak := b.peak()
	floor := s.tokens * b.rates.flops / s.flops
	t := Throughput{TokensPerCore: rate(s.tokens, core), TokensPerSecond: s.tokens / wall, MedianTokensPerSecond: s.tokens / median, Loss: s.loss}
	err := errors.Join(
		b.figure("arithmetic", "TFLOP/s", s.flops/wall/1e12, b.rates.flops/1e12),
		b.figure("tokens, median step", "tokens/s", t.MedianTokensPerSecond, floor),
		b.figure("tokens per core", "tokens/core-s", t.TokensPerCore, floor/float64(b.rates.threads)),
		b.figure("peak memory", "MiB", float64(peak>>20), 0),
	)
	if err != nil {
		return err
	}
	if b.inKernels > 0 {
		// The card waits for launches, or the host for the card's answer.
		if err := b.figure("step outside kernels", "%", 100*(1-b.inKernels/median), 0); err != nil {
			return err
		}
	}
	if b.workload == "dpo" {
		perPair := float64(b.options.Batch) / s.tokens
		if err := b.figure("pairs", "pairs/s", t.TokensPerSecond*perPair, floor*perPair); err != nil {
			return err
		}
	}
	return b.last(b.figureOf("tokens", "tokens/s", t.TokensPerSecond, floor), t, peak)
}

// rate is n in so many seconds, 0 where the time is not known.
func rate(n, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return n / seconds
}

func (b *bench) savePolicy() (exec.SavePolicy, error) {
	if b.options.SavePolicy == "auto" {
		return exec.SaveAll, nil
	}
	return exec.ParseSavePolicy(b.options.SavePolicy)
}

func upTo(n int) []int {
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	return indices
}
