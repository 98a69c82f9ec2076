package align

import (
	"context"

	"align/internal/plan"
	"align/internal/train"
	"align/sft"
)

// SFT is supervised fine-tuning by the config. explicit are the keys that the
// user named, as opposed to defaults.
func SFT(ctx context.Context, c sft.Config, explicit []string, env Environment) (result Result, err error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	s := &stage{method: "sft", settings: &c.Settings, env: env, explicit: explicit, lossOn: c.LossOn, noise: c.NEFTuneNoiseAlpha}
	defer s.close()
	early, ended := s.early(ctx)
	defer ended(&result, &err)
	if err := s.begin(early, &c, ""); err != nil {
		return Result{}, err
	}
	d, err := s.examples(early, c.Data)
	if err != nil {
		return Result{}, err
	}
	w, err := prepare(s, &c, d, "examples", plan.ExampleExtents)
	if err != nil {
		return Result{}, err
	}
	t := &sft.Trainer{Config: c, Model: s.model, Adapter: s.adapter, Full: s.full, Save: w.policy, Examples: d.train, Held: d.held}
	r, err := s.learn(ctx, &c, d.hash, w, t)
	if err != nil || r.Ended != train.Continue {
		return r, err
	}
	return r, s.exportAdapter()
}
