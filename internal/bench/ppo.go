package bench

import (
	"context"
	"errors"

	"align/internal/cost"
	"align/internal/optim"
	"align/internal/rollout"
	"align/internal/score"
	"align/model"
	"align/ppo"
)

// ppoEpochs is how often a rollout is gone through, the default of align ppo.
const ppoEpochs = 4

// ppoRun is a trainer under measurement.
type ppoRun struct {
	trainer *ppo.Trainer
	adam    *optim.AdamW
	spent   []ppo.Spent // of every rollout
}

// ppo measures rollouts with all that is learnt from them: Batch answers, one to
// a prompt, scored by a reward model on the same base, and ppoEpochs steps.
func (b *bench) ppo(ctx context.Context) error {
	m, err := b.model()
	if err != nil {
		return err
	}
	defer m.Close()
	shared := model.NewShared(b.backend)
	defer shared.Close()
	policy, err := b.shapeOfAdapter()
	if err != nil {
		return err
	}
	critic, err := b.headed()
	if err != nil {
		return err
	}
	subject, err := ppo.NewSubject(m, "", policy, policy.Initial(seed), critic, critic.InitialWithHead(seed+1))
	if err != nil {
		return err
	}
	judge, err := b.judge(m, shared)
	if err != nil {
		return err
	}
	o := b.options
	engine, err := rollout.New(m, policy, rollout.Limits{Prompt: o.Prompt, Answer: o.Response, Sequences: o.Batch, Shared: shared})
	if err != nil {
		return err
	}
	defer engine.Close()
	run := &ppoRun{}
	if run.trainer, err = b.ppoTrainer(ctx, m, subject, judge, engine, shared); err != nil {
		return err
	}
	value, grad := subject.Buffers()
	if run.adam, err = optim.New(b.backend, optim.DefaultConfig(), optim.Flat{Value: value, Grad: grad}); err != nil {
		return err
	}
	defer run.adam.Close()
	var times timing
	for i := range o.Warmup + o.Steps {
		if i == o.Warmup {
			times, run.spent = timing{}, nil
		}
		if err := times.add(run.rollout); err != nil {
			return err
		}
		b.env.Doing("measuring ppo")(int64(i+1), int64(o.Warmup+o.Steps))
	}
	peak := b.peak()
	b.rates.measureArithmetic()
	if err := b.kernels(o.answering(), run.rollout); err != nil {
		return err
	}
	return b.reportPPO(policy, run, &times, peak)
}

// shapeOfAdapter is an adapter on all linear layers without buffers.
func (b *bench) shapeOfAdapter() (*model.Adapter, error) {
	return model.NewAdapter(b.config, model.LoRAConfig{Rank: b.options.Rank, Alpha: 2 * float64(b.options.Rank), Targets: model.Modules})
}

// headed is one with a head.
func (b *bench) headed() (*model.Adapter, error) {
	a, err := b.shapeOfAdapter()
	if err == nil {
		a.AddHead(b.config)
	}
	return a, err
}

// judge is a reward model on the base.
func (b *bench) judge(m *model.Model, shared *model.Shared) (*score.Model, error) {
	a, err := b.headed()
	if err != nil {
		return nil, err
	}
	return &score.Model{Base: m, Adapter: a, Shared: shared}, m.AllocAdapter(a, a.InitialWithHead(seed+2))
}

func (b *bench) ppoTrainer(ctx context.Context, m *model.Model, s *ppo.Subject, judge score.Scorer, g rollout.Generator, shared *model.Shared) (*ppo.Trainer, error) {
	save, err := b.savePolicy()
	if err != nil {
		return nil, err
	}
	o := b.options
	c := ppo.DefaultConfig()
	c.Rollout, c.K, c.MaxNew, c.Sequences, c.Batch, c.PPOEpochs, c.Rank = o.Batch, 1, o.Response, o.Batch, min(o.Micro, o.Batch), ppoEpochs, o.Rank
	var prompts []ppo.Prompt
	for _, p := range randomPrompts(b.config.VocabSize, o.Batch, o.Prompt) {
		prompts = append(prompts, ppo.Prompt{IDs: p.IDs})
	}
	return ppo.New(c, ppo.Trainer{
		Context: ctx, Model: m, Policy: s.Policy, Critic: s.Critic, Save: save, Shared: shared, Generator: g, Scorer: judge, Prompts: prompts,
	})
}

// rollout is a rollout and its steps.
func (r *ppoRun) rollout() error {
	before := r.trainer.Spent()
	for step := range ppoEpochs {
		work, err := r.trainer.Next()
		if err != nil {
			return err
		}
		if err := r.adam.Zero(); err != nil {
			return err
		}
		for _, micro := range work.Micro {
			if _, _, err := r.trainer.Micro(step+1, micro, work.Weight); err != nil {
				return err
			}
		}
		if _, err := r.adam.Step(learningRate); err != nil {
			return err
		}
	}
	r.spent = append(r.spent, r.trainer.Spent().Since(before))
	return nil
}

// flops of a rollout with its steps. Critic and reward model have heads of one
// column, which are not counted.
func (b *bench) ppoFlops(a *model.Adapter) float64 {
	o, base, x := b.options, cost.Of(b.config, nil), cost.Of(b.config, a)
	n, p, g := float64(o.Batch), float64(o.Prompt), float64(o.Response)
	sequences := cost.Work{Tokens: n * (p + g), Targets: n * g, Pairs: n * (p + g) * (p + g + 1) / 2}
	values := sequences
	values.Targets = 0
	passes := x.Forward(sequences) + base.Forward(sequences) + 2*x.Forward(values)
	steps := x.Forward(sequences) + x.Backward(sequences) + x.Forward(values) + x.Backward(values)
	return x.Forward(sequences) + passes + ppoEpochs*steps
}

func (b *bench) reportPPO(a *model.Adapter, run *ppoRun, times *timing, peak int64) error {
	o, best := b.options, run.spent[0]
	for _, s := range run.spent[1:] {
		if s.Total() < best.Total() {
			best = s
		}
	}
	tokens := float64(o.Batch * (o.Prompt + o.Response))
	floor := tokens * b.rates.flops / b.ppoFlops(a)
	t := Throughput{TokensPerCore: rate(tokens, times.bestCore()), TokensPerSecond: tokens / times.bestWall(), MedianTokensPerSecond: tokens / times.medianWall()}
	err := errors.Join(
		b.figure("rollout", "s", best.Rollout.Seconds(), 0),
		b.figure("scores", "s", best.Score.Seconds(), 0),
		b.figure("policy's pass", "s", best.Policy.Seconds(), 0),
		b.figure("reference's pass", "s", best.Reference.Seconds(), 0),
		b.figure("critic's pass", "s", best.Critic.Seconds(), 0),
		b.figure("learning", "s", best.Update.Seconds(), 0),
		b.figure("whole", "s", times.bestWall(), 0),
		b.figure("rollout's share", "%", 100*best.Rollout.Seconds()/best.Total().Seconds(), 0),
		b.figure("answers", "answers/s", float64(o.Batch)/times.bestWall(), 0),
		b.figure("peak memory", "MiB", float64(peak>>20), 0),
	)
	if err != nil {
		return err
	}
	return b.last(b.figureOf("tokens", "tokens/s", t.TokensPerSecond, floor), t, peak)
}
