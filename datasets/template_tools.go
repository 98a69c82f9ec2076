package datasets

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What Llama 3.1 and 3.2 add to Llama 3: a system message that always comes
// first and holds dates, tools, calls of tools and their results. The texts
// are those of the chat templates in the tokenizer_config.json of
// Llama-3.1-8B-Instruct and Llama-3.2-3B-Instruct.

const (
	toolsInSystemText = "You have access to the following functions. To call a function, please respond with JSON for a function call." +
		toolsFormatText
	toolsInUserText = "Given the following functions, please respond with a JSON for a function call " +
		"with its proper arguments that best answers the given prompt.\n\n" +
		toolsFormatText
	toolsFormatText = `Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.` +
		"Do not use variables.\n\n"
)

// addPreamble adds the system message and, where tools go there, the first
// message of the user; rest is what follows them.
func (r *renderer) addPreamble(conversation []Message, o RenderOptions) (rest []Message, err error) {
	rest = conversation
	system := ""
	if rest[0].Role == "system" {
		system, rest = trimSpace(rest[0].Content), rest[1:]
	}
	tools, err := toolsText(o.Tools)
	if err != nil {
		return nil, err
	}
	r.open("system")
	r.add(r.t.tok.EncodeOrdinary(nil, r.t.preambleText(o, tools)+system), false, false)
	r.close("system", r.t.closing)
	if o.Tools == nil || o.ToolsInSystem {
		return rest, nil
	}
	if len(rest) == 0 || rest[0].Role != "user" {
		return nil, errors.New("datasets: tools stand in the first message of the user, and the conversation does not begin with one")
	}
	r.open("user")
	r.add(r.t.tok.EncodeOrdinary(nil, toolsInUserText+tools+trimSpace(rest[0].Content)), false, false)
	r.close("user", r.t.closing)
	return rest[1:], nil
}

// preambleText is the system message up to the user's own.
func (t *Template) preambleText(o RenderOptions, tools string) string {
	var b strings.Builder
	builtin := t.builtinTools && o.BuiltinTools != nil
	if builtin || o.Tools != nil {
		b.WriteString("Environment: ipython\n")
	}
	if builtin {
		names := slices.DeleteFunc(slices.Clone(o.BuiltinTools), func(name string) bool { return name == "code_interpreter" })
		b.WriteString("Tools: " + strings.Join(names, ", ") + "\n\n")
	}
	date := o.DateString
	if date == "" {
		date = defaultDate
	}
	b.WriteString("Cutting Knowledge Date: December 2023\nToday Date: " + date + "\n\n")
	if o.Tools != nil && o.ToolsInSystem {
		b.WriteString(toolsInSystemText + tools)
	}
	return b.String()
}

// toolsText is each tool as JSON with an indent of 4, as Python's json.dumps
// writes it, and an empty line.
func toolsText(tools [][]byte) (string, error) {
	var b strings.Builder
	for i, tool := range tools {
		v := jsontext.Value(bytes.Clone(tool))
		if err := v.Format(jsontext.WithIndent("    "), jsontext.Multiline(true)); err != nil {
			return "", fmt.Errorf("datasets: tool %d: %w", i+1, err)
		}
		b.Write(v)
		b.WriteString("\n\n")
	}
	return b.String(), nil
}

// addToolMessage adds a tool's result or an assistant's call of a tool.
func (r *renderer) addToolMessage(m Message, o RenderOptions) error {
	r.open(m.Role)
	if m.Role == "tool" {
		text, err := resultText(m)
		if err != nil {
			return err
		}
		r.add(r.t.tok.EncodeOrdinary(nil, text), false, false)
		r.close(m.Role, r.t.closing)
		return nil
	}
	if err := r.addCall(m.ToolCalls[0], o); err != nil {
		return err
	}
	closing := r.t.closing
	if r.t.builtinTools && o.BuiltinTools != nil {
		eom, err := specials(r.t.tok, r.t.name, "<|eom_id|>")
		if err != nil {
			return err
		}
		closing = eom
	}
	r.close(m.Role, closing)
	return nil
}

// resultText is a tool's result as JSON on one line; text becomes a string
// in quotes.
func resultText(m Message) (string, error) {
	if m.ContentJSON != nil {
		return oneLine(m.ContentJSON)
	}
	quoted, err := jsontext.AppendQuote(nil, m.Content)
	if err != nil {
		return "", fmt.Errorf("datasets: result of a tool: %w", err)
	}
	return string(quoted), nil
}

// addCall adds the content of a call: of a built-in tool as Python, of
// another as JSON.
func (r *renderer) addCall(call ToolCall, o RenderOptions) error {
	if !r.t.builtinTools || !slices.Contains(o.BuiltinTools, call.Name) {
		arguments, err := oneLine(call.Arguments)
		if err != nil {
			return err
		}
		text := `{"name": "` + call.Name + `", "parameters": ` + arguments + "}"
		r.add(r.t.tok.EncodeOrdinary(nil, text), true, false)
		return nil
	}
	tag, err := specials(r.t.tok, r.t.name, "<|python_tag|>")
	if err != nil {
		return err
	}
	text, err := builtinCallText(call)
	if err != nil {
		return err
	}
	r.add(tag, true, true)
	r.add(r.t.tok.EncodeOrdinary(nil, text), true, false)
	return nil
}

// builtinCallText is name.call(argument="value", ...), with the arguments in
// their order and their values as they are.
func builtinCallText(call ToolCall) (string, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(call.Arguments))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return "", fmt.Errorf("datasets: arguments of %q are not an object", call.Name)
	}
	var arguments []string
	for dec.PeekKind() == '"' {
		var name, value string
		if err := errors.Join(json.UnmarshalDecode(dec, &name), json.UnmarshalDecode(dec, &value)); err != nil {
			return "", fmt.Errorf("datasets: arguments of %q: %w", call.Name, err)
		}
		arguments = append(arguments, name+`="`+value+`"`)
	}
	if _, err := dec.ReadToken(); err != nil {
		return "", fmt.Errorf("datasets: arguments of %q: %w", call.Name, err)
	}
	return call.Name + ".call(" + strings.Join(arguments, ", ") + ")", nil
}

// oneLine is a JSON value as Python's json.dumps writes it by default.
func oneLine(value jsontext.Value) (string, error) {
	v := value.Clone()
	if err := v.Format(jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true)); err != nil {
		return "", fmt.Errorf("datasets: value %.60q is not JSON: %w", value, err)
	}
	return string(v), nil
}
