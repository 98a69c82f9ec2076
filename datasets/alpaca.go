package datasets

import (
	"fmt"

	"align/internal/records"

	"github.com/go-json-experiment/json/jsontext"
)

// alpacaPrompt is an instruction with its input behind a blank line, where there is
// one, without the wrapping text of the original Alpaca, which a template takes the
// place of. What was said before stands in history, as LLaMA-Factory writes it
// (https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md).
func alpacaPrompt(r records.Record) ([]Message, error) {
	instruction, err := text(r, "instruction")
	if err != nil {
		return nil, err
	}
	input, err := optionalText(r, "input")
	if err != nil {
		return nil, err
	}
	if input != "" {
		instruction += "\n\n" + input
	}
	c, err := historyOf(r)
	return append(c, Message{Role: "user", Content: instruction}), err
}

// historyOf reads the column of earlier rounds, a list of [user, assistant].
func historyOf(r records.Record) (c []Message, err error) {
	v := optional(r, "history")
	if v == nil || string(v) == `""` {
		return nil, nil
	}
	rounds, err := listOf("history", v)
	if err != nil {
		return nil, err
	}
	for i, round := range rounds {
		name := fmt.Sprintf("history[%d]", i)
		if round.Kind() != jsontext.KindBeginArray {
			return nil, malformed(name, "is %s: want [user, assistant]", kindOf(round))
		}
		sides, err := listOf(name, round)
		if err != nil {
			return nil, err
		}
		if len(sides) != 2 {
			return nil, malformed(name, "has %d texts: want two, [user, assistant]", len(sides))
		}
		for side, role := range []string{"user", "assistant"} {
			said, err := textOf(fmt.Sprintf("%s[%d]", name, side), sides[side])
			if err != nil {
				return nil, err
			}
			c = append(c, Message{Role: role, Content: said})
		}
	}
	return c, nil
}
