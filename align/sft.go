package align

import (
	"context"

	"align/internal/train"
	"align/sft"
)

// SFT is supervised fine-tuning by the config. explicit are the keys that the
// user named, as opposed to defaults.
func SFT(ctx context.Context, c sft.Config, explicit []string, env Environment) (Result, error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	s := &stage{method: "sft", settings: &c.Settings, env: env, explicit: explicit}
	defer s.close()
	if err := s.begin(); err != nil {
		return Result{}, err
	}
	d, err := s.examples(ctx, c.Data)
	if err != nil {
		return Result{}, err
	}
	order, steps, err := s.order(len(d.train), "examples")
	if err != nil {
		return Result{}, err
	}
	policy, err := s.savePolicy(exampleExtents(d.train), exampleExtents(d.held), steps)
	if err != nil {
		return Result{}, err
	}
	if err := s.load(); err != nil {
		return Result{}, err
	}
	if err := s.startRun(&c); err != nil {
		return Result{}, err
	}
	if err := d.quarantine.keep(s.run); err != nil {
		return Result{}, err
	}
	t := &sft.Trainer{Config: c, Model: s.model, Adapter: s.adapter, Full: s.full, Save: policy, Examples: d.train, Held: d.held}
	source := &train.Batches{Order: order, PerMicro: c.Batch, Weigh: t.Weigh}
	r, err := s.train(ctx, s.options(steps, s.lineage(&c, d.hash)), source, t)
	if err != nil || r.Ended != train.Continue {
		return r, err
	}
	return r, s.exportAdapter()
}
