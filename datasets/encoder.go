package datasets

import (
	"fmt"
	"slices"
	"strings"

	"align/internal/records"
)

// encoder makes tokens of what a record says, within the limit of length.
type encoder struct {
	template  *Template
	maxLength int
	overlong  string
	lossOn    string
	bos       int32 // -1: the tokenizer has none
	summary   *Summary
}

func newEncoder(o Options, s *Summary) encoder {
	e := encoder{template: o.Template, maxLength: o.MaxLength, overlong: o.Overlong, lossOn: o.LossOn, bos: -1, summary: s}
	if id, ok := o.Template.tok.BOS(); ok {
		e.bos = id
	}
	return e
}

// vocabSize bounds the ids of pre-tokenised data.
func (e *encoder) vocabSize() int { return e.template.tok.VocabSize() }

// answer is a response as tokens; format marks its closing tokens.
type answer struct {
	ids    []int32
	format []bool
}

// response is an answer to a prompt that is already rendered.
func (e *encoder) response(prompt []Message, promptIDs []int32, m Message) (answer, error) {
	if len(m.ToolCalls) == 0 {
		ids, format := e.template.Response(m.Content)
		return answer{ids, format}, nil
	}
	// A call is more than its content: it is what the whole conversation has
	// behind the prompt.
	whole, err := e.template.Render(append(slices.Clone(prompt), m), RenderOptions{})
	if err != nil {
		return answer{}, notRendered(err)
	}
	if n := len(promptIDs); len(whole.IDs) >= n && slices.Equal(whole.IDs[:n], promptIDs) {
		return answer{whole.IDs[n:], whole.Format[n:]}, nil
	}
	return answer{}, malformed("", "the answer's tool call changes the prompt")
}

// prompt renders a conversation up to where an answer begins.
func (e *encoder) prompt(c []Message) ([]int32, error) {
	if c[len(c)-1].isBlank() {
		return nil, &degenerate{EmptyPrompt, ""}
	}
	ids, err := e.template.Prompt(c)
	if err != nil {
		return nil, notRendered(err)
	}
	return ids, nil
}

// notRendered is the error of a conversation that the template refuses.
func notRendered(err error) error {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "datasets: ")
	}
	return malformed("", "%s", strings.Join(lines, "; "))
}

// fit brings a prompt and its answers to the limit, which bounds the prompt
// with each answer. It may shorten the answers in place.
func (e *encoder) fit(place records.Place, prompt []int32, answers ...*answer) ([]int32, error) {
	longest := 0
	for _, a := range answers {
		longest = max(longest, len(a.ids))
	}
	length := len(prompt) + longest
	e.summary.Lengths.add(length)
	if e.maxLength == 0 || length <= e.maxLength {
		return prompt, nil
	}
	switch keep := e.maxLength - longest; {
	case e.overlong == OverlongError:
		return nil, e.tooLong(place, length)
	case e.overlong == OverlongTruncatePrompt && keep >= e.leastPrompt():
		e.truncated(length - e.maxLength)
		return e.cutFront(prompt, keep), nil
	case e.overlong == OverlongTruncate && len(prompt) < e.maxLength:
		for _, a := range answers {
			a.cut(e.maxLength - len(prompt))
		}
		e.truncated(length - e.maxLength)
		return prompt, nil
	}
	return nil, e.dropped(length)
}

func (e *encoder) tooLong(place records.Place, length int) error {
	return fmt.Errorf("%s: the record has %d tokens: the limit is %d", place, length, e.maxLength)
}

func (e *encoder) dropped(length int) error {
	return &degenerate{Overlong, fmt.Sprintf("%d tokens: the limit is %d", length, e.maxLength)}
}

func (e *encoder) truncated(tokens int) {
	e.summary.Truncated++
	e.summary.TruncatedTokens += int64(tokens)
}

// leastPrompt is the shortest prompt that is left of one: a token behind BOS.
func (e *encoder) leastPrompt() int {
	if e.bos >= 0 {
		return 2
	}
	return 1
}

// cutFront keeps the end of a prompt, and BOS if it has one.
func (e *encoder) cutFront(prompt []int32, keep int) []int32 {
	cut := slices.Clone(prompt[len(prompt)-keep:])
	if prompt[0] == e.bos {
		cut[0] = e.bos
	}
	return cut
}

func (a *answer) cut(n int) {
	if n < len(a.ids) {
		a.ids = a.ids[:n]
		if a.format != nil {
			a.format = a.format[:n]
		}
	}
}

// compact gives back the room that appending left: what is kept stays in memory
// for the whole run.
func compact[T any](s []T) []T {
	if s == nil {
		return nil
	}
	return append(make([]T, 0, len(s)), s...)
}

// checkBOS refuses BOS twice in a row at a beginning: the sign of a text that
// was given one before and again.
func (e *encoder) checkBOS(field string, ids []int32) error {
	if len(ids) > 1 && ids[0] == e.bos && ids[1] == e.bos {
		return malformed(field, "begins with BOS (%d) twice", e.bos)
	}
	return nil
}
