package align

import (
	"context"
	"errors"
	"fmt"

	"align/datasets"
	"align/dpo"
	"align/internal/checkpoint"
	"align/internal/plan"
	"align/internal/train"
)

// runUnpaired is DPO by a loss of single labelled answers; early is ctx for what comes
// before the first step.
func (s *stage) runUnpaired(ctx, early context.Context, c *dpo.Config) (Result, error) {
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		return Result{}, err
	}
	d, err := readData(early, s, c.Pairs, datasets.ReadUnpaired)
	if err != nil {
		return Result{}, err
	}
	answers, err := s.answers(*c, loss, d)
	if err != nil {
		return Result{}, err
	}
	w, err := prepare(s, c, d, "answers", plan.UnpairedExtents)
	if err != nil {
		return Result{}, err
	}
	t := &dpo.UnpairedTrainer{
		Config: *c, Loss: loss, Model: s.model, Adapter: s.adapter, Full: s.full, Save: w.policy,
		Answers: answers[:len(d.train)], Held: answers[len(d.train):],
	}
	if t.References, t.HeldReferences, err = s.references(early, *c, loss, dpo.Both(t.Answers), dpo.Both(t.Held), w.steps); err != nil {
		return Result{}, err
	}
	r, err := s.learn(ctx, c, d.hash, w, t)
	if err != nil || r.Ended != train.Continue {
		return r, err
	}
	return r, errors.Join(s.showAnswers(ctx, differentPrompts(d.held)), s.exportAdapter())
}

// answers counts the labels and, where the loss has a baseline, gives every
// answer one to another prompt: those of training first, then those held out.
func (s *stage) answers(c dpo.Config, loss dpo.Weighted, d *data[datasets.Unpaired]) ([]dpo.Answer, error) {
	desirable := 0
	for _, u := range d.train {
		if u.Desirable {
			desirable++
		}
	}
	s.env.note(balance(desirable, len(d.train)-desirable, c.DesirableWeight != c.UndesirableWeight))
	all := append(d.train[:len(d.train):len(d.train)], d.held...)
	if !loss.HasBaseline() {
		return dpo.Alone(all), nil
	}
	return dpo.Mismatch(all, s.settings.MaxLength)
}

// differentPrompts are the first ones to be answered before and after.
func differentPrompts(held []datasets.Unpaired) (prompts [][]int32) {
	seen := map[[32]byte]bool{}
	for _, u := range held {
		key := datasets.Pair{Prompt: u.Prompt}.Hash()
		if !seen[key] && len(prompts) < shownPrompts {
			prompts = append(prompts, u.Prompt)
		}
		seen[key] = true
	}
	return prompts
}

// things are what the run's records are called.
func things(c dpo.Config) string {
	if c.Unpaired() {
		return "answers"
	}
	return "pairs"
}

// checkPaired says where a file of labelled answers is given to a loss of pairs.
func (s *stage) checkPaired(path string) error {
	sources, err := datasets.ParseSources(path)
	if err != nil {
		return err
	}
	columns, err := datasets.ParseMapping(s.settings.Map)
	if err != nil {
		return err
	}
	for _, source := range sources {
		if checkpoint.CheckRegular(source.Path) != nil {
			continue // a look at a pipe waits for its writer; the reading tells
		}
		if labelled, err := datasets.IsUnpaired(source.Path, columns); err == nil && labelled {
			return fmt.Errorf("%s holds labelled answers, not pairs: --loss kto takes them", source.Path)
		}
	}
	return nil
}
