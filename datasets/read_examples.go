package datasets

import (
	"context"
	"slices"

	"align/internal/records"
)

// ReadExamples reads a data set for supervised fine-tuning: messages, ShareGPT,
// Alpaca, prompt and completion, plain text, or tokens. A conversation's targets
// are what the assistant says, with the closing tokens; a text's are all its
// tokens but the first; Options.LossOn has other choices.
//
// Malformed records stop it with the place, field and reason; records that
// teach nothing are dropped and counted (Options.BadRecords changes that).
func ReadExamples(ctx context.Context, path string, o Options) ([]Example, Summary, error) {
	return read(ctx, path, "fine-tuning", exampleLayouts(), o)
}

func exampleLayouts() []layout[Example] {
	return []layout[Example]{
		{Format{"tokens", []string{"input_ids"}, []string{"completion_mask", "assistant_masks", "labels", "attention_mask", "document_ids"}}, tokenExample},
		{Format{"messages", []string{"messages"}, []string{"system", "tools"}}, messagesExample("messages")},
		{Format{"sharegpt", []string{"conversations"}, []string{"system", "tools"}}, messagesExample("conversations")},
		{Format{"alpaca", []string{"instruction", "output"}, []string{"input", "history", "system", "tools"}}, alpacaExample},
		{Format{"prompt-completion", []string{"prompt", "completion"}, []string{"system", "tools"}}, completionExample},
		{Format{"text", []string{"text"}, nil}, textExample},
	}
}

func (e Example) count() (tokens, targets int) { return len(e.IDs), e.Targets() }

func messagesExample(column string) func(*encoder, records.Record) (Example, error) {
	return func(e *encoder, r records.Record) (Example, error) {
		v, err := required(r, column, "a list of messages")
		if err != nil {
			return Example{}, err
		}
		c, err := messagesOf(column, v)
		if err != nil {
			return Example{}, err
		}
		return e.conversation(r, c)
	}
}

// alpacaExample is the conversation of alpacaPrompt with its answer.
func alpacaExample(e *encoder, r records.Record) (Example, error) {
	output, err := text(r, "output")
	if err != nil {
		return Example{}, err
	}
	c, err := alpacaPrompt(r)
	if err != nil {
		return Example{}, err
	}
	return e.conversation(r, append(c, Message{Role: "assistant", Content: output}))
}

func completionExample(e *encoder, r records.Record) (Example, error) {
	c, err := conversation(r, "prompt")
	if err != nil {
		return Example{}, err
	}
	side, err := readSide(r, "completion")
	if err != nil {
		return Example{}, err
	}
	if side.prompt != nil {
		return Example{}, &degenerate{BrokenRoles, "the completion is more than an answer"}
	}
	return e.conversation(r, append(c, side.answer))
}

// conversation renders a conversation that ends with the assistant.
func (e *encoder) conversation(r records.Record, c []Message) (Example, error) {
	c, err := withColumns(r, c)
	if err != nil {
		return Example{}, err
	}
	if err := checkTurns(c, "assistant"); err != nil {
		return Example{}, err
	}
	for i, m := range c {
		if m.Role == "assistant" && m.isBlank() {
			return Example{}, &degenerate{EmptyAnswer, ""}
		}
		if m.Role == "user" && m.isBlank() && i == len(c)-2 {
			return Example{}, &degenerate{EmptyPrompt, ""}
		}
	}
	rendering, err := e.template.Render(c, RenderOptions{})
	if err != nil {
		return Example{}, notRendered(err)
	}
	mask, err := e.trainedOn(r.Place, rendering.LossMask, c)
	if err != nil {
		return Example{}, err
	}
	return e.fitExample(r.Place, Example{IDs: rendering.IDs, LossMask: mask})
}

// textExample is BOS, the text and EOS, where the tokenizer has these. Every
// token but the first is a target.
func textExample(e *encoder, r records.Record) (Example, error) {
	s, err := text(r, "text")
	if err != nil {
		return Example{}, err
	}
	if s == "" {
		return Example{}, &degenerate{EmptyAnswer, "the text is empty"}
	}
	if err := e.checkCompletion(r.Place, "a text"); err != nil {
		return Example{}, err
	}
	var ids []int32
	if e.bos >= 0 {
		ids = append(ids, e.bos)
	}
	ids = e.template.tok.EncodeOrdinary(ids, s)
	if eos, ok := e.template.tok.EOS(); ok {
		ids = append(ids, eos)
	}
	return e.fitExample(r.Place, Example{IDs: ids, LossMask: slices.Repeat([]bool{true}, len(ids))})
}

// fitExample brings an example to the limit; its prompt are the tokens before
// the first target.
func (e *encoder) fitExample(place records.Place, x Example) (Example, error) {
	x.Place = place.String()
	length := len(x.IDs)
	e.summary.Lengths.add(length)
	if e.maxLength > 0 && length > e.maxLength {
		over := length - e.maxLength
		prompt := 0
		for prompt < length && !x.isTarget(prompt) {
			prompt++
		}
		switch {
		case e.overlong == OverlongError:
			return x, e.tooLong(place, length)
		case e.overlong == OverlongTruncatePrompt && prompt-over >= e.leastPrompt():
			x = e.cutExample(x, over)
		case e.overlong == OverlongTruncate:
			x = x.slice(0, e.maxLength)
		default:
			return x, e.dropped(length)
		}
		e.truncated(over)
	}
	x.LossMask = e.targets(x.LossMask)
	if x.Targets() == 0 {
		return x, &degenerate{NoTarget, ""}
	}
	x.IDs, x.LossMask = compact(x.IDs), compact(x.LossMask)
	return x, nil
}

// cutExample cuts n tokens behind BOS.
func (e *encoder) cutExample(x Example, n int) Example {
	first := x.IDs[0]
	cut := x.slice(n, len(x.IDs))
	if first == e.bos {
		cut.IDs = slices.Clone(cut.IDs)
		cut.IDs[0] = first
	}
	return cut
}

func (e Example) slice(from, to int) Example {
	e.IDs, e.LossMask = e.IDs[from:to], e.LossMask[from:to]
	if e.Document != nil {
		e.Document = e.Document[from:to]
	}
	return e
}
