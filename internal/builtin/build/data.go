package main

import (
	"iter"
	"strings"

	"align/datasets"
	"align/internal/builtin/corpus"
	"align/internal/tokenizer"
)

// chatTemplate is Llama 3's, as its tokenizer_config.json has it.
const chatTemplate = `{% set loop_messages = messages %}{% for message in loop_messages %}` +
	`{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}` +
	`{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`

// first are the first n of a sequence.
func first[T any](seq iter.Seq[T], n int) iter.Seq[T] {
	return func(yield func(T) bool) {
		for x := range seq {
			if n--; n < 0 || !yield(x) {
				return
			}
		}
	}
}

// tokenizerTexts are running texts and conversations.
func tokenizerTexts() iter.Seq[string] {
	return func(yield func(string) bool) {
		for text := range first(corpus.Texts(seed), numTokenizerTexts/2) {
			if !yield(text) {
				return
			}
		}
		for c := range first(corpus.Conversations(seed), numTokenizerTexts/2) {
			for _, m := range c {
				if !yield(m.Role) || !yield(m.Content) {
					return
				}
			}
		}
	}
}

func (b *builder) trainTokenizer() (err error) {
	if b.spec, err = tokenizer.Train(tokenizerTexts(), vocabSize); err != nil {
		return err
	}
	b.spec.ChatTemplate = chatTemplate
	if b.tok, err = tokenizer.New(b.spec); err != nil {
		return err
	}
	b.template, _, err = datasets.ChooseTemplate("auto", b.tok)
	return err
}

// textExamples are documents between BOS and EOS, every token a target.
func (b *builder) textExamples(texts iter.Seq[string], n int) ([]datasets.Example, error) {
	var examples []datasets.Example
	eos, _ := b.tok.EOS()
	for text := range first(texts, n) {
		e := datasets.Example{IDs: append(b.tok.Encode(strings.TrimSpace(text), true, false), eos)}
		for range e.IDs {
			e.LossMask = append(e.LossMask, true)
		}
		examples = append(examples, e)
	}
	return examples, nil
}

// conversationExamples are rendered conversations; the answers are targets.
func (b *builder) conversationExamples(talks iter.Seq[[]corpus.Message], n int) ([]datasets.Example, error) {
	var examples []datasets.Example
	for talk := range first(talks, n) {
		var messages []datasets.Message
		for _, m := range talk {
			messages = append(messages, datasets.Message{Role: m.Role, Content: m.Content})
		}
		r, err := b.template.Render(messages, datasets.RenderOptions{})
		if err != nil {
			return nil, err
		}
		examples = append(examples, datasets.Example{IDs: r.IDs, LossMask: r.LossMask})
	}
	return examples, nil
}
