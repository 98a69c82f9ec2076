package rounds

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"align/align"
	"align/datasets"
	"align/internal/plan"
	"align/internal/train"
)

// JobPlan is what a job of rounds would do and take.
type JobPlan struct {
	V      int `json:"v"`
	Rounds int `json:"rounds"`
	// Stages are those of the first round, in order.
	Stages []*plan.Plan `json:"stages"`
	// Total is the peak of the largest stage, Seconds the time of all rounds,
	// each taken to be as long as the first.
	Total    int64    `json:"total_bytes"`
	Seconds  float64  `json:"seconds"`
	Warnings []string `json:"warnings"`
}

// Plan plans the stages of the first round as their own methods are
// planned, and of all rounds the time. What a stage leaves for the next ones is not
// there yet: best answers and pairs are taken to be one for each prompt and as long
// as they may be, a reward model to be an adapter of the stage's rank.
func Plan(ctx context.Context, c Config, env align.Environment) (*JobPlan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &JobPlan{V: 1, Rounds: c.Rounds, Warnings: []string{}}
	j := &planner{config: &c, env: env, judge: judge{c.Reward, c.Scorer}}
	for _, name := range c.stages() {
		p, err := j.plan(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("round 1, %s: %w", name, err)
		}
		r.Stages = append(r.Stages, p)
		r.Total = max(r.Total, p.Total)
		times := float64(c.Rounds)
		if name == stageReward && !strings.Contains(c.Pairs, "{round}") {
			times = 1 // later rounds leave it out
		}
		r.Seconds += times * p.Seconds
	}
	if r.Seconds > plan.LongRun.Seconds() {
		longest := slices.MaxFunc(r.Stages, func(a, b *plan.Plan) int { return int(a.Seconds - b.Seconds) })
		r.Warnings = append(r.Warnings, "the job takes more than an hour", fmt.Sprintf("%s takes most of it: shorten that stage, or do fewer rounds", longest.Method))
	}
	return r, nil
}

// planner goes through the stages of a round without running them.
type planner struct {
	config *Config
	env    align.Environment
	judge  judge
	// fresh are the settings of a reward model that the job is to train.
	fresh *train.Settings
	// drawn is what rejection samples, once it has been planned.
	drawn *plan.Draws
}

func (j *planner) plan(ctx context.Context, name string) (*plan.Plan, error) {
	c := j.config
	at := placement{round: 1, policy: c.Adapter, data: inRound(c.Data, 1), pairs: inRound(c.Pairs, 1), judge: j.judge}
	if j.fresh != nil {
		at.judge = judge{Rule: "length"} // in the place of one that is not there
	}
	explicit := c.Explicit[name]
	switch name {
	case stageReward:
		at.policy = ""
		conf := c.rewardConfig(at)
		j.fresh = &conf.Settings
		return align.PlanReward(ctx, conf, explicit, j.env)
	case stageRejection:
		p, d, err := align.PlanRejectionAfter(ctx, c.rejectionConfig(at), j.env, j.fresh)
		j.drawn = d
		return p, err
	case stageSFT:
		conf := c.sftConfig(at)
		if j.drawn == nil {
			return align.PlanSFT(ctx, conf, explicit, j.env)
		}
		return j.drawnPlan(ctx, name, &conf.Settings, explicit, "examples", false, func(prompt int) plan.Extent {
			e := plan.AnswersExtent(prompt, j.drawn.MaxNew)
			if conf.LossOn == datasets.LossOnAll {
				e.Targets = e.Tokens - 1
			}
			return e
		})
	case stageDPO:
		conf := c.dpoConfig(at)
		if j.drawn == nil {
			return align.PlanDPO(ctx, conf, explicit, j.env)
		}
		return j.drawnPlan(ctx, name, &conf.Settings, explicit, "pairs", true, func(prompt int) plan.Extent {
			e := plan.AnswersExtent(prompt, j.drawn.MaxNew, j.drawn.MaxNew)
			e.Sequences, e.Pairs = plan.DPOSequences(conf), 1
			return e
		})
	}
	return align.PlanPPOAfter(ctx, c.ppoConfig(at), explicit, j.env, j.fresh)
}

// drawnPlan plans training on what rejection leaves of each prompt.
func (j *planner) drawnPlan(ctx context.Context, method string, settings *train.Settings, explicit []string, what string, referenced bool, of func(prompt int) plan.Extent) (*plan.Plan, error) {
	var list []plan.Extent
	for _, n := range j.drawn.Prompts {
		list = append(list, of(n))
	}
	held := int(settings.EvalFraction * float64(len(list)))
	return align.PlanRecords(ctx, method, settings, explicit, j.env, list[held:], list[:held], what, referenced)
}
