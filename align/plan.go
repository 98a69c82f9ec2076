package align

import (
	"context"

	"align/datasets"
	"align/dpo"
	"align/internal/plan"
	"align/internal/train"
	"align/model"
	"align/ppo"
	"align/rejection"
	"align/reward"
	"align/sft"
)

// PlanSFT plans what SFT would run. Models of one and two layers are measured
// for about two seconds; nothing is written.
func PlanSFT(ctx context.Context, c sft.Config, explicit []string, env Environment) (*plan.Plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := planning("sft", &env)
	s := &stage{method: "sft", settings: &c.Settings, env: env, explicit: explicit, lossOn: c.LossOn, noise: c.NEFTuneNoiseAlpha}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	d, err := s.examples(ctx, c.Data)
	if err != nil {
		return nil, err
	}
	return p, s.plan(ctx, p, plan.ExampleExtents(d.train), plan.ExampleExtents(d.held), "examples", false)
}

// PlanDPO plans what DPO would run, as PlanSFT does.
func PlanDPO(ctx context.Context, c dpo.Config, explicit []string, env Environment) (*plan.Plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		return nil, err
	}
	p := planning("dpo", &env)
	s := &stage{method: "dpo", settings: &c.Settings, env: env, explicit: explicit}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if loss.Unpaired() {
		d, err := readData(ctx, s, c.Pairs, datasets.ReadUnpaired)
		if err != nil {
			return nil, err
		}
		return p, s.plan(ctx, p, plan.UnpairedExtents(d.train), plan.UnpairedExtents(d.held), "answers", true)
	}
	d, err := s.pairs(ctx, c.Pairs)
	if err != nil {
		return nil, err
	}
	perPair := plan.DPOSequences(c)
	return p, s.plan(ctx, p, plan.PairExtents(d.train, perPair), plan.PairExtents(d.held, perPair), "pairs", !loss.ReferenceFree())
}

// PlanReward plans what Reward would run, as PlanSFT does.
func PlanReward(ctx context.Context, c reward.Config, explicit []string, env Environment) (*plan.Plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := planning("reward", &env)
	s := &stage{method: "reward", settings: &c.Settings, env: env, explicit: explicit, head: model.ScoreHead}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	d, err := readData(ctx, s, c.Pairs, readGroups)
	if err != nil {
		return nil, err
	}
	if err := checkMargins(c, d.train, d.held); err != nil {
		return nil, err
	}
	return p, s.plan(ctx, p, plan.GroupExtents(d.train), plan.GroupExtents(d.held), "prompts", false)
}

// PlanPretrain plans what Pretrain would run, as PlanSFT does.
func PlanPretrain(ctx context.Context, c PretrainConfig, explicit []string, env Environment) (*plan.Plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := planning("pretrain", &env)
	s := &stage{method: "pretrain", settings: &c.Settings, env: env, explicit: explicit}
	defer s.close()
	if err := s.openUntrained(ctx, c.Tokenizer, c.Shape); err != nil {
		return nil, err
	}
	d, err := s.pieces(ctx, c.Data)
	if err != nil {
		return nil, err
	}
	return p, s.plan(ctx, p, plan.ExampleExtents(d.train), plan.ExampleExtents(d.held), "pieces of text", false)
}

// PlanPPO plans what PPO would run, as PlanSFT does. Answers are taken to be as
// long as they may be.
func PlanPPO(ctx context.Context, c ppo.Config, explicit []string, env Environment) (*plan.Plan, error) {
	return PlanPPOAfter(ctx, c, explicit, env, nil)
}

// PlanPPOAfter is PlanPPO that scores by a reward model which is to be trained first
// by the settings fresh, unless they are nil.
func PlanPPOAfter(ctx context.Context, c ppo.Config, explicit []string, env Environment, fresh *train.Settings) (*plan.Plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := planning("ppo", &env)
	s := &stage{method: "ppo", settings: &c.Settings, env: env, explicit: explicit}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	prompts, err := s.prompts(ctx, c)
	if err != nil {
		return nil, err
	}
	d := plan.PPODraws(c, prompts.list, prompts.longest)
	d.Fresh = fresh
	t, err := s.trained()
	if err != nil {
		return p, err
	}
	return p, p.PPO(ctx, s.sized(), t, c, d)
}

// PlanRejection plans what Rejection would run, as PlanPPO does.
func PlanRejection(ctx context.Context, c rejection.Config, env Environment) (*plan.Plan, error) {
	p, _, err := PlanRejectionAfter(ctx, c, env, nil)
	return p, err
}

// PlanRejectionAfter is PlanRejection as PlanPPOAfter is PlanPPO. It returns what would be
// drawn, too.
func PlanRejectionAfter(ctx context.Context, c rejection.Config, env Environment, fresh *train.Settings) (*plan.Plan, *plan.Draws, error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	p := planning("rejection", &env)
	s := rejectionStage(c, env)
	defer s.close()
	if err := s.open(ctx); err != nil {
		return nil, nil, err
	}
	prompts, longest, err := readPrompts(ctx, c.Prompts, c.Map, c.Scorer, answerable(s.template, s.config), env)
	if err != nil {
		return nil, nil, err
	}
	most, err := roomFor(c.MaxNew, lengthsOf(prompts), s.config.ContextLength, env)
	if err != nil {
		return nil, nil, err
	}
	d := plan.RejectionDraws(c, prompts, longest, most)
	d.Fresh = fresh
	t, err := s.sampler()
	if err != nil {
		return p, d, err
	}
	return p, d, p.Rejection(ctx, s.sized(), t, d)
}

// PlanRecords plans training by a method on records that are not there yet, of which
// the extents are known. what is what they are called; referenced says whether a
// reference runs over every one of them first.
func PlanRecords(ctx context.Context, method string, settings *train.Settings, explicit []string, env Environment, list, held []plan.Extent, what string, referenced bool) (*plan.Plan, error) {
	p := planning(method, &env)
	s := &stage{method: method, settings: settings, env: env, explicit: explicit}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return p, s.plan(ctx, p, list, held, what, referenced)
}

// planning is a plan that collects the notes of env, by which nothing is run.
func planning(method string, env *Environment) *plan.Plan {
	p := plan.New(method)
	env.Note = func(line string) { p.Notes = append(p.Notes, line) }
	env.planning = true
	return p
}

// plan fills p; what is what the records are called, and referenced says whether a
// reference runs over every one of them first.
func (s *stage) plan(ctx context.Context, p *plan.Plan, train, held []plan.Extent, what string, referenced bool) error {
	t, err := s.trained()
	if err != nil {
		return err
	}
	_, steps, err := s.order(len(train), what)
	if err != nil {
		return err
	}
	return p.Train(ctx, s.sized(), t, train, held, steps, referenced)
}
