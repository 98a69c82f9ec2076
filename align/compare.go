package align

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/compute"
	"align/internal/rollout"
	"align/internal/runfolder"
	"align/internal/score"
	"align/internal/tokenizer"
	"align/internal/winrate"
	"align/model"
	"align/rejection"
)

// BaseAlone is the name of the base model without an adapter among those that
// Compare takes.
const BaseAlone = "base"

// CompareOptions say what to compare on what.
type CompareOptions struct {
	// Model is the base model, held as Quantize says. A and B are runs,
	// checkpoints or adapters on it, or BaseAlone.
	Model, Quantize, A, B string
	// Prompts is a file of prompts, Map names its foreign columns.
	Prompts, Map, Template string
	// Reward is a reward model's run or folder, Scorer a rule in its place.
	Reward, Scorer string
	// Sampling draws the answers, K to each prompt, of at most MaxNew tokens.
	rollout.Sampling
	K, MaxNew int
	Seed      uint64
	Compute   compute.Settings
}

// DefaultCompareOptions are one answer to a prompt, as the model would give it.
func DefaultCompareOptions() CompareOptions {
	return CompareOptions{
		Template: "auto", K: 1, MaxNew: 256, Seed: 42,
		Sampling: rollout.Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1},
	}
}

// Compare answers every prompt with A and with B, scores the answers and counts
// how often A's is better. Both draw with the same random numbers.
func Compare(ctx context.Context, o CompareOptions, env Environment) (winrate.Comparison, error) {
	c := &comparing{options: o, env: env}
	if err := o.Sampling.Validate(); err != nil {
		return winrate.Comparison{}, err
	}
	if err := c.named(); err != nil {
		return winrate.Comparison{}, err
	}
	if err := c.open(ctx); err != nil {
		return winrate.Comparison{}, err
	}
	if err := c.fitting(); err != nil {
		return winrate.Comparison{}, err
	}
	b, act, err := openDevice(o.Compute, c.base, env)
	if err != nil {
		return winrate.Comparison{}, err
	}
	defer b.Close()
	m, err := loadBase(c.base, o.Quantize, b, act, env)
	if err != nil {
		return winrate.Comparison{}, err
	}
	most, err := roomFor(o.MaxNew, lengthsOf(c.prompts), m.Config.ContextLength, env)
	if err != nil {
		return winrate.Comparison{}, err
	}
	if c.scorer, _, err = (judge{o.Reward, o.Scorer}).open(opened{c.base, o.Quantize, m, b, act, c.tokenizer, c.template, stopIDs(m.Config, c.template)}, env); err != nil {
		return winrate.Comparison{}, err
	}
	engine, err := rollout.New(m, nil, rollout.Limits{Prompt: c.longest, Answer: most, Sequences: min(sequencesAtOnce, len(c.prompts)*o.K)})
	if err != nil {
		return winrate.Comparison{}, err
	}
	defer engine.Close()
	first, err := c.side(ctx, m, engine, o.A)
	if err != nil {
		return winrate.Comparison{}, err
	}
	second, err := c.side(ctx, m, engine, o.B)
	if err != nil {
		return winrate.Comparison{}, err
	}
	return winrate.Compare(first, second), nil
}

// comparing is a comparison under way.
type comparing struct {
	options   CompareOptions
	env       Environment
	base      string
	config    model.Config
	tokenizer *tokenizer.Tokenizer
	template  *datasets.Template
	prompts   []rejection.Prompt
	longest   int
	scorer    score.Scorer
}

