package align

import (
	"context"
	"fmt"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/compute"
	"align/internal/rollout"
	"align/model"
)

// ChatOptions say with what to talk.
type ChatOptions struct {
	// Model is the base model, Adapter a run, checkpoint or adapter on it.
	Model, Adapter, Template string
	// Quantize is how the base is held.
	Quantize string
	rollout.Sampling
	MaxNew  int
	Seed    uint64
	Compute compute.Settings
}

// Chat answers conversations turn by turn, with the adapter or without it. The
// model is loaded once.
type Chat struct {
	options   ChatOptions
	backend   compute.Backend
	model     *model.Model
	adapter   *model.Adapter
	generator generation
	engines   map[bool]*rollout.Engine // by whether the adapter is on
}

// OpenChat loads the model.
func OpenChat(o ChatOptions, env Environment) (*Chat, error) {
	if err := checkNamed(context.Background(), o.Adapter, "", ""); err != nil {
		return nil, err
	}
	base, err := basemodel.Resolve(o.Model)
	if err != nil {
		return nil, err
	}
	tok, err := basemodel.OpenTokenizer(base)
	if err != nil {
		return nil, err
	}
	template, reason, err := chooseTemplate(context.Background(), o.Template, base, o.Adapter, tok)
	if err != nil {
		return nil, err
	}
	env.note(fmt.Sprintf("template: %s (%s)", template.Name(), reason))
	b, act, err := openDevice(o.Compute, base, env)
	if err != nil {
		return nil, err
	}
	c := &Chat{options: o, backend: b, engines: map[bool]*rollout.Engine{}}
	if c.model, c.adapter, err = openModel(base, o.Quantize, o.Adapter, b, act, env); err != nil {
		b.Close()
		return nil, err
	}
	g := DefaultGenerateOptions()
	g.Sampling, g.MaxNew, g.Seed = o.Sampling, o.MaxNew, o.Seed
	c.generator = generation{options: g, tokenizer: tok, template: template, model: c.model}
	return c, nil
}

// HasAdapter says whether there is an adapter to turn on and off.
func (c *Chat) HasAdapter() bool { return c.adapter != nil }

// Close gives the device back.
func (c *Chat) Close() {
	for _, e := range c.engines {
		e.Close()
	}
	c.backend.Close()
}

// Answer continues the conversation. stream is told the text as it grows; an
// answer that ctx ends is returned as far as it got.
func (c *Chat) Answer(ctx context.Context, conversation []datasets.Message, adapter bool, stream func(string)) (string, error) {
	ids, err := c.generator.template.Prompt(conversation)
	if err != nil {
		return "", err
	}
	room := c.model.Config.ContextLength - len(ids)
	if room < 1 {
		return "", fmt.Errorf("the conversation of %d tokens fills the context of %d: /reset begins a new one", len(ids), c.model.Config.ContextLength)
	}
	engine, err := c.engine(adapter && c.adapter != nil)
	if err != nil {
		return "", err
	}
	g := c.generator
	g.stream = stream
	var last []int32
	o := rollout.Options{
		Sampling: c.options.Sampling, MaxNew: min(c.options.MaxNew, room), Samples: 1, Seed: c.options.Seed, Stop: g.stopIDs(),
		OnToken: func(prompt, sample int, ids []int32) bool {
			last = ids
			return g.onToken(prompt, sample, ids) || ctx.Err() != nil
		},
	}
	err = engine.Generate(context.WithoutCancel(ctx), []rollout.Prompt{{IDs: ids, Key: contentKey(ids)}}, o, func(rollout.Sample) error { return nil })
	text, _ := g.text(last)
	return text, err
}

// engine is the one with the adapter, or the one without, made when needed.
func (c *Chat) engine(adapter bool) (*rollout.Engine, error) {
	if e := c.engines[adapter]; e != nil {
		return e, nil
	}
	a := c.adapter
	if !adapter {
		a = nil
	}
	context := c.model.Config.ContextLength
	e, err := rollout.New(c.model, a, rollout.Limits{Prompt: min(context, chatContext), Answer: min(c.options.MaxNew, context), Sequences: 1})
	if err == nil {
		c.engines[adapter] = e
	}
	return e, err
}

// chatContext bounds the cache of a conversation, in tokens.
const chatContext = 8192
