package datasets

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"align/internal/records"

	"github.com/go-json-experiment/json/jsontext"
)

// ReadPairs reads a data set of preferences: a prompt with a chosen and a
// rejected answer, as strings or messages; a prompt with whole conversations
// on both sides (UltraFeedback), where the prompt is not doubled; whole
// transcripts or conversations alone (HH), where the prompt is all but the last
// answer; or tokens. Bad records are treated as by ReadExamples.
func ReadPairs(ctx context.Context, path string, o Options) ([]Pair, Summary, error) {
	return read(ctx, path, "preference", pairLayouts(), o)
}

func pairLayouts() []layout[Pair] {
	return []layout[Pair]{
		{Format{"preference, tokens", []string{"prompt_ids", "chosen_ids", "rejected_ids"}, []string{"margin"}}, withMargin(tokenPair)},
		{Format{"preference", []string{"prompt", "chosen", "rejected"}, []string{"system", "tools", "margin"}}, withMargin(explicitPair("prompt"))},
		{Format{"preference, sharegpt", []string{"conversations", "chosen", "rejected"}, []string{"system", "tools", "margin"}}, withMargin(explicitPair("conversations"))},
		{Format{"preference, alpaca", []string{"instruction", "chosen", "rejected"}, []string{"input", "history", "system", "tools", "margin"}}, withMargin(pairOf("instruction", alpacaPrompt))},
		{Format{"preference, implicit prompt", []string{"chosen", "rejected"}, []string{"system", "tools", "margin"}}, withMargin(implicitPair)},
	}
}

// withMargin reads the column of margins where the data has one.
func withMargin(parse func(*encoder, records.Record) (Pair, error)) func(*encoder, records.Record) (Pair, error) {
	return func(e *encoder, r records.Record) (Pair, error) {
		p, err := parse(e, r)
		if err != nil {
			return p, err
		}
		p.Margin, err = optionalNumber(r, "margin")
		return p, err
	}
}

func (p Pair) count() (tokens, targets int) { return p.Tokens(), len(p.Chosen) + len(p.Rejected) }

// side is one side of a pair: an answer, with its prompt where the side is a
// whole conversation.
type side struct {
	prompt []Message // nil: only the answer
	answer Message
}

// readSide reads a string, one message, or messages of which the last is the
// answer.
func readSide(r records.Record, name string) (side, error) {
	v, err := required(r, name, "a string or messages")
	if err != nil {
		return side{}, err
	}
	return sideOf(name, v)
}

func sideOf(name string, v jsontext.Value) (side, error) {
	if err := textOrMessages(name, v); err != nil {
		return side{}, err
	}
	switch {
	case v.Kind() == jsontext.KindBeginObject:
		m, err := messageOf(name, v)
		return side{answer: m}, err
	case v.Kind() == jsontext.KindString && !nestedMessages(v):
		s, err := textOf(name, v)
		return side{answer: Message{Role: "assistant", Content: s}}, err
	}
	c, err := messagesOf(name, v)
	if err != nil {
		return side{}, err
	}
	if len(c) == 0 {
		return side{}, &degenerate{EmptyAnswer, name + " has no messages"}
	}
	out := side{answer: c[len(c)-1]}
	if len(c) > 1 {
		out.prompt = c[:len(c)-1]
	}
	return out, nil
}

func readSides(r records.Record) (chosen, rejected side, err error) {
	if chosen, err = readSide(r, "chosen"); err != nil {
		return
	}
	rejected, err = readSide(r, "rejected")
	return
}

func explicitPair(column string) func(*encoder, records.Record) (Pair, error) {
	return pairOf(column, func(r records.Record) ([]Message, error) { return conversation(r, column) })
}

// pairOf takes the prompt from columns of its own; column is the one of its text.
func pairOf(column string, promptOf func(records.Record) ([]Message, error)) func(*encoder, records.Record) (Pair, error) {
	return func(e *encoder, r records.Record) (Pair, error) {
		prompt, err := promptOf(r)
		if err != nil {
			return Pair{}, err
		}
		chosen, rejected, err := readSides(r)
		if err != nil {
			return Pair{}, err
		}
		transcripts(r, column, &chosen, &rejected)
		if chosen.prompt == nil && rejected.prompt == nil {
			return e.pair(r, prompt, chosen.answer, rejected.answer)
		}
		if !sameMessages(chosen.prompt, rejected.prompt) || !stands(prompt, chosen.prompt) {
			return Pair{}, &degenerate{PromptsDiffer, ""}
		}
		return e.pair(r, chosen.prompt, chosen.answer, rejected.answer)
	}
}

// transcripts cuts the prompt from answers that repeat it, where all three are
// transcripts. Other answers that begin like the prompt are left alone: a short
// one may do so by chance.
func transcripts(r records.Record, column string, sides ...*side) {
	prompt, err := text(r, column)
	if err != nil || !isTranscript(prompt) {
		return
	}
	for _, s := range sides {
		if rest, ok := strings.CutPrefix(s.answer.Content, strings.TrimRight(prompt, " ")); ok && s.prompt == nil {
			s.answer.Content = rest
		}
	}
}

// stands says whether the explicit prompt is the one of the conversation: the
// same messages, or the text of one of the user's.
func stands(prompt, whole []Message) bool {
	if len(prompt) == 1 {
		return slices.ContainsFunc(whole, func(m Message) bool { return sameMessages(prompt, []Message{m}) })
	}
	return sameMessages(prompt, whole)
}