// named looks for the adapters and the reward model before anything is read.
func (c *comparing) named() error {
	errs := []error{judge{c.options.Reward, c.options.Scorer}.check()}
	for _, name := range []string{c.options.A, c.options.B} {
		if name != BaseAlone {
			_, err := runfolder.AdapterFolder(name)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// fitting holds the adapters to the base before it is read.
func (c *comparing) fitting() error {
	for _, name := range []string{c.options.A, c.options.B} {
		if name != BaseAlone {
			if _, _, err := readFitting(name, c.config); err != nil {
				return err
			}
		}
	}
	return nil
}

// trained is the adapter whose template both answer with where none is named.
func (c *comparing) trained() (string, error) {
	a, b := adapterNamed(c.options.A), adapterNamed(c.options.B)
	of, other := adapterTemplate(context.Background(), a), adapterTemplate(context.Background(), b)
	switch {
	case of != "" && other != "" && of != other && c.options.Template == "auto":
		return "", fmt.Errorf("template: %s was trained with %s, %s with %s: name the one that both are to answer with", a, of, b, other)
	case of == "":
		return b, nil
	}
	return a, nil
}

// adapterNamed is a side's adapter, "" for the base alone.
func adapterNamed(side string) string {
	if side == BaseAlone {
		return ""
	}
	return side
}

// open reads what is small.
func (c *comparing) open(ctx context.Context) (err error) {
	if c.base, err = basemodel.ResolveUntil(ctx, c.options.Model); err != nil {
		return err
	}
	if c.config, err = model.ReadConfig(c.base); err != nil {
		return err
	}
	if c.tokenizer, err = basemodel.OpenTokenizer(c.base); err != nil {
		return err
	}
	run, err := c.trained()
	if err != nil {
		return err
	}
	var reason string
	if c.template, reason, err = chooseTemplate(ctx, c.options.Template, c.base, run, c.tokenizer); err != nil {
		return err
	}
	c.env.note(fmt.Sprintf("template: %s (%s)", c.template.Name(), reason))
	c.prompts, c.longest, err = readPrompts(ctx, c.options.Prompts, c.options.Map, c.options.Scorer, answerable(c.template, c.config), c.env)
	if err != nil {
		return err
	}
	return fitsVocabulary(c.tokenizer, c.config.VocabSize, c.prompts)
}

// side are the answers of one of the two: each prompt's K, in order.
func (c *comparing) side(ctx context.Context, m *model.Model, engine *rollout.Engine, name string) ([]winrate.Answer, error) {
	a, err := c.adapter(m, name)
	if err != nil {
		return nil, err
	}
	if err := engine.Use(a); err != nil {
		return nil, err
	}
	prompts := make([]rollout.Prompt, len(c.prompts))
	for i, p := range c.prompts {
		prompts[i] = rollout.Prompt{IDs: p.IDs, Key: contentKey(p.IDs)}
	}
	o := rollout.Options{
		Sampling: c.options.Sampling, MaxNew: c.options.MaxNew, Context: m.Config.ContextLength, Samples: c.options.K, Seed: c.options.Seed, Stop: stopIDs(m.Config, c.template),
	}
	items := make([]score.Item, len(prompts)*c.options.K)
	report, done := c.env.progress("answering with "+name), 0
	err = engine.Generate(ctx, prompts, o, func(s rollout.Sample) error {
		items[s.Prompt*c.options.K+s.Index] = c.item(c.prompts[s.Prompt], s.IDs, o.Stop)
		done++
		report(int64(done), int64(len(items)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	scores, err := score.All(ctx, c.scorer, items)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	list := make([]winrate.Answer, len(items))
	for i, s := range scores {
		list[i] = winrate.Answer{Score: s, Length: float64(len(items[i].ResponseIDs))}
	}
	return list, nil
}

func (c *comparing) adapter(m *model.Model, name string) (*model.Adapter, error) {
	if name == BaseAlone {
		return nil, nil
	}
	folder, err := runfolder.AdapterFolder(name)
	if err != nil {
		return nil, err
	}
	a, values, err := model.ReadAdapter(folder, m.Config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return a, m.AllocAdapter(a, values)
}

// item is an answer as scorers see it, without the id that ended it.
func (c *comparing) item(p rejection.Prompt, ids, stop []int32) score.Item {
	text := ids
	if n := len(ids); n > 0 && slices.Contains(stop, ids[n-1]) {
		text = ids[:n-1]
	}
	return score.Item{
		Prompt: p.Text, Messages: p.Messages, Response: strings.ToValidUTF8(c.tokenizer.Decode(text), "\uFFFD"), Reference: p.Reference, PromptIDs: p.IDs, ResponseIDs: ids,
	}
}
