package ppo

import (
	"slices"
	"time"

	"align/datasets"
	"align/model"
)

// policyOf makes a program of a policy, with room to spare.
func (t *Trainer) policyOf(adapter *model.Adapter, training bool) func(model.Capacity) (*policyProgram, error) {
	return func(size model.Capacity) (*policyProgram, error) {
		return t.newPolicy(size.Rounded(), adapter, training)
	}
}

// criticOf makes a program of the critic, with room to spare.
func (t *Trainer) criticOf(training bool) func(model.Capacity) (*criticProgram, error) {
	return func(size model.Capacity) (*criticProgram, error) { return t.newCritic(size.Rounded(), training) }
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

// PassTokens is about how many tokens a pack of a pass without gradients holds.
const PassTokens = 2048

// part are the episodes of one pass, from the given one on.
func (t *Trainer) part(from int) []int {
	var part []int
	for n := 0; from < len(t.episodes); from++ {
		n += len(t.episodes[from].IDs)
		if from == 0 || len(part) == 0 || t.episodes[from].Prompt != t.episodes[from-1].Prompt {
			n += len(t.Prompts[t.episodes[from].Prompt].IDs)
		}
		if len(part) > 0 && n > PassTokens {
			break
		}
		part = append(part, from)
	}
	return part
}

func (t *Trainer) pass(part []int) error {
	size := model.SizeOf(&t.pack, 0)
	if err := t.policyPass(&t.policy, t.Policy, size, &t.spent.Policy); err != nil {
		return err
	}
	t.deal(part, t.policy.logProbs, func(e *episode) *[]float64 { return &e.LogProbs })
	if err := t.policyPass(&t.reference, t.Reference, size, &t.spent.Reference); err != nil {
		return err
	}
	t.deal(part, t.reference.logProbs, func(e *episode) *[]float64 { return &e.Reference })
	if t.Config.Algorithm != PPO {
		return nil
	}
	if err := t.criticPass(size); err != nil {
		return err
	}
	t.deal(part, t.critic.values, func(e *episode) *[]float64 { return &e.Values })
	return nil
}

// policyPass runs a policy over the pack.
func (t *Trainer) policyPass(p **policyProgram, adapter *model.Adapter, size model.Capacity, spent *time.Duration) error {
	defer t.spent.add(spent, time.Now())
	if err := model.Grow(p, size, t.policyOf(adapter, false)); err != nil {
		return err
	}
	if err := (*p).session.Load(&t.pack, 0); err != nil {
		return err
	}
	return (*p).run()
}

// criticPass runs the critic over the pack.
func (t *Trainer) criticPass(size model.Capacity) error {
	defer t.spent.add(&t.spent.Critic, time.Now())
	if err := model.Grow(&t.critic, size, t.criticOf(false)); err != nil {
		return err
	}
	if err := t.critic.session.Load(&t.pack, 0); err != nil {
		return err
	}
	return t.critic.run()
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
