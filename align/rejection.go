package align

import (
	"context"
	"fmt"

	"align/datasets"
	"align/internal/rollout"
	"align/rejection"
)

// Rejection samples K answers to every prompt, scores them and writes the best
// as data for fine-tuning.
func Rejection(ctx context.Context, c rejection.Config, env Environment) (rejection.Summary, error) {
	if err := c.Validate(); err != nil {
		return rejection.Summary{}, err
	}
	base, err := ResolveModel(c.Model)
	if err != nil {
		return rejection.Summary{}, err
	}
	tok, err := OpenTokenizer(base)
	if err != nil {
		return rejection.Summary{}, err
	}
	template, reason, err := datasets.ChooseTemplate(c.Template, tok)
	if err != nil {
		return rejection.Summary{}, err
	}
	env.note(fmt.Sprintf("template: %s (%s)", template.Name(), reason))
	prompts, longest, err := readPrompts(ctx, c.Prompts, c.Map, datasets.Options{Template: template}, env)
	if err != nil {
		return rejection.Summary{}, err
	}
	if c.Out == "" {
		if c.Out, err = newRun("", "rejection"); err != nil {
			return rejection.Summary{}, err
		}
	}
	b, act, err := Compute{Device: c.Device, Precision: c.Precision, Threads: c.Threads}.open(env)
	if err != nil {
		return rejection.Summary{}, err
	}
	defer b.Close()
	m, a, err := openModel(base, c.Quantize, c.Adapter, b, act, env)
	if err != nil {
		return rejection.Summary{}, err
	}
	if c.MaxNew, err = roomFor(c.MaxNew, longest, m.Config.ContextLength, env); err != nil {
		return rejection.Summary{}, err
	}
	scorer, hash, err := judge{c.Reward, c.Scorer}.open(opened{base, c.Quantize, m, b, act}, env)
	if err != nil {
		return rejection.Summary{}, err
	}
	engine, err := rollout.New(m, a, rollout.Limits{Prompt: longest, Answer: c.MaxNew, Sequences: c.Sequences})
	if err != nil {
		return rejection.Summary{}, err
	}
	defer engine.Close()
	report := env.progress("sampling")
	job := &rejection.Job{
		Config: c, Prompts: prompts, Generator: engine, Scorer: scorer, Decode: tok.Decode,
		Stop: stopIDs(m.Config, template), Model: m.Hash, Reward: hash,
		Progress: func(done, total int) { report(int64(done), int64(total)) },
	}
	return job.Run(ctx)
}
