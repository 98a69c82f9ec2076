package datasets

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"align/internal/records"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// roleOf is our role for the one of a data set: ShareGPT's and OpenAI's names
// are known.
func roleOf(name string) (string, bool) {
	switch strings.ToLower(name) {
	case "system", "developer":
		return "system", true
	case "user", "human", "prompter":
		return "user", true
	case "assistant", "gpt", "chatgpt", "bot", "model", "ai":
		return "assistant", true
	case "tool", "function", "ipython", "observation":
		return "tool", true
	}
	return "", false
}

// messagesOf reads a list of messages, {"role", "content"} or {"from", "value"}.
func messagesOf(field string, v jsontext.Value) ([]Message, error) {
	items, err := listOf(field, v)
	if err != nil {
		return nil, err
	}
	messages := make([]Message, len(items))
	for i, item := range items {
		if messages[i], err = messageOf(fmt.Sprintf("%s[%d]", field, i), item); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func messageOf(field string, v jsontext.Value) (Message, error) {
	if v.Kind() != jsontext.KindBeginObject {
		return Message{}, malformed(field, "is %s: want a message", kindOf(v))
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(v, &members); err != nil {
		return Message{}, malformed(field, "is no message: %v", err)
	}
	roleKey, contentKey := "role", "content"
	if _, ok := members["from"]; ok {
		roleKey, contentKey = "from", "value"
	}
	if members[roleKey] == nil {
		return Message{}, malformed(field, "has no %q", roleKey)
	}
	name, err := textOf(field+"."+roleKey, members[roleKey])
	if err != nil {
		return Message{}, err
	}
	m, err := saidBy(name, field, roleKey, contentKey, members)
	if err != nil {
		return m, err
	}
	return m, m.readWeight(field, members["weight"])
}

// saidBy is a message of a role as the data set names it.
func saidBy(name, field, roleKey, contentKey string, members map[string]jsontext.Value) (Message, error) {
	if strings.ToLower(name) == callRole {
		return callOf(field+"."+contentKey, members[contentKey])
	}
	role, ok := roleOf(name)
	if !ok {
		return Message{}, malformed(field+"."+roleKey, "is %q: want system, user, assistant or tool", name)
	}
	m := Message{Role: role}
	if err := m.readCalls(field, members["tool_calls"]); err != nil {
		return m, err
	}
	return m, m.readContent(field, contentKey, members[contentKey])
}

// readWeight reads whether an assistant's message is trained on, 1 or 0, as
// OpenAI's fine-tuning has it
// (https://platform.openai.com/docs/api-reference/fine-tuning/chat-input).
func (m *Message) readWeight(field string, v jsontext.Value) error {
	if v == nil || v.Kind() == jsontext.KindNull {
		return nil
	}
	x, err := strconv.ParseFloat(string(v), 64)
	switch {
	case err != nil || x != 0 && x != 1:
		return malformed(field+".weight", "is %s: want 0 or 1", short(v))
	case x == 1 && m.Role != "assistant":
		return malformed(field+".weight", "is 1 of the role %s: the assistant's messages alone are trained on", m.Role)
	}
	m.Untrained = x == 0
	return nil
}

// readContent takes a string, a list of text parts, a tool's JSON value, or
// nothing beside tool calls.
func (m *Message) readContent(field, key string, v jsontext.Value) (err error) {
	switch {
	case v == nil && len(m.ToolCalls) == 0:
		return malformed(field, "has no %q", key)
	case v == nil || v.Kind() == jsontext.KindNull && len(m.ToolCalls) > 0:
		return nil
	case v.Kind() == jsontext.KindBeginArray && m.Role != "tool":
		m.Content, err = partsOf(field+"."+key, v)
		return err
	case m.Role == "tool" && v.Kind() != jsontext.KindString && v.Kind() != jsontext.KindNull:
		m.ContentJSON = v
		return nil
	}
	m.Content, err = textOf(field+"."+key, v)
	return err
}

// partsOf joins the parts of a content, [{"type": "text", "text": ...}].
func partsOf(field string, v jsontext.Value) (string, error) {
	var parts []struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(v, &parts); err != nil {
		return "", malformed(field, "is no list of text parts: %v", err)
	}
	var b strings.Builder
	for i, p := range parts {
		if p.Type != "text" || p.Text == nil {
			return "", malformed(fmt.Sprintf("%s[%d]", field, i), "is of type %q: only text can be read", p.Type)
		}
		b.WriteString(*p.Text)
	}
	return b.String(), nil
}

// conversation reads a prompt or a conversation: a string is one message of the
// user, or a transcript.
func conversation(r records.Record, name string) ([]Message, error) {
	v, err := required(r, name, "a string or messages")
	if err != nil {
		return nil, err
	}
	if err := textOrMessages(name, v); err != nil {
		return nil, err
	}
	if v.Kind() != jsontext.KindString || nestedMessages(v) {
		return messagesOf(name, v)
	}
	s, err := textOf(name, v)
	if err != nil {
		return nil, err
	}
	if isTranscript(s) {
		return transcript(strings.TrimSuffix(strings.TrimRight(s, " "), assistantMark)), nil
	}
	return []Message{{Role: "user", Content: s}}, nil
}

// nestedMessages says whether a string holds a list of messages as JSON, as a
// cell of a table does. A prompt that happens to be a JSON list is none.
func nestedMessages(v jsontext.Value) bool {
	inner := nested(v)
	if inner == nil || inner.Kind() != jsontext.KindBeginArray {
		return false
	}
	m, err := messagesOf("", inner)
	return err == nil && len(m) > 0
}

// withColumns gives a conversation what stands in columns beside it: the system
// message and the tools.
func withColumns(r records.Record, c []Message) ([]Message, error) {
	c, err := withSystem(r, c)
	if err != nil || len(c) == 0 {
		return c, err
	}
	c[0].Tools, err = toolsOf(r)
	return c, err
}

// toolsOf reads the column of tools, as TRL has it: a list of JSON schemas, or
// that as a string. An empty list is none.
func toolsOf(r records.Record) ([][]byte, error) {
	v := optional(r, "tools")
	if v == nil || string(v) == `""` {
		return nil, nil
	}
	items, err := listOf("tools", v)
	if err != nil {
		return nil, err
	}
	var tools [][]byte
	for i, item := range items {
		if inner := nested(item); inner != nil {
			item = inner
		}
		if item.Kind() != jsontext.KindBeginObject {
			return nil, malformed(fmt.Sprintf("tools[%d]", i), "is %s: want a JSON schema", kindOf(item))
		}
		tools = append(tools, item)
	}
	return tools, nil
}

// withSystem puts the text of a system column before a conversation that has no
// system message of its own.
func withSystem(r records.Record, c []Message) ([]Message, error) {
	s, err := optionalText(r, "system")
	if err != nil || strings.TrimSpace(s) == "" || len(c) > 0 && c[0].Role == "system" {
		return c, err
	}
	return append([]Message{{Role: "system", Content: s}}, c...), nil
}

// checkTurns makes sure that a conversation is one: a system message or none,
// then user and assistant in turn, a tool's answers behind the assistant, and
// one of the roles at the end.
func checkTurns(c []Message, ends ...string) error {
	if len(c) == 0 {
		return &degenerate{BrokenRoles, "it has no messages"}
	}
	before := "the beginning"
	for i, m := range c {
		ok := false
		switch m.Role {
		case "system":
			ok = i == 0
		case "user":
			ok = i == 0 || before == "system" || before == "assistant"
		case "assistant":
			ok = before == "user" || before == "tool"
		case "tool":
			ok = before == "assistant" || before == "tool"
		}
		if !ok {
			return &degenerate{BrokenRoles, fmt.Sprintf("message %d: %s follows %s", i+1, m.Role, before)}
		}
		before = m.Role
	}
	if !slices.Contains(ends, before) {
		return &degenerate{BrokenRoles, fmt.Sprintf("it ends with %s: want %s", before, strings.Join(ends, " or "))}
	}
	return nil
}

// isBlank says whether a message says nothing.
func (m Message) isBlank() bool {
	return strings.TrimSpace(m.Content) == "" && m.ContentJSON == nil && len(m.ToolCalls) == 0
}

// sameMessages compares what the messages say; white space around contents does
// not count.
func sameMessages(a, b []Message) bool {
	return slices.EqualFunc(a, b, func(a, b Message) bool {
		return a.Role == b.Role && strings.TrimSpace(a.Content) == strings.TrimSpace(b.Content) &&
			string(a.ContentJSON) == string(b.ContentJSON) &&
			slices.EqualFunc(a.ToolCalls, b.ToolCalls, func(a, b ToolCall) bool {
				return a.Name == b.Name && string(a.Arguments) == string(b.Arguments)
			})
	})
}
