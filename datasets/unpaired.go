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
// or pairs, each of which becomes two labelled answers. Bad records are treated
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
	}
}

func unpaired(e *encoder, r records.Record) (Unpaired, error) {
	prompt, promptIDs, err := e.readPrompt(r)
	if err != nil {
		return Unpaired{}, err
	}
	s, err := readSide(r, "completion")
	if err != nil {
		return Unpaired{}, err
	}
	desirable, err := label(r, "label")
	if err != nil {
		return Unpaired{}, err
	}
	if s.prompt != nil {
		return Unpaired{}, &degenerate{BrokenRoles, "the completion is more than an answer"}
	}
	a, err := e.answer(prompt, promptIDs, s.answer, "completion")
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
