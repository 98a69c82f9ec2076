package align

import (
	"context"

	"align/datasets"
	"align/dpo"
	"align/internal/compute"
	"align/internal/device"
	"align/internal/exec"
	"align/model"
	"align/reward"
	"align/sft"
)

// Plan is what a run would do and take, found without running it.
type Plan struct {
	V      int    `json:"v"`
	Method string `json:"method"`
	// Notes are the derived settings and the data's counts, as a run tells them.
	Notes []string `json:"notes"`

	Parameters int64 `json:"parameters"`
	Trained    int   `json:"trained_parameters"`
	// Examples are trained on, Held evaluated; pairs are meant where the method
	// takes pairs.
	Examples int `json:"examples"`
	Held     int `json:"held_out"`
	Steps    int `json:"steps"`
	// Packs are forward and backward passes; Tokens is of all of them.
	Packs        int   `json:"packs"`
	Tokens       int64 `json:"tokens"`
	TargetTokens int64 `json:"target_tokens"`
	LargestPack  int   `json:"largest_pack_tokens"`

	// Bytes of memory. Evaluation lies in the space of a step, which Activations
	// of the policies is, and adds nothing where it is the smaller.
	Weights    int64 `json:"weights_bytes"`
	Adapter    int64 `json:"adapter_bytes"`
	Optimizer  int64 `json:"optimizer_bytes"`
	Evaluation int64 `json:"evaluation_bytes"`
	Workspace  int64 `json:"workspace_bytes"`
	Process    int64 `json:"process_bytes"`
	// Of a run that samples: the session that draws answers, the reward model and
	// the reference, and the sessions of passes without gradients. In ppo sessions
	// take turns in the space of the largest, which Activations then is.
	Rollout int64 `json:"rollout_bytes,omitzero"`
	Scorer  int64 `json:"scorer_bytes,omitzero"`
	Passes  int64 `json:"passes_bytes,omitzero"`
	// Cache is the keys and values of all answers that are drawn at once; of a
	// run that draws none, of one conversation of its greatest length, as align
	// generate holds them, and then no part of the total.
	Cache    int64        `json:"kv_cache_bytes"`
	Policies []PolicyPlan `json:"save_policies"`
	// Available is what the machine and its control group, or the card and --memory,
	// leave; 0: unknown.
	Available int64  `json:"available_bytes"`
	Policy    string `json:"save_policy"`
	// Total is the peak with that policy.
	Total int64 `json:"total_bytes"`

	// Seconds is the run's time without reading model and data, Reference the
	// part of the reference's pass and Evaluating of evaluations; 0 where the run is
	// planned for a card that is not here.
	Seconds         float64 `json:"seconds"`
	Reference       float64 `json:"reference_seconds"`
	Evaluating      float64 `json:"evaluation_seconds"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	// Of a run that samples: the answers that it draws, taken to be as long as
	// they may be, and the time of drawing and scoring them. Reference is then
	// the time of all passes over them without gradients.
	Samples  int      `json:"samples,omitzero"`
	Sampling float64  `json:"sampling_seconds,omitzero"`
	Warnings []string `json:"warnings"`
}

// PolicyPlan is the memory of one save policy.
type PolicyPlan struct {
	Policy      string `json:"policy"`
	Activations int64  `json:"activations_bytes"`
	Total       int64  `json:"total_bytes"`
	Fits        bool   `json:"fits"`
}

// PlanSFT plans what SFT would run. Models of one and two layers are measured
// for about two seconds; nothing is written.
func PlanSFT(ctx context.Context, c sft.Config, explicit []string, env Environment) (*Plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := newPlan("sft", &env)
	s := &stage{method: "sft", settings: &c.Settings, env: env, explicit: explicit, lossOn: c.LossOn, noise: c.NEFTuneNoiseAlpha}
	defer s.close()
	if err := s.open(); err != nil {
		return nil, err
	}
	d, err := s.examples(ctx, c.Data)
	if err != nil {
		return nil, err
	}
	return p, s.plan(ctx, p, exampleExtents(d.train), exampleExtents(d.held), "examples", false)
}

// PlanDPO plans what DPO would run, as PlanSFT does.
func PlanDPO(ctx context.Context, c dpo.Config, explicit []string, env Environment) (*Plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		return nil, err
	}
	p := newPlan("dpo", &env)
	s := &stage{method: "dpo", settings: &c.Settings, env: env, explicit: explicit}
	defer s.close()
	if err := s.open(); err != nil {
		return nil, err
	}
	if loss.Unpaired() {
		d, err := readData(ctx, s, c.Pairs, datasets.ReadUnpaired)
		if err != nil {
			return nil, err
		}
		return p, s.plan(ctx, p, unpairedExtents(d.train), unpairedExtents(d.held), "answers", true)
	}
	d, err := s.pairs(ctx, c.Pairs)
	if err != nil {
		return nil, err
	}
	perPair := dpoSequences(c)
	return p, s.plan(ctx, p, pairExtents(d.train, perPair), pairExtents(d.held, perPair), "pairs", !loss.ReferenceFree())
}

// PlanReward plans what Reward would run, as PlanSFT does.
func PlanReward(ctx context.Context, c reward.Config, explicit []string, env Environment) (*Plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := newPlan("reward", &env)
	s := &stage{method: "reward", settings: &c.Settings, env: env, explicit: explicit, head: model.ScoreHead}
	defer s.close()
	if err := s.open(); err != nil {
		return nil, err
	}
	d, err := readData(ctx, s, c.Pairs, readGroups)
	if err != nil {
		return nil, err
	}
	if err := checkMargins(c, d.train, d.held); err != nil {
		return nil, err
	}
	return p, s.plan(ctx, p, groupExtents(d.train), groupExtents(d.held), "prompts", false)
}

// PlanPretrain plans what Pretrain would run, as PlanSFT does.
func PlanPretrain(ctx context.Context, c PretrainConfig, explicit []string, env Environment) (*Plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := newPlan("pretrain", &env)
	s := &stage{method: "pretrain", settings: &c.Settings, env: env, explicit: explicit}
	defer s.close()
	if err := s.openUntrained(c.Tokenizer, c.Shape); err != nil {
		return nil, err
	}
	d, err := s.pieces(ctx, c.Data)
	if err != nil {
		return nil, err
	}
	return p, s.plan(ctx, p, exampleExtents(d.train), exampleExtents(d.held), "pieces of text", false)
}

// dpoSequences is the number of sequences of a pair in a pack.
func dpoSequences(c dpo.Config) int {
	if c.MaskFormat {
		return 3
	}
	return 2
}

// newPlan collects the notes of its stage.
func newPlan(method string, env *Environment) *Plan {
	p := &Plan{V: 1, Method: method, Notes: []string{}, Warnings: []string{}}
	env.Note = func(line string) { p.Notes = append(p.Notes, line) }
	env.planning = true
	return p
}

// plan fills p; referenced says whether a reference runs over every pair first.
func (s *stage) plan(ctx context.Context, p *Plan, train, held []extent, what string, referenced bool) error {
	t, err := s.trained()
	if err != nil {
		return err
	}
	_, steps, err := s.order(len(train), what)
	if err != nil {
		return err
	}
	w, err := s.walk(train, held, steps)
	if err != nil {
		return err
	}
	f, err := s.footprint(t, w)
	if err != nil {
		return err
	}
	p.count(s, t, w)
	policy, err := s.fitPolicy(t, f, w, train)
	if err != nil {
		return err
	}
	if err := p.memory(s, t, f, w, policy); err != nil {
		return err
	}
	if s.cardless() {
		return nil
	}
	v, err := s.speed(ctx, policy, w)
	if err != nil {
		return err
	}
	p.time(s, t, w, v, referenced)
	return nil
}

func (p *Plan) count(s *stage, t trained, w *workload) {
	p.Parameters, p.Trained = s.config.Parameters(), t.parameters()
	p.Examples, p.Held, p.Steps, p.Packs = w.examples, w.held, w.steps, w.packs
	p.Tokens, p.TargetTokens, p.LargestPack = int64(w.train.Tokens), int64(w.train.Targets), w.largest.Tokens
}

func (p *Plan) memory(s *stage, t trained, f *footprint, w *workload, policy exec.SavePolicy) error {
	p.Weights, p.Adapter, p.Optimizer = f.weights, f.adapter, f.optimizer
	p.Evaluation, p.Process = f.evaluation.Bytes, f.process
	p.Rollout, p.Cache, p.Scorer, p.Passes = f.rollout, f.cache, f.scorer+f.reference, f.pass()
	if f.rollout == 0 {
		p.Cache = s.config.CacheBytes(s.act) * int64((s.settings.MaxLength+device.PageRows-1)/device.PageRows)
	}
	if n, err := compute.Available(s.backend); err == nil {
		p.Available = n
	}
	p.Policy = string(policy)
	if policy == "" { // nothing is trained
		p.Workspace = s.scratch(f.kernels)
		p.Total = f.process + f.fixed() + p.Workspace
		return nil
	}
	for _, save := range exec.SavePolicies {
		n, err := s.session(f, t, w.largest, save)
		if err != nil {
			return err
		}
		x := PolicyPlan{Policy: string(save), Activations: n.activations, Total: f.process + f.fixed() + n.total()}
		x.Fits = p.Available == 0 || float64(f.fixed()+n.total()) <= headroom*float64(p.Available)
		p.Policies = append(p.Policies, x)
		if save == policy {
			p.Workspace, p.Total = n.workspace, x.Total
		}
	}
	return nil
}
