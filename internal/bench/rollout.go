package bench

import (
	"context"
	"errors"

	"align/internal/cost"
	"align/internal/rollout"
	"align/model"
)

// drawing is one way to draw a batch of answers, under measurement.
type drawing struct {
	timing
	stats []rollout.Stats // of every round
}

// rollout measures the engine: a batch of answers to as many prompts, the same
// number of answers to one prompt, and one answer after the other.
func (b *bench) rollout(ctx context.Context) error {
	m, err := b.model()
	if err != nil {
		return err
	}
	defer m.Close()
	o := b.options
	e, err := rollout.New(m, nil, rollout.Limits{Prompt: o.Prompt, Answer: o.Response, Sequences: o.Batch})
	if err != nil {
		return err
	}
	defer e.Close()
	prompts := randomPrompts(b.config.VocabSize, o.Batch, o.Prompt)
	var separate, shared, alone drawing
	report := b.env.Doing("measuring rollout")
	rounds := o.Warmup + o.Steps
	for i := range rounds {
		if i == o.Warmup {
			separate, shared = drawing{}, drawing{}
		}
		if err := errors.Join(separate.round(ctx, e, prompts, 1, o.Response), shared.round(ctx, e, prompts[:1], o.Batch, o.Response)); err != nil {
			return err
		}
		report(int64(i+1), int64(rounds+1))
	}
	err = alone.add(func() error {
		for _, p := range prompts {
			if err := draw(ctx, e, []rollout.Prompt{p}, 1, o.Response); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	report(int64(rounds+1), int64(rounds+1))
	peak := b.peak() // before the reading loop takes memory of its own
	b.rates.measureArithmetic()
	b.rates.measureRead()
	if err := b.kernels(o.answering(), func() error { return draw(ctx, e, prompts, 1, o.Response) }); err != nil {
		return err
	}
	return b.reportRollout(m, &separate, &shared, &alone, peak)
}

// round draws once and keeps what the engine did.
func (d *drawing) round(ctx context.Context, e *rollout.Engine, prompts []rollout.Prompt, samples, tokens int) error {
	before := e.Stats()
	err := d.add(func() error { return draw(ctx, e, prompts, samples, tokens) })
	d.stats = append(d.stats, e.Stats().Since(before))
	return err
}

// draw draws answers of a length by plain sampling.
func draw(ctx context.Context, e *rollout.Engine, prompts []rollout.Prompt, samples, tokens int) error {
	return e.Generate(ctx, prompts, rollout.Options{
		Sampling: rollout.Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1}, MaxNew: tokens, Samples: samples, Seed: seed,
	}, func(rollout.Sample) error { return nil })
}

// best is the least of what f gives of the rounds.
func (d *drawing) best(f func(rollout.Stats) float64) float64 {
	least := f(d.stats[0])
	for _, s := range d.stats[1:] {
		least = min(least, f(s))
	}
	return least
}

func (b *bench) reportRollout(m *model.Model, separate, shared, alone *drawing, peak int64) error {
	o, x := b.options, cost.Of(b.config, nil)
	batch, length := float64(o.Batch), float64(o.Prompt)
	perToken := func(s rollout.Stats) float64 { return (s.Decode + s.Draw).Seconds() / float64(s.Tokens) }
	perPrompt := func(s rollout.Stats) float64 { return s.Prefill.Seconds() / float64(s.PromptTokens) }
	prompts := cost.Work{Tokens: batch * length, Targets: batch, Pairs: batch * length * (length + 1) / 2}
	tokens := 1 / separate.best(perToken)
	floor := batch * float64(o.Response) / b.decodeFloor(m)
	arithmetic := b.rates.flops / x.Forward(cost.Work{Tokens: 1, Targets: 1, Pairs: length + float64(o.Response)/2})
	drawing := separate.best(func(s rollout.Stats) float64 { return s.Draw.Seconds() / (s.Decode + s.Draw).Seconds() })
	t := Throughput{
		TokensPerCore:   rate(batch*float64(o.Response), separate.bestCore()),
		TokensPerSecond: tokens, MedianTokensPerSecond: batch * float64(o.Response) / separate.medianWall(),
		PrefillPerSecond: 1 / separate.best(perPrompt),
	}
	err := errors.Join(
		b.figure("prefill", "tokens/s", t.PrefillPerSecond, prompts.Tokens*b.rates.flops/x.Forward(prompts)),
		b.figure("drawing", "% of a step", 100*drawing, 0),
		b.figure("answers to separate prompts", "answers/s", batch/separate.bestWall(), 0),
		b.figure("answers to one prompt", "answers/s", batch/shared.bestWall(), 0),
		b.figure("answers one after the other", "answers/s", batch/alone.bestWall(), 0),
		b.figure("one prompt over separate prompts", "x", separate.bestWall()/shared.bestWall(), 0),
		b.figure("one prompt over one by one", "x", alone.bestWall()/shared.bestWall(), 0),
		b.figure("peak memory", "MiB", float64(peak>>20), 0),
		b.figure("steps to one prompt", "tokens/s", 1/shared.best(perToken), 0),
		b.figure("steps, roof of arithmetic", "tokens/s", tokens, arithmetic),
	)
	if err != nil {
		return err
	}
	return b.last(b.figureOf("steps", "tokens/s", tokens, floor), t, peak)
}