// implicitPair takes the prompt from the sides, which must agree on it.
func implicitPair(e *encoder, r records.Record) (Pair, error) {
	chosen, rejected, err := readSides(r)
	if err != nil {
		return Pair{}, err
	}
	for i, s := range []*side{&chosen, &rejected} {
		if err := s.splitTranscript([]string{"chosen", "rejected"}[i], promptHint(r)); err != nil {
			return Pair{}, err
		}
	}
	if !sameMessages(chosen.prompt, rejected.prompt) {
		return Pair{}, &degenerate{PromptsDiffer, ""}
	}
	return e.pair(r, chosen.prompt, chosen.answer, rejected.answer)
}

// promptHint names the one column that could be a prompt under another name.
func promptHint(r records.Record) string {
	var foreign []string
	for _, name := range columnsOf(r) {
		if !slices.Contains(columnNames(), name) {
			foreign = append(foreign, name)
		}
	}
	if len(foreign) != 1 {
		return ""
	}
	return fmt.Sprintf(" (is it %q? the map prompt=%s says so)", foreign[0], foreign[0])
}

// splitTranscript finds the prompt in a side that is a text.
func (s *side) splitTranscript(name, hint string) error {
	if s.prompt != nil {
		return nil
	}
	if !isTranscript(s.answer.Content) {
		return malformed(name, "holds no prompt: want messages, a transcript that begins with %q, or a column prompt%s", humanMark, hint)
	}
	prompt, text, ok := splitTranscript(s.answer.Content)
	if !ok {
		return &degenerate{BrokenRoles, name + " has no turn of the assistant"}
	}
	if strings.Contains(text, humanMark) {
		return &degenerate{BrokenRoles, name + " ends with a turn of the user"}
	}
	s.prompt = transcript(strings.TrimSuffix(prompt, assistantMark))
	s.answer.Content = strings.TrimSpace(text)
	return nil
}

// pair renders a prompt and two answers.
func (e *encoder) pair(r records.Record, prompt []Message, chosen, rejected Message) (Pair, error) {
	prompt, err := withColumns(r, prompt)
	if err != nil {
		return Pair{}, err
	}
	if err := checkTurns(prompt, "user", "tool"); err != nil {
		return Pair{}, err
	}
	promptIDs, err := e.prompt(prompt)
	if err != nil {
		return Pair{}, err
	}
	var answers [2]answer
	for i, m := range []Message{chosen, rejected} {
		if answers[i], err = e.answer(prompt, promptIDs, m, []string{"chosen", "rejected"}[i]); err != nil {
			return Pair{}, err
		}
	}
	return e.fitPair(r.Place, promptIDs, answers)
}

// answer checks and renders one answer.
func (e *encoder) answer(prompt []Message, promptIDs []int32, m Message, name string) (answer, error) {
	if m.Role != "assistant" {
		return answer{}, &degenerate{BrokenRoles, name + " ends with " + m.Role}
	}
	if m.isBlank() {
		return answer{}, &degenerate{EmptyAnswer, name}
	}
	if m.Untrained {
		return answer{}, &degenerate{NoTarget, name + " has weight 0"}
	}
	return e.response(prompt, promptIDs, m)
}

// fitPair brings a pair to the limit. Two sides that are equal, perhaps only
// once they are cut, teach nothing.
func (e *encoder) fitPair(place records.Place, prompt []int32, answers [2]answer) (Pair, error) {
	if slices.Equal(answers[0].ids, answers[1].ids) {
		return Pair{}, &degenerate{EqualAnswers, ""}
	}
	prompt, err := e.fit(place, prompt, &answers[0], &answers[1])
	if err != nil {
		return Pair{}, err
	}
	if slices.Equal(answers[0].ids, answers[1].ids) {
		return Pair{}, &degenerate{EqualAnswers, "after they were cut to the limit"}
	}
	return Pair{
		Prompt: compact(prompt), Chosen: compact(answers[0].ids), Rejected: compact(answers[1].ids),
		ChosenFormat: compact(answers[0].format), RejectedFormat: compact(answers[1].format), Place: place.String(),
	}, nil
}

// tokenPair takes tokens as they are. An answer that begins with BOS was made
// as a text of its own.
func tokenPair(e *encoder, r records.Record) (Pair, error) {
	var ids [3][]int32
	for i, name := range []string{"prompt_ids", "chosen_ids", "rejected_ids"} {
		var err error
		if ids[i], err = tokenIDs(r, name, e.vocabSize()); err != nil {
			return Pair{}, err
		}
		switch {
		case len(ids[i]) == 0 && i == 0:
			return Pair{}, &degenerate{EmptyPrompt, ""}
		case len(ids[i]) == 0:
			return Pair{}, &degenerate{EmptyAnswer, name}
		case i == 0:
			err = e.checkBOS(name, ids[0])
		case ids[i][0] == e.bos:
			err = malformed(name, "begins with BOS (%d): want the answer alone", e.bos)
		}
		if err != nil {
			return Pair{}, err
		}
	}
	return e.fitPair(r.Place, ids[0], [2]answer{{ids: ids[1]}, {ids: ids[2]}})
}
