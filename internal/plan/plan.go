package plan

import (
	"context"

	"align/dpo"
	"align/internal/compute"
	"align/internal/device"
	"align/internal/exec"
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
	// Of a run that samples: the session that Draws answers, the reward model and
	// the reference, and the sessions of passes without gradients. In ppo sessions
	// take turns in the space of the largest, which Activations then is.
	Rollout int64 `json:"rollout_bytes,omitzero"`
	Scorer  int64 `json:"scorer_bytes,omitzero"`
	Passes  int64 `json:"passes_bytes,omitzero"`
	// Cache is the keys and values of all answers that are drawn at once; of a
	// run that Draws none, of one conversation of its greatest length, as align
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
	// Of a run that samples: the answers that it Draws, taken to be as long as
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

// DPOSequences is the number of sequences of a pair in a pack.
func DPOSequences(c dpo.Config) int {
	if c.MaskFormat {
		return 3
	}
	return 2
}

// New is a plan of a method's run with nothing in it yet.
func New(method string) *Plan {
	return &Plan{V: 1, Method: method, Notes: []string{}, Warnings: []string{}}
}

// Train plans training on the examples in so many steps; referenced says whether a
// reference runs over every pair first.
func (p *Plan) Train(ctx context.Context, s *Stage, t Trained, train, held []Extent, steps int, referenced bool) error {
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

func (p *Plan) count(s *Stage, t Trained, w *workload) {
	p.Parameters, p.Trained = s.Config.Parameters(), t.parameters()
	p.Examples, p.Held, p.Steps, p.Packs = w.examples, w.held, w.steps, w.packs
	p.Tokens, p.TargetTokens, p.LargestPack = int64(w.train.Tokens), int64(w.train.Targets), w.largest.Tokens
}

func (p *Plan) memory(s *Stage, t Trained, f *footprint, w *workload, policy exec.SavePolicy) error {
	p.Weights, p.Adapter, p.Optimizer = f.weights, f.adapter, f.optimizer
	p.Evaluation, p.Process = f.evaluation.Bytes, f.process
	p.Rollout, p.Cache, p.Scorer, p.Passes = f.rollout, f.cache, f.scorer+f.reference, f.pass()
	if f.rollout == 0 {
		p.Cache = s.Config.CacheBytes(s.Act) * int64((s.Settings.MaxLength+device.PageRows-1)/device.PageRows)
	}
	if n, err := compute.Available(s.Backend); err == nil {
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
