package datasets

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// readCalls reads the tool calls of an assistant's message, as OpenAI writes
// them: [{"function": {"name", "arguments"}}].
func (m *Message) readCalls(field string, v jsontext.Value) error {
	if v == nil || v.Kind() == jsontext.KindNull {
		return nil
	}
	var calls []struct {
		Function struct {
			Name      string         `json:"name"`
			Arguments jsontext.Value `json:"arguments"`
		} `json:"function"`
	}
	if err := json.Unmarshal(v, &calls); err != nil {
		return malformed(field+".tool_calls", "is no list of calls: %v", err)
	}
	for i, c := range calls {
		if c.Function.Name == "" {
			return malformed(fmt.Sprintf("%s.tool_calls[%d]", field, i), "has no function's name")
		}
		arguments := c.Function.Arguments
		if inner := nested(arguments); inner != nil {
			arguments = inner // OpenAI's arguments are JSON in a string
		}
		m.ToolCalls = append(m.ToolCalls, ToolCall{Name: c.Function.Name, Arguments: arguments})
	}
	return nil
}

// callRole is LLaMA-Factory's role of an assistant's turn that calls functions.
const callRole = "function_call"

// callOf reads such a turn: {"name", "arguments"} as text, or a list of these.
func callOf(field string, v jsontext.Value) (Message, error) {
	text, err := textOf(field, v)
	if err != nil {
		return Message{}, err
	}
	type call struct {
		Name      string         `json:"name"`
		Arguments jsontext.Value `json:"arguments"`
	}
	var calls []call
	if err := json.Unmarshal([]byte(text), &calls); err != nil {
		var one call
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return Message{}, malformed(field, "is no call {\"name\", \"arguments\"}: %v", err)
		}
		calls = []call{one}
	}
	m := Message{Role: "assistant"}
	for _, c := range calls {
		if c.Name == "" || c.Arguments == nil {
			return Message{}, malformed(field, "has no function's name or no arguments")
		}
		m.ToolCalls = append(m.ToolCalls, ToolCall(c))
	}
	if len(m.ToolCalls) == 0 {
		return Message{}, malformed(field, "is a list without a call")
	}
	return m, nil
}
