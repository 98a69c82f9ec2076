package align

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/rollout"
	"align/internal/score"
	"align/model"
	"align/rejection"
	"align/reward"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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
	prompts, longest, err := rejectionPrompts(ctx, c, template, env)
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
	scorer, hash, err := openScorer(c, base, m, b, act, env)
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

// rejectionPrompts reads the prompts; a column "reference" or "answer" is what
// rules compare with.
func rejectionPrompts(ctx context.Context, c rejection.Config, t *datasets.Template, env Environment) ([]rejection.Prompt, int, error) {
	columns, err := datasets.ParseMapping(c.Map)
	if err != nil {
		return nil, 0, err
	}
	list, summary, err := datasets.ReadPrompts(ctx, c.Prompts, datasets.Options{Template: t, Map: columns, Progress: env.progress("reading " + c.Prompts)})
	if err != nil {
		return nil, 0, err
	}
	env.note(summary.String())
	var prompts []rejection.Prompt
	longest := 1
	for _, p := range list {
		longest = max(longest, len(p.IDs))
		source, text, err := promptSource(p)
		if err != nil {
			return nil, 0, err
		}
		prompts = append(prompts, rejection.Prompt{Source: source, Text: text, IDs: p.IDs, Reference: reference(p), Place: p.Place})
	}
	return prompts, longest, nil
}

// promptSource is the prompt as JSON, one text or messages, and as plain text.
func promptSource(p datasets.Prompt) (jsontext.Value, string, error) {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	var messages []message
	var text []string
	for _, m := range p.Conversation {
		messages = append(messages, message{m.Role, m.Content})
		text = append(text, m.Content)
	}
	var source any = messages
	if len(messages) == 1 && messages[0].Role == "user" {
		source = messages[0].Content
	}
	raw, err := json.Marshal(source)
	return raw, strings.Join(text, "\n"), err
}

func reference(p datasets.Prompt) string {
	for _, name := range []string{"reference", "answer"} {
		v, ok := p.Record.Get(name)
		if !ok {
			continue
		}
		var s string
		if json.Unmarshal(v, &s) == nil {
			return s
		}
		return string(v)
	}
	return ""
}

// openScorer is the rule or the reward model that a config names, and what
// tells it from others. A reward model on the same base shares its weights.
func openScorer(c rejection.Config, base string, m *model.Model, b *cpu.Backend, act device.Type, env Environment) (score.Scorer, string, error) {
	if c.Scorer != "" {
		s, err := score.Parse(c.Scorer)
		return s, c.Scorer, err
	}
	own, err := reward.Base(c.Reward)
	if err != nil {
		return nil, "", err
	}
	quantize, err := reward.Quantize(c.Reward)
	if err != nil {
		return nil, "", err
	}
	if !sameFolder(own, base) || quantize != c.Quantize {
		if m, err = loadBase(own, quantize, b, act, env); err != nil {
			return nil, "", fmt.Errorf("the reward model's base: %w", err)
		}
	}
	s, err := reward.Load(c.Reward, m)
	if err != nil {
		return nil, "", err
	}
	values, err := model.ReadFloat32s(b, s.Adapter.Value)
	return s, m.Hash[:16] + "-" + hashFloats(values), err
}

func sameFolder(a, b string) bool {
	x, err1 := filepath.Abs(a)
	y, err2 := filepath.Abs(b)
	return err1 == nil && err2 == nil && x == y
}
