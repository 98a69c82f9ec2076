package datasets

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"align/internal/records"
)

// Prompt is a conversation that waits for an answer, for generation.
type Prompt struct {
	IDs          []int32
	Conversation []Message
	// Record is all that the file says, for scorers that know the answer.
	Record records.Record
	Place  string
}

// ReadPrompts reads prompts: as a string or messages, a conversation (whose
// last answer, if it ends with one, is left away), an instruction, or a text.
// Bad records are treated as by ReadExamples; where something is cut to the
// limit it is the beginning.
func ReadPrompts(ctx context.Context, path string, o Options) ([]Prompt, Summary, error) {
	return read(ctx, path, "prompt", promptLayouts(), o)
}

func promptLayouts() []layout[Prompt] {
	beside := []string{"system", "tools", "reference"}
	return []layout[Prompt]{
		{Format{"prompts", []string{"prompt"}, beside}, promptOf("prompt")},
		{Format{"prompts, messages", []string{"messages"}, beside}, promptOf("messages")},
		{Format{"prompts, sharegpt", []string{"conversations"}, beside}, promptOf("conversations")},
		{Format{"prompts, alpaca", []string{"instruction"}, []string{"input", "history", "system", "tools", "reference"}}, promptOf("instruction")},
		{Format{"prompts, text", []string{"text"}, beside}, promptOf("text")},
	}
}

// PromptOf reads the conversation of one record of prompts, of whatever layout,
// without rendering it. columns may rename the record's.
func PromptOf(r records.Record, columns Mapping) ([]Message, error) {
	if err := columns.check(r); err != nil {
		return nil, err
	}
	columns.apply(&r)
	l, err := recogniseLayout("prompt", promptLayouts(), r)
	if err != nil {
		return nil, err
	}
	c, err := promptMessages(r, l.Columns[0])
	if err == nil {
		c, err = withColumns(r, c)
	}
	if err == nil {
		err = checkTurns(c, "user", "tool")
	}
	var bad *records.RecordError
	switch {
	case errors.As(err, &bad):
		bad.Place = r.Place
	case err != nil:
		err = fmt.Errorf("%s: %w", r.Place, err)
	}
	return c, err
}

// promptMessages is what a column says, without an answer at its end.
func promptMessages(r records.Record, column string) ([]Message, error) {
	if column == "instruction" {
		return alpacaPrompt(r)
	}
	c, err := conversation(r, column)
	if n := len(c); n > 1 && c[n-1].Role == "assistant" {
		c = c[:n-1]
	}
	return c, err
}

func (p Prompt) count() (tokens, targets int) { return len(p.IDs), 0 }

func promptOf(column string) func(*encoder, records.Record) (Prompt, error) {
	return func(e *encoder, r records.Record) (Prompt, error) {
		c, err := promptMessages(r, column)
		if err != nil {
			return Prompt{}, err
		}
		return e.fitPrompt(r, c)
	}
}

func (e *encoder) fitPrompt(r records.Record, c []Message) (Prompt, error) {
	c, err := withColumns(r, c)
	if err != nil {
		return Prompt{}, err
	}
	if err := checkTurns(c, "user", "tool"); err != nil {
		return Prompt{}, err
	}
	ids, err := e.prompt(c)
	if err != nil {
		return Prompt{}, err
	}
	length := len(ids)
	e.summary.Lengths.add(length)
	if e.maxLength > 0 && length > e.maxLength {
		switch {
		case e.overlong == OverlongError:
			return Prompt{}, e.tooLong(r.Place, length)
		case strings.HasPrefix(e.overlong, OverlongTruncate) && e.maxLength >= e.leastPrompt():
			e.truncated(length - e.maxLength)
			ids = e.cutFront(ids, e.maxLength)
		default:
			return Prompt{}, e.dropped(length)
		}
	}
	return Prompt{IDs: ids, Conversation: c, Record: r, Place: r.Place.String()}, nil
}

// PromptHash is a content hash of a prompt's ids and of what rules compare its
// answers with.
func PromptHash(ids []int32, reference string) [32]byte {
	h := sha256.New()
	for _, id := range ids {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(id)))
	}
	h.Write([]byte{0})
	h.Write([]byte(reference))
	return [32]byte(h.Sum(nil))
}
