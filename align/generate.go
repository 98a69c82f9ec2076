package align

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/compute"
	"align/internal/rollout"
	"align/internal/tokenizer"
	"align/model"
)

// GenerateOptions say how to answer prompts.
type GenerateOptions struct {
	// Model is the base model, held as Quantize says; Adapter is a run,
	// checkpoint or adapter on it.
	Model, Quantize, Adapter string
	// Template turns a prompt into a conversation, as in training; Raw feeds the
	// text as it is, after BOS.
	Template string
	Raw      bool
	rollout.Sampling
	// MaxNew bounds an answer's tokens, Samples the answers to each prompt.
	MaxNew, Samples int
	Seed            uint64
	// Stop are texts that end an answer, which does not include them.
	Stop    []string
	Compute compute.Settings
}

// DefaultGenerateOptions are plain sampling, one answer of at most 256 tokens.
func DefaultGenerateOptions() GenerateOptions {
	return GenerateOptions{
		Template: "auto", MaxNew: 256, Samples: 1, Seed: 42,
		Sampling: rollout.Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1},
	}
}

// Answer is one generated answer.
type Answer struct {
	Prompt   int       `json:"prompt"`
	Sample   int       `json:"sample"`
	Text     string    `json:"text"`
	IDs      []int32   `json:"ids"`
	LogProbs []float64 `json:"logprobs"`
	Finish   string    `json:"finish_reason"`
}

// sequencesAtOnce is how many answers decode together: beyond 16 a core is
// bound by arithmetic and nothing is gained.
const sequencesAtOnce = 16

// Generate answers every prompt and hands each answer to emit as it ends.
// stream, if not nil, is told the text of a single answer as it grows.
func Generate(ctx context.Context, o GenerateOptions, prompts [][]datasets.Message, env Environment, stream func(string), emit func(Answer) error) error {
	if len(prompts) == 0 {
		return errors.New("there is no prompt")
	}
	if err := o.Sampling.Validate(); err != nil {
		return err
	}
	if err := checkNamed(ctx, o.Adapter, "", ""); err != nil {
		return err
	}
	path, err := basemodel.ResolveUntil(ctx, o.Model)
	if err != nil {
		return err
	}
	tok, err := basemodel.OpenTokenizer(path)
	if err != nil {
		return err
	}
	template, reason, err := chooseTemplate(ctx, o.Template, path, o.Adapter, tok)
	if err != nil {
		return err
	}
	if !o.Raw {
		env.note(fmt.Sprintf("template: %s (%s)", template.Name(), reason))
	}
	g := &generation{options: o, tokenizer: tok, template: template, stream: stream, emit: emit}
	if err := g.render(prompts); err != nil {
		return err
	}
	c, err := model.ReadConfig(path)
	if err != nil {
		return err
	}
	if err := fitsVocabulary(tok, c.VocabSize, g.prompts); err != nil {
		return err
	}
	lengths := make([]int, len(g.prompts))
	for i, p := range g.prompts {
		lengths[i] = len(p.IDs)
	}
	if g.most, err = roomFor(o.MaxNew, lengths, c.ContextLength, env); err != nil {
		return err
	}
	b, act, err := o.Compute.For(c).Open(env.Note, env.Threads)
	if err != nil {
		return err
	}
	defer b.Close()
	m, a, err := openModel(path, o.Quantize, o.Adapter, b, act, env)
	if err != nil {
		return err
	}
	g.model = m
	return g.run(ctx, a)
}

type generation struct {
	options   GenerateOptions
	tokenizer *tokenizer.Tokenizer
	template  *datasets.Template
	model     *model.Model
	stream    func(string)
	emit      func(Answer) error
	shown     int // bytes of the answer that stream has been told

	prompts []rollout.Prompt
	longest int // of them, in tokens
	most    int // tokens of an answer
}

func (g *generation) run(ctx context.Context, a *model.Adapter) error {
	o := g.options
	engine, err := rollout.New(g.model, a, rollout.Limits{
		Prompt: g.longest, Answer: g.most, Sequences: min(sequencesAtOnce, len(g.prompts)*o.Samples),
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	ro := rollout.Options{Sampling: o.Sampling, MaxNew: o.MaxNew, Context: g.model.Config.ContextLength, Samples: o.Samples, Seed: o.Seed, Stop: g.stopIDs()}
	if len(o.Stop) > 0 || g.stream != nil {
		ro.OnToken = g.onToken
	}
	return engine.Generate(ctx, g.prompts, ro, func(s rollout.Sample) error { return g.emit(g.answer(s)) })
}

// render makes ids of the conversations.
func (g *generation) render(conversations [][]datasets.Message) error {
	for i, c := range conversations {
		ids, err := g.encode(c)
		if err != nil {
			return fmt.Errorf("prompt %d: %w", i+1, err)
		}
		g.longest = max(g.longest, len(ids))
		g.prompts = append(g.prompts, rollout.Prompt{IDs: ids, Key: contentKey(ids)})
	}
	return nil
}

func (g *generation) encode(c []datasets.Message) ([]int32, error) {
	if !g.options.Raw {
		return g.template.Prompt(c)
	}
	var text strings.Builder
	for _, m := range c {
		text.WriteString(m.Content)
	}
	return g.tokenizer.Encode(text.String(), true, false), nil
}

// contentKey tells prompts apart by their ids, so that a prompt's answers do
// not depend on its place among others.
func contentKey(ids []int32) uint64 {
	h := fnv.New64a()
	var b [4]byte
	for _, id := range ids {
		binary.LittleEndian.PutUint32(b[:], uint32(id))
		h.Write(b[:])
	}
	return h.Sum64()
}

func (g *generation) stopIDs() []int32 { return stopIDs(g.model.Config, g.template) }

// stopIDs are the model's end ids and the template's.
func stopIDs(c model.Config, t *datasets.Template) []int32 {
	ids := slices.Clone(c.EOS)
	for _, id := range t.StopIDs() {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// text is an answer's text without the token that ended it, cut at a stop text.
func (g *generation) text(ids []int32) (text string, stopped bool) {
	if n := len(ids); n > 0 && slices.Contains(g.stopIDs(), ids[n-1]) {
		ids = ids[:n-1]
	}
	text = g.tokenizer.Decode(ids)
	for _, s := range g.options.Stop {
		if i := strings.Index(text, s); i >= 0 {
			text, stopped = text[:i], true
		}
	}
	return text, stopped
}

// onToken streams a single answer, and ends one at a stop text.
func (g *generation) onToken(_, _ int, ids []int32) bool {
	text, stopped := g.text(ids)
	if g.stream != nil {
		// A character that is not whole yet is held back.
		whole := strings.TrimRight(text, "\uFFFD")
		if len(whole) > g.shown {
			g.stream(whole[g.shown:])
			g.shown = len(whole)
		}
	}
	return stopped
}

func (g *generation) answer(s rollout.Sample) Answer {
	text, _ := g.text(s.IDs)
	return Answer{Prompt: s.Prompt, Sample: s.Index, Text: text, IDs: s.IDs, LogProbs: s.LogProbs, Finish: s.Finish}
}
