package bench

import (
	"context"
	"errors"

	"align/internal/cost"
	"align/internal/device"
	"align/model"
)

// decode measures generation: the prompts of a batch in one run, then one token
// of every sequence at a time, the likeliest one. Prompts are not shared.
func (b *bench) decode(ctx context.Context) error {
	m, err := b.model()
	if err != nil {
		return err
	}
	defer m.Close()
	o := b.options
	g, err := newGenerator(m, o)
	if err != nil {
		return err
	}
	defer g.close()
	var prefill, steps timing
	for i := range o.Warmup + o.Steps {
		if i == o.Warmup {
			prefill, steps = timing{}, timing{}
		}
		if err := prefill.add(g.prefill); err != nil {
			return err
		}
		if err := steps.add(func() error { return g.answers(ctx) }); err != nil {
			return err
		}
		b.env.Doing("measuring decode")(int64(i+1), int64(o.Warmup+o.Steps))
	}
	peak := b.peak() // before the reading loop takes memory of its own
	b.rates.measureArithmetic()
	b.rates.measureRead()
	if err := b.kernels(kernelContext{positions: float64(o.Prompt) + float64(o.Response+1)/2}, func() error { return g.answers(ctx) }); err != nil {
		return err
	}
	return b.reportDecode(m, &prefill, &steps, peak)
}

func (b *bench) reportDecode(m *model.Model, prefill, steps *timing, peak int64) error {
	o, x := b.options, cost.Of(b.config, nil)
	batch, length, tokens := float64(o.Batch), float64(o.Prompt), float64(o.Batch*o.Response)
	prompts := cost.Work{Tokens: batch * length, Targets: batch, Pairs: batch * length * (length + 1) / 2}
	promptFloor := prompts.Tokens * b.rates.flops / x.Forward(prompts)
	floor := tokens / b.decodeFloor(m)
	t := Throughput{
		TokensPerCore: rate(tokens, steps.bestCore()), TokensPerSecond: tokens / steps.bestWall(), MedianTokensPerSecond: tokens / steps.medianWall(),
		PrefillPerCore: rate(prompts.Tokens, prefill.bestCore()), PrefillPerSecond: prompts.Tokens / prefill.bestWall(),
	}
	err := errors.Join(
		b.figure("prefill", "tokens/s", t.PrefillPerSecond, promptFloor),
		b.figure("prefill per core", "tokens/core-s", t.PrefillPerCore, promptFloor/float64(b.rates.threads)),
		b.figure("memory read", "GB/s", b.stepBytes(m, length+float64(o.Response)/2)*float64(o.Response)/steps.bestWall()/1e9, b.rates.read/1e9),
		b.figure("tokens, median", "tokens/s", t.MedianTokensPerSecond, floor),
		b.figure("tokens per core", "tokens/core-s", t.TokensPerCore, 0), // one core may have all of the memory's rate
		b.figure("peak memory", "MiB", float64(peak>>20), 0),
	)
	if err != nil {
		return err
	}
	return b.last(b.figureOf("tokens", "tokens/s", t.TokensPerSecond, floor), t, peak)
}

// stepBytes is what a step of one token per sequence must read: every weight
// but the embedding, of which a row each is enough, and the keys and values of
// the context.
func (b *bench) stepBytes(m *model.Model, context float64) float64 {
	weights := float64(m.Bytes())
	if !b.config.TieWordEmbeddings {
		weights -= float64(m.EmbeddingBytes())
	}
	return weights + float64(b.options.Batch)*context*positionBytes(b.config, b.act, m.Rounded())
}

// positionBytes is what a step reads of a position of the cache, which holds its
// elements as products round them.
func positionBytes(c model.Config, act, rounded device.Type) float64 {
	if rounded != 0 && rounded.Size() < act.Size() {
		act = rounded
	}
	return float64(c.CacheBytes(act)) / device.PageRows
}

// decodeFloor is the least time of all answers, in seconds: each step bound by
// memory or by arithmetic.
func (b *bench) decodeFloor(m *model.Model) (seconds float64) {
	batch, x := float64(b.options.Batch), cost.Of(b.config, nil)
	for i := range b.options.Response {
		context := float64(b.options.Prompt + i + 1)
		flops := x.Forward(cost.Work{Tokens: batch, Targets: batch, Pairs: batch * context})
		seconds += max(b.stepBytes(m, context)/b.rates.read, flops/b.rates.flops)
	}
	return seconds
}
