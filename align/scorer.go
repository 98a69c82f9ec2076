package align

import (
	"fmt"
	"path/filepath"

	"align/internal/device"
	"align/internal/score"
	"align/model"
	"align/reward"
)

// judge names what scores answers: a reward model's run or folder, or a rule.
type judge struct{ Reward, Rule string }

// opened is the policy's model, on which a reward model may stand too.
type opened struct {
	base, quantize string
	model          *model.Model
	backend        backend
	act            device.Type
}

// open is the scorer, and what tells it from others. A reward model on the
// same base shares its weights.
func (j judge) open(o opened, env Environment) (score.Scorer, string, error) {
	if j.Rule != "" {
		s, err := score.Parse(j.Rule)
		return s, j.Rule, err
	}
	own, err := reward.Base(j.Reward)
	if err != nil {
		return nil, "", err
	}
	quantize, err := reward.Quantize(j.Reward)
	if err != nil {
		return nil, "", err
	}
	m := o.model
	if !sameFolder(own, o.base) || quantize != o.quantize {
		if err := sameTokens(own, o.base); err != nil {
			return nil, "", err
		}
		if m, err = loadBase(own, quantize, o.backend, o.act, env); err != nil {
			return nil, "", fmt.Errorf("the reward model's base: %w", err)
		}
	}
	s, err := reward.Load(j.Reward, m)
	if err != nil {
		return nil, "", err
	}
	values, err := model.ReadFloat32s(o.backend, s.Adapter.Value)
	return s, m.Hash[:16] + "-" + hashFloats(values), err
}

// sameTokens holds a reward model's base to the policy's vocabulary: answers
// are handed on as ids.
func sameTokens(own, policy string) error {
	if sameFolder(own, policy) {
		return nil
	}
	a, err := OpenTokenizer(own)
	if err != nil {
		return fmt.Errorf("the reward model's base: %w", err)
	}
	b, err := OpenTokenizer(policy)
	if err != nil {
		return err
	}
	if a.Hash() != b.Hash() {
		return fmt.Errorf("reward: the tokenizer of its base %s is not the one of %s: their ids differ", own, policy)
	}
	return nil
}

func sameFolder(a, b string) bool {
	x, err1 := filepath.Abs(a)
	y, err2 := filepath.Abs(b)
	return err1 == nil && err2 == nil && x == y
}
