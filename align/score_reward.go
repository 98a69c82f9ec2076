package align

import (
	"cmp"
	"context"
	"fmt"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/score"
	"align/reward"
)

// ScoreReward hands the reward of every example, at its last token, to emit in
// the order of the file. The reward model is a run, a checkpoint or a Hugging
// Face classifier; o.Model is its base, "" the one that it names, and o.Adapter
// is not used.
func ScoreReward(ctx context.Context, path string, o ScoreOptions, env Environment, emit func(float64) error) error {
	base, quantize, err := o.rewardBase(path)
	if err != nil {
		return err
	}
	examples, err := readScored(ctx, base, o, env)
	if err != nil {
		return err
	}
	b, act, err := openDevice(o.Compute, base, env)
	if err != nil {
		return err
	}
	defer b.Close()
	m, err := loadBase(base, quantize, b, act, env)
	if err != nil {
		return err
	}
	s, err := reward.Load(path, m)
	if err != nil {
		return err
	}
	defer s.Close()
	scores, err := score.All(ctx, s, wholes(examples))
	if err != nil {
		return err
	}
	for _, x := range scores {
		if err := emit(x); err != nil {
			return err
		}
	}
	return nil
}

// rewardBase is the base of a reward model and how it is held; the template is
// the reward model's own where none is named.
func (o *ScoreOptions) rewardBase(path string) (base, quantize string, err error) {
	if base, err = o.baseOfReward(path); err != nil {
		return "", "", err
	}
	if o.Template == "auto" {
		own, err := reward.Template(path)
		if err != nil {
			return "", "", err
		}
		o.Template = cmp.Or(own, o.Template)
	}
	quantize, err = reward.Quantize(path)
	return base, quantize, err
}

func (o *ScoreOptions) baseOfReward(path string) (string, error) {
	if _, err := reward.Base(path); err != nil {
		return "", err
	}
	if o.Model != "" {
		return basemodel.Resolve(o.Model)
	}
	base, err := rewardBase(path)
	if err != nil {
		return "", fmt.Errorf("%w: name it with --model", err)
	}
	return base, judge{Reward: path}.check()
}

// readers are the options of datasets' readers, for the base's tokenizer.
func (o ScoreOptions) readers(base string, env Environment) (datasets.Options, error) {
	tok, err := basemodel.OpenTokenizer(base)
	if err != nil {
		return datasets.Options{}, err
	}
	template, reason, err := chooseTemplate(context.Background(), o.Template, base, o.Adapter, tok)
	if err != nil {
		return datasets.Options{}, err
	}
	env.note(fmt.Sprintf("template: %s (%s)", template.Name(), reason))
	columns, err := datasets.ParseMapping(o.Map)
	return datasets.Options{Template: template, Map: columns, Progress: env.progress("reading " + o.Data)}, err
}

// readScored reads the examples, all of them, so that each has its line.
func readScored(ctx context.Context, base string, o ScoreOptions, env Environment) ([]datasets.Example, error) {
	options, err := o.readers(base, env)
	if err != nil {
		return nil, err
	}
	options.BadRecords = datasets.BadStrict
	examples, summary, err := datasets.ReadExamples(ctx, o.Data, options)
	if err != nil {
		return nil, err
	}
	env.noteRead(summary)
	return examples, nil
}

// wholes are the examples as items: the score stands at the last token, so that
// it is all one where a prompt ends.
func wholes(examples []datasets.Example) []score.Item {
	items := make([]score.Item, len(examples))
	for i, e := range examples {
		items[i] = score.Item{ResponseIDs: e.IDs}
	}
	return items
}
