package align

import (
	"cmp"
	"fmt"
	"slices"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/compute"
	"align/internal/device"
	"align/internal/score"
	"align/internal/tokenizer"
	"align/model"
	"align/reward"
)

// judge names what scores answers: a reward model's run or folder, or a rule.
type judge struct{ Reward, Rule string }

// opened is the policy's model, on which a reward model may stand too.
type opened struct {
	base, quantize string
	model          *model.Model
	backend        compute.Backend
	act            device.Type
	// tokenizer, template and stop ids are the policy's.
	tokenizer *tokenizer.Tokenizer
	template  *datasets.Template
	stop      []int32
}

// judged tells scorers apart: by their rule or weights, and a reward model by what its
// config files make of these, and by the tokens that it reads answers in.
type judged struct{ hash, shape, encoding string }

// String is hash and shape in one.
func (j judged) String() string {
	if j.shape == "" {
		return j.hash
	}
	return j.hash + "-" + j.shape
}

// open is the scorer, and what tells it from others. A reward model on the
// same base shares its weights.
func (j judge) open(o opened, env Environment) (score.Scorer, judged, error) {
	if j.Rule != "" {
		s, err := score.Parse(j.Rule)
		return s, judged{hash: j.Rule}, err
	}
	own, err := rewardBase(j.Reward)
	if err != nil {
		return nil, judged{}, err
	}
	quantize, err := reward.Quantize(j.Reward)
	if err != nil {
		return nil, judged{}, err
	}
	m := o.model
	if !basemodel.Same(own, o.base) || quantize != o.quantize {
		if m, err = loadBase(own, quantize, o.backend, o.act, env); err != nil {
			return nil, judged{}, fmt.Errorf("the reward model's base: %w", err)
		}
	}
	s, err := reward.Load(j.Reward, m)
	if err != nil {
		return nil, judged{}, err
	}
	by := judged{shape: hashText(hashShape(m.Config) + hashFactors(s.Adapter))}
	if s.Encode, by.encoding, err = j.encode(own, o, env); err != nil {
		return nil, judged{}, err
	}
	values, err := model.ReadFloat32s(o.backend, s.Adapter.Value)
	by.hash = m.Hash[:16] + "-" + hashFloats(values)
	return s, by, err
}

// fitsJudge refuses answers that a reward model has no room for, before hours of sampling
// come to the first of them: each of at most maxNew tokens, in the policy's context, and
// the longest prompt has so many. What is encoded anew is measured when it is scored.
func fitsJudge(s score.Scorer, longest, maxNew, context int) error {
	m, is := s.(*score.Model)
	if !is || m.Encode != nil {
		return nil
	}
	if most, room := min(longest+maxNew, context), m.Base.Config.ContextLength; most > room {
		return fmt.Errorf("max_new is %d: with the longest prompt of %d tokens an answer may come to %d, and the reward model's context is %d", maxNew, longest, most, room)
	}
	return nil
}

// rewardBase is the path of the base that a reward model names.
func rewardBase(path string) (string, error) {
	own, err := reward.Base(path)
	if err != nil {
		return "", err
	}
	base, err := basemodel.Resolve(own)
	if err != nil {
		return "", fmt.Errorf("reward: %s names its base as %q: %w", path, own, err)
	}
	return base, nil
}

// encode is how answers become the reward model's ids: as they are where it has
// the policy's tokenizer and template, else from their text. own is its base; by tells
// one way from another.
func (j judge) encode(own string, o opened, env Environment) (f func(score.Item) (prompt, response []int32, err error), by string, err error) {
	tok := o.tokenizer
	if !basemodel.Same(own, o.base) {
		if tok, err = basemodel.OpenTokenizer(own); err != nil {
			return nil, "", fmt.Errorf("the reward model's base: %w", err)
		}
	}
	name, err := reward.Template(j.Reward)
	if err != nil {
		return nil, "", err
	}
	template, _, err := datasets.ChooseTemplate(cmp.Or(name, "auto"), tok)
	if err != nil {
		return nil, "", fmt.Errorf("the reward model's template: %w", err)
	}
	by = tok.Hash()[:16] + "-" + template.Name()
	if tok.Hash() == o.tokenizer.Hash() && template.Name() == o.template.Name() {
		return nil, by, nil
	}
	env.note(fmt.Sprintf("reward model: answers are encoded anew, its tokenizer or template (%s) is another than the policy's (%s)", template.Name(), o.template.Name()))
	return reencoder{template, o.stop}.encode, by, nil
}

// reencoder gives answers the ids of another tokenizer.
type reencoder struct {
	template *datasets.Template
	stop     []int32 // the policy's
}

// encode renders the prompt's messages and the answer's text. An answer that
// was cut has no end here either.
func (r reencoder) encode(i score.Item) (prompt, response []int32, err error) {
	if prompt, err = r.template.Prompt(i.Messages); err != nil {
		return nil, nil, err
	}
	response, format := r.template.Response(i.Response)
	if n := len(i.ResponseIDs); n > 0 && !slices.Contains(r.stop, i.ResponseIDs[n-1]) {
		for len(response) > 0 && format[len(response)-1] {
			response = response[:len(response)-1]
		}
	}
	return prompt, response, nil
}
