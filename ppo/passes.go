package ppo

import (
	"slices"

	"align/datasets"
	"align/model"
)

// sized is a compiled program that takes packs up to a capacity.
type sized interface {
	comparable
	capacity() model.Capacity
	close()
}

// fit is the program itself where it takes packs of the size, else a larger
// one in its place.
func fit[P sized](p P, size model.Capacity, build func(model.Capacity) (P, error)) (P, error) {
	var none P
	if p != none {
		if p.capacity().Holds(size) {
			return p, nil
		}
		size = size.Max(p.capacity())
		p.close()
	}
	return build(roomy(size))
}

// roomy rounds a capacity up, so that rollouts whose lengths differ a little do
// not each compile their programs anew.
func roomy(c model.Capacity) model.Capacity {
	up := func(n, to int) int { return (n + to - 1) / to * to }
	return model.Capacity{Tokens: up(c.Tokens, 256), Targets: up(c.Targets, 256), Sequences: up(c.Sequences, 16), Pairs: c.Pairs}
}

// lay puts episodes into the pack: neighbours with the same prompt share it.
// The targets are the answers' tokens, episode by episode.
func (t *Trainer) lay(indices []int) {
	t.pack.Reset()
	for from := 0; from < len(indices); {
		prompt := t.episodes[indices[from]].Prompt
		var answers []datasets.Answer
		for from < len(indices) && t.episodes[indices[from]].Prompt == prompt {
			answers = append(answers, datasets.Answer{IDs: t.episodes[indices[from]].IDs})
			from++
		}
		t.pack.AddGroup(t.Prompts[prompt].IDs, 0, answers...)
	}
}

// passes computes the log-probabilities of the policy that sampled and of the
// reference, and the critic's values, of all episodes. The engine's own
// log-probabilities are not used: only the graph that learns gives the bits
// that a ratio of exactly 1 needs.
func (t *Trainer) passes() error {
	for from := 0; from < len(t.episodes); {
		if err := t.Context.Err(); err != nil {
			return err
		}
		part := t.part(from)
		from += len(part)
		t.lay(part)
		if err := t.pass(part); err != nil {
			return err
		}
	}
	return nil
}

// passTokens is about how many tokens a pack of a pass without gradients holds.
const passTokens = 2048

// part are the episodes of one pass, from the given one on.
func (t *Trainer) part(from int) []int {
	var part []int
	for n := 0; from < len(t.episodes); from++ {
		n += len(t.episodes[from].IDs)
		if from == 0 || len(part) == 0 || t.episodes[from].Prompt != t.episodes[from-1].Prompt {
			n += len(t.Prompts[t.episodes[from].Prompt].IDs)
		}
		if len(part) > 0 && n > passTokens {
			break
		}
		part = append(part, from)
	}
	return part
}

func (t *Trainer) pass(part []int) (err error) {
	size := model.SizeOf(&t.pack, 0)
	if t.policy, err = fit(t.policy, size, func(s model.Capacity) (*policyProgram, error) { return t.newPolicy(s, t.Policy, false) }); err != nil {
		return err
	}
	if t.reference, err = fit(t.reference, size, func(s model.Capacity) (*policyProgram, error) { return t.newPolicy(s, t.Reference, false) }); err != nil {
		return err
	}
	for _, p := range []*policyProgram{t.policy, t.reference} {
		if err := p.session.Load(&t.pack, 0); err != nil {
			return err
		}
		if err := p.run(); err != nil {
			return err
		}
	}
	t.deal(part, t.policy.logProbs, func(e *episode) *[]float64 { return &e.LogProbs })
	t.deal(part, t.reference.logProbs, func(e *episode) *[]float64 { return &e.Reference })
	if t.Config.Algorithm != PPO {
		return nil
	}
	if t.critic, err = fit(t.critic, size, func(s model.Capacity) (*criticProgram, error) { return t.newCritic(s, false) }); err != nil {
		return err
	}
	if err := t.critic.session.Load(&t.pack, 0); err != nil {
		return err
	}
	if err := t.critic.run(); err != nil {
		return err
	}
	t.deal(part, t.critic.values, func(e *episode) *[]float64 { return &e.Values })
	return nil
}

// deal gives each episode its own part of a vector over the pack's targets.
func (t *Trainer) deal(part []int, values []float64, field func(*episode) *[]float64) {
	at := 0
	for _, i := range part {
		e := &t.episodes[i]
		*field(e) = slices.Clone(values[at : at+len(e.IDs)])
		at += len(e.IDs)
	}
}
