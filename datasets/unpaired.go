package datasets

import (
	"context"
	"crypto/sha256"

	"align/internal/records"
)

// Unpaired is one answer with a verdict, as KTO takes them
// (https://arxiv.org/abs/2402.01306).
type Unpaired struct {
	Prompt, Response []int32
	// Format marks the response's closing tokens; nil marks none.
	Format    []bool
	Desirable bool
	Place     string
}

// Tokens is the number of tokens of prompt and response.
func (u Unpaired) Tokens() int { return len(u.Prompt) + len(u.Response) }

// Hash is a content hash of the tokens and the label.
func (u Unpaired) Hash() [32]byte {
	h := sha256.New()
	writeIDs(h, u.Prompt)
	writeIDs(h, u.Response)
	label := byte(0)
	if u.Desirable {
		label = 1
	}
	h.Write([]byte{label})
	return [32]byte(h.Sum(nil))
}

// Opposite is the hash of the answer with the other label.
func (u Unpaired) Opposite() [32]byte {
	u.Desirable = !u.Desirable
	return u.Hash()
}

func (u Unpaired) count() (tokens, targets int) { return u.Tokens(), len(u.Response) }

// Unpair makes two labelled answers of a pair, the chosen one first.
func Unpair(p Pair) [2]Unpaired {
	return [2]Unpaired{
		{Prompt: p.Prompt, Response: p.Chosen, Format: p.ChosenFormat, Desirable: true, Place: p.Place},
		{Prompt: p.Prompt, Response: p.Rejected, Format: p.RejectedFormat, Place: p.Place},
	}
}

// ReadUnpaired reads records of a prompt, a completion and a label that says
// whether it is good (true and false, or 1 and 0), as texts, messages or tokens;
// Alpaca's columns or a conversation with kto_tag, as LLaMA-Factory has them; or pairs, each of which becomes two labelled answers. Bad records are treated
// as by ReadExamples.
func ReadUnpaired(ctx context.Context, path string, o Options) ([]Unpaired, Summary, error) {
	paired, err := isPaired(path, o.Map)
	if err != nil || !paired {
		return read(ctx, path, "unpaired preference", unpairedLayouts(), o)
	}
	pairs, summary, err := ReadPairs(ctx, path, o)
	answers := make([]Unpaired, 0, 2*len(pairs))
	for _, p := range pairs {
		both := Unpair(p)
		answers = append(answers, both[:]...)
	}
	return answers, summary, err
}

// IsUnpaired says whether a file's first record has a label and no pair, and so
// is for ReadUnpaired rather than ReadPairs.
func IsUnpaired(path string, m Mapping) (bool, error) {
	if paired, err := isPaired(path, m); err != nil || paired {
		return false, err
	}
	if tagged, err := firstHas(path, m, ktoTag); err != nil || tagged {
		return tagged, err
	}
	return firstHas(path, m, "label", "completion", "completion_ids")
}

func isPaired(path string, m Mapping) (bool, error) {
	text, err := firstHas(path, m, "chosen", "rejected")
	if err != nil || text {
		return text, err
	}
	return firstHas(path, m, "chosen_ids", "rejected_ids")
}

func unpairedLayouts() []layout[Unpaired] {
	return []layout[Unpaired]{
		{Format{"unpaired, tokens", []string{"prompt_ids", "completion_ids", "label"}, nil}, unpairedTokens},
		{Format{"unpaired", []string{"prompt", "completion", "label"}, []string{"system", "tools"}}, unpaired},
		{Format{"unpaired, alpaca", []string{"instruction", "output", ktoTag}, []string{"input", "history", "system", "tools"}}, alpacaUnpaired},
		{Format{"unpaired, sharegpt", []string{"conversations", ktoTag}, []string{"system", "tools"}}, unpairedMessages("conversations")},
		{Format{"unpaired, messages", []string{"messages", ktoTag}, []string{"system", "tools"}}, unpairedMessages("messages")},
	}
}

func unpaired(e *encoder, r records.Record) (Unpaired, error) {
	prompt, err := conversation(r, "prompt")
	if err != nil {
		return Unpaired{}, err
	}
	s, err := readSide(r, "completion")
	if err != nil {
		return Unpaired{}, err
	}
	if s.prompt != nil {
		return Unpaired{}, &degenerate{BrokenRoles, "the completion is more than an answer"}
	}
	return e.labelled(r, prompt, s.answer, "completion", "label")
}

// ktoTag is LLaMA-Factory's column of the label
// (https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md).
const ktoTag = "kto_tag"

func alpacaUnpaired(e *encoder, r records.Record) (Unpaired, error) {
	prompt, err := alpacaPrompt(r)
	if err != nil {
		return Unpaired{}, err
	}
	output, err := text(r, "output")
	if err != nil {
		return Unpaired{}, err
	}
	return e.labelled(r, prompt, Message{Role: "assistant", Content: output}, "output", ktoTag)
}

// unpairedMessages takes the last message of a column for the answer.
func unpairedMessages(column string) func(*encoder, records.Record) (Unpaired, error) {
	return func(e *encoder, r records.Record) (Unpaired, error) {
		s, err := readSide(r, column)
		if err != nil {
			return Unpaired{}, err
		}
		if s.prompt == nil {
			return Unpaired{}, &degenerate{EmptyPrompt, column + " has one message"}
		}
		return e.labelled(r, s.prompt, s.answer, column, ktoTag)
	}
}

// labelled renders a prompt and its answer; column and verdict are the columns of answer and
// label.
func (e *encoder) labelled(r records.Record, prompt []Message, said Message, column, verdict string) (Unpaired, error) {
	desirable, err := label(r, verdict)
	if err != nil {
		return Unpaired{}, err
	}
	prompt, promptIDs, err := e.renderPrompt(r, prompt)
	if err != nil {
		return Unpaired{}, err
	}
	a, err := e.answer(prompt, promptIDs, said, column)
	if err != nil {
		return Unpaired{}, err
	}
	return e.fitUnpaired(r.Place, promptIDs, a, desirable)
}

// unpairedTokens takes tokens as they are.
func unpairedTokens(e *encoder, r records.Record) (Unpaired, error) {
	prompt, err := tokenIDs(r, "prompt_ids", e.vocabSize())
	if err != nil {
		return Unpaired{}, err
	}
	response, err := tokenIDs(r, "completion_ids", e.vocabSize())
	if err != nil {
		return Unpaired{}, err
	}
	desirable, err := label(r, "label")
	switch {
	case err != nil:
		return Unpaired{}, err
	case len(prompt) == 0:
		return Unpaired{}, &degenerate{EmptyPrompt, ""}
	case len(response) == 0:
		return Unpaired{}, &degenerate{EmptyAnswer, "completion_ids"}
	case response[0] == e.bos:
		return Unpaired{}, malformed("completion_ids", "begins with BOS (%d): want the answer alone", e.bos)
	}
	if err := e.checkBOS("prompt_ids", prompt); err != nil {
		return Unpaired{}, err
	}
	return e.fitUnpaired(r.Place, prompt, answer{ids: response}, desirable)
}

func (e *encoder) fitUnpaired(place records.Place, prompt []int32, a answer, desirable bool) (Unpaired, error) {
	prompt, err := e.fit(place, prompt, &a)
	return Unpaired{
		Prompt: compact(prompt), Response: compact(a.ids), Format: compact(a.format), Desirable: desirable, Place: place.String(),
	}, err
}
