package align

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/plan"
	"align/internal/train"
	"align/model"
	"align/sft"
)

// Pretrain trains all weights of a model that starts from random ones. explicit
// are the keys that the user named, as opposed to defaults.
func Pretrain(ctx context.Context, c PretrainConfig, explicit []string, env Environment) (result Result, err error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	s := &stage{method: "pretrain", settings: &c.Settings, env: env, explicit: explicit, lossOn: c.LossOn}
	defer s.close()
	early, ended := s.early(ctx)
	defer ended(&result, &err)
	if err := errors.Join(s.findRun(), checkNamed(early, "", "", c.Eval)); err != nil {
		return Result{}, err
	}
	if err := s.openUntrained(early, c.Tokenizer, c.Shape); err != nil {
		return Result{}, err
	}
	if err := s.sameSoFar(&c); err != nil {
		return Result{}, err
	}
	d, err := s.pieces(early, c.Data)
	if err != nil {
		return Result{}, err
	}
	order, steps, err := s.order(len(d.train), "pieces of text")
	if err != nil {
		return Result{}, err
	}
	if err := s.sameData(d.hash, steps); err != nil {
		return Result{}, err
	}
	policy, err := s.savePolicy(plan.ExampleExtents(d.train), plan.ExampleExtents(d.held), steps)
	if err != nil {
		return Result{}, err
	}
	if s.model, s.full, err = model.NewRandom(s.config, s.backend, s.act, c.Seed, c.InitializerRange); err != nil {
		return Result{}, err
	}
	env.note(fmt.Sprintf("model: new, %d weights, %d layers, vocabulary %d, context %d", s.full.Parameters(), s.config.NumLayers, s.config.VocabSize, s.config.ContextLength))
	if err := s.startRun(&c); err != nil {
		return Result{}, err
	}
	if err := d.quarantine.keep(s.run); err != nil {
		return Result{}, err
	}
	t := &sft.Trainer{Config: c.Config, Model: s.model, Full: s.full, Save: policy, Examples: d.train, Held: d.held}
	return s.train(ctx, s.options(steps, s.lineage(&c, d.hash)), &train.Batches{Order: order, PerMicro: c.Batch, Weigh: t.Weigh}, t)
}

// openUntrained is open for a model that is not there yet: its config follows
// from the shape and the tokenizer.
func (s *stage) openUntrained(ctx context.Context, tokenizer string, shape Shape) (err error) {
	if s.tokenizer, err = basemodel.OpenTokenizer(tokenizer); err != nil {
		return err
	}
	if err := s.chooseTemplate(ctx); err != nil {
		return err
	}
	bos, ok := s.tokenizer.BOS()
	if !ok {
		bos = -1
	}
	var stops []int32
	if eos, ok := s.tokenizer.EOS(); ok {
		stops = append(stops, eos)
	}
	for _, id := range s.template.StopIDs() {
		if !slices.Contains(stops, id) {
			stops = append(stops, id)
		}
	}
	if s.config, err = shape.model(s.tokenizer.VocabSize(), bos, stops); err != nil {
		return err
	}
	s.deriveSchedule()
	s.deriveLength()
	return s.openDevice()
}

// pieces reads the data; what is longer than max_length is cut, so that all of
// it is learnt.
func (s *stage) pieces(ctx context.Context, path string) (*data[datasets.Example], error) {
	length := min(s.settings.MaxLength, s.config.ContextLength)
	s.settings.MaxLength = 0 // nothing is too long to read
	d, err := s.examples(ctx, path)
	s.settings.MaxLength = length
	if err != nil {
		return nil, err
	}
	before := len(d.train)
	d.train, d.held = cutExamples(d.train, length), cutExamples(d.held, length)
	if len(d.train) > before {
		s.env.note(fmt.Sprintf("max_length: %d records are %d pieces of up to %d tokens", before, len(d.train), length))
		if len(s.shares) > 0 {
			return nil, fmt.Errorf("max_length: records are longer than %d tokens, and files with weights are not cut: leave the weights out or raise it", length)
		}
	}
	return d, nil
}

// cutExamples cuts what is longer than length tokens. A piece begins with the
// last token of the one before it, so that every target stays one.
func cutExamples(examples []datasets.Example, length int) []datasets.Example {
	var pieces []datasets.Example
	for _, e := range examples {
		for start := 0; start == 0 || start+1 < len(e.IDs); start += length - 1 {
			end := min(start+length, len(e.IDs))
			piece := datasets.Example{IDs: e.IDs[start:end], LossMask: e.LossMask[start:end], Place: e.Place}
			if e.Document != nil {
				piece.Document = e.Document[start:end]
			}
			pieces = append(pieces, piece)
		}
	}
	return slices.DeleteFunc(pieces, func(e datasets.Example) bool { return e.Targets() == 0 })
}
