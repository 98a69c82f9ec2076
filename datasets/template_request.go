package datasets

import (
	"errors"
	"fmt"

	"align/internal/records"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ChatRequest is a conversation to render, in the words of Hugging Face's
// apply_chat_template.
type ChatRequest struct {
	Messages []Message
	// Template is the name of the template; "" if the request names none.
	Template string
	Options  RenderOptions
}

// ParseChatRequest reads a JSON object with messages, and optionally version
// (3, 3.1, 3.2 or the name of a template), add_generation_prompt and kwargs
// (date_string, tools or custom_tools, tools_in_user_message, builtin_tools).
func ParseChatRequest(data []byte) (ChatRequest, error) {
	var f struct {
		Messages         []requestMessage `json:"messages"`
		Version          string           `json:"version"`
		GenerationPrompt bool             `json:"add_generation_prompt"`
		Arguments        jsontext.Value   `json:"kwargs"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return ChatRequest{}, fmt.Errorf("datasets: chat request: %w", wrongRequest(err, data))
	}
	options, err := parseArguments(f.Arguments)
	if err != nil {
		return ChatRequest{}, fmt.Errorf("datasets: chat request: kwargs: %w", err)
	}
	options.GenerationPrompt = f.GenerationPrompt
	r := ChatRequest{Template: templateOfVersion(f.Version), Options: options}
	for i, m := range f.Messages {
		message, err := m.message()
		if err != nil {
			return ChatRequest{}, fmt.Errorf("datasets: chat request: message %d: %w", i+1, err)
		}
		r.Messages = append(r.Messages, message)
	}
	return r, nil
}

// parseArguments reads kwargs; one that no template knows is refused, because
// leaving it out would change what is rendered.
func parseArguments(data jsontext.Value) (RenderOptions, error) {
	var a struct {
		DateString   string           `json:"date_string"`
		Tools        []jsontext.Value `json:"tools"`
		CustomTools  []jsontext.Value `json:"custom_tools"`
		ToolsInUser  *bool            `json:"tools_in_user_message"`
		BuiltinTools []string         `json:"builtin_tools"`
	}
	if len(data) == 0 {
		return RenderOptions{}, nil
	}
	if err := json.Unmarshal(data, &a, json.RejectUnknownMembers(true)); err != nil {
		return RenderOptions{}, wrongArgument(err)
	}
	o := RenderOptions{
		DateString:    a.DateString,
		ToolsInSystem: a.ToolsInUser != nil && !*a.ToolsInUser,
		BuiltinTools:  a.BuiltinTools,
	}
	if a.CustomTools != nil {
		a.Tools = a.CustomTools
	}
	if a.Tools != nil {
		o.Tools = make([][]byte, len(a.Tools))
	}
	for i, tool := range a.Tools {
		o.Tools[i] = tool
	}
	return o, nil
}

// templateOfVersion is the template of a version of Llama, or version itself.
func templateOfVersion(version string) string {
	switch version {
	case "3", "3.0":
		return "llama3"
	case "3.1", "3.3":
		return "llama3.1"
	case "3.2":
		return "llama3.2"
	}
	return version
}

type requestMessage struct {
	Role      string         `json:"role"`
	Content   jsontext.Value `json:"content"`
	ToolCalls []struct {
		Function struct {
			Name      string         `json:"name"`
			Arguments jsontext.Value `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

func (m requestMessage) message() (Message, error) {
	out := Message{Role: m.Role}
	if m.Role == "ipython" {
		out.Role = "tool"
	}
	for _, call := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, ToolCall{call.Function.Name, call.Function.Arguments})
	}
	switch kind := m.Content.Kind(); {
	case len(m.Content) == 0 || kind == 'n':
		if len(out.ToolCalls) == 0 {
			return out, errors.New(`"content" is missing`)
		}
	case kind == '"':
		return out, json.Unmarshal(m.Content, &out.Content)
	default:
		out.ContentJSON = m.Content
	}
	return out, nil
}

// wrongRequest says what is wrong with a request, or which member of it is of
// another type.
func wrongRequest(err error, data []byte) error {
	var wrong *json.SemanticError
	switch {
	case !errors.As(err, &wrong):
		return errors.New(records.JSONReason(err, data))
	case wrong.JSONPointer == "":
		return fmt.Errorf(`it is %s: want an object {"messages": [...]}`, records.KindName(wrong.JSONKind))
	}
	want := "a message"
	switch wrong.JSONPointer.LastToken() {
	case "messages":
		want = "a list of messages"
	case "version":
		want = `a string, as "3.1"`
	case "add_generation_prompt":
		want = "true or false"
	case "role", "name":
		want = "a string"
	case "tool_calls":
		want = "a list of calls"
	case "function":
		want = "an object"
	}
	return fmt.Errorf("%q is %s: want %s", string(wrong.JSONPointer)[1:], records.KindName(wrong.JSONKind), want)
}

// wrongArgument says which of kwargs is unknown or of another type.
func wrongArgument(err error) error {
	var wrong *json.SemanticError
	if !errors.As(err, &wrong) || wrong.JSONPointer == "" {
		return err
	}
	name := wrong.JSONPointer.LastToken()
	if errors.Is(err, json.ErrUnknownName) {
		return fmt.Errorf("%q is unknown: want date_string, tools, tools_in_user_message or builtin_tools", name)
	}
	want := "a list"
	switch name {
	case "date_string":
		want = "a string"
	case "tools_in_user_message":
		want = "a boolean"
	}
	return fmt.Errorf("%q is %s: want %s", name, records.KindName(wrong.JSONKind), want)
}
