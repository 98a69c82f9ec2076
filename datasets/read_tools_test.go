package datasets

import (
	"context"
	"strings"
	"testing"
)

// Ensure that the column of tools, as TRL's data sets have it, stands in the
// prompt of every layout.
func TestReadTools(t *testing.T) {
	template, err := NewTemplate("llama3.1", byteTokenizer(t, "", allSpecials()...))
	if err != nil {
		t.Fatal(err)
	}
	o, tok := Options{Template: template}, template.tok
	first := func(read func(string) ([][]int32, error)) func(text string) (string, error) {
		return func(text string) (string, error) {
			ids, err := read(dataFile(t, "a.jsonl", text))
			if err != nil {
				return "", err
			}
			return tok.Decode(ids[0]), nil
		}
	}
	ctx := context.Background()
	examples := first(func(path string) (ids [][]int32, err error) {
		list, _, err := ReadExamples(ctx, path, o)
		for _, x := range list {
			ids = append(ids, x.IDs)
		}
		return ids, err
	})
	pairs := first(func(path string) (ids [][]int32, err error) {
		list, _, err := ReadPairs(ctx, path, o)
		for _, x := range list {
			ids = append(ids, x.Prompt)
		}
		return ids, err
	})
	prompts := first(func(path string) (ids [][]int32, err error) {
		list, _, err := ReadPrompts(ctx, path, o)
		for _, x := range list {
			ids = append(ids, x.IDs)
		}
		return ids, err
	})
	labelled := first(func(path string) (ids [][]int32, err error) {
		list, _, err := ReadUnpaired(ctx, path, o)
		for _, x := range list {
			ids = append(ids, x.Prompt)
		}
		return ids, err
	})
	ranked := first(func(path string) (ids [][]int32, err error) {
		list, _, err := ReadRanked(ctx, path, o)
		for _, x := range list {
			ids = append(ids, x.Prompt)
		}
		return ids, err
	})
	const (
		tool = `{"type":"function","function":{"name":"f"}}`
		want = toolsInUserText + "{\n    \"type\": \"function\",\n    \"function\": {\n        \"name\": \"f\"\n    }\n}\n\nq<|eot_id|>"
	)
	tests := []struct {
		name, text, fails string
		read              func(string) (string, error)
		none              bool
	}{
		{name: "messages", read: examples, text: `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"tools":[` + tool + `]}`},
		{name: "as a string", read: examples, text: `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"tools":"[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"}`},
		{name: "behind a system message", read: examples, text: `{"prompt":[{"role":"system","content":"s"},{"role":"user","content":"q"}],"completion":"a","tools":[` + tool + `]}`},
		{name: "behind a system column", read: examples, text: `{"prompt":"q","system":"s","completion":"a","tools":[` + tool + `]}`},
		{name: "pair", read: pairs, text: `{"prompt":[{"role":"user","content":"q"}],"chosen":"a","rejected":"b","tools":[` + tool + `]}`},
		{name: "implicit prompt", read: pairs, text: `{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}],"tools":[` + tool + `]}`},
		{name: "a call as the answer", read: pairs, text: `{"prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}}]}],"rejected":"b","tools":[` + tool + `]}`},
		{name: "prompt", read: prompts, text: `{"prompt":"q","tools":[` + tool + `]}`},
		{name: "labelled", read: labelled, text: `{"prompt":"q","completion":"a","label":true,"tools":[` + tool + `]}`},
		{name: "ranked", read: ranked, text: `{"prompt":"q","responses":["a","b"],"ranks":[1,2],"tools":[` + tool + `]}`},
		{name: "null", read: prompts, none: true, text: `{"prompt":"q","tools":null}`},
		{name: "none in the list", read: prompts, none: true, text: `{"prompt":"q","tools":[]}`},
		{name: "an empty cell", read: prompts, none: true, text: `{"prompt":"q","tools":""}`},
		{name: "a name alone", read: prompts, text: `{"prompt":"q","tools":["f"]}`, fails: `a.jsonl:1: "tools[0]" is a string: want a JSON schema`},
		{name: "no list", read: prompts, text: `{"prompt":"q","tools":{"name":"f"}}`, fails: `a.jsonl:1: "tools" is an object: want a list`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.read(tt.text)
			switch {
			case tt.fails != "":
				if err == nil || !strings.HasSuffix(err.Error(), tt.fails) {
					t.Errorf("got error %v, want %s", err, tt.fails)
				}
			case err != nil:
				t.Error(err)
			case strings.Contains(got, want) == tt.none || strings.Contains(got, "ipython") == tt.none:
				t.Errorf("got %q", got)
			}
		})
	}
}

// Ensure that tools are never left out in silence.
func TestReadToolsOfATemplateWithout(t *testing.T) {
	path := dataFile(t, "a.jsonl", `{"prompt":"q","tools":[{"name":"f"}]}`)
	_, _, err := ReadPrompts(context.Background(), path, chatMLOptions(t))
	if want := `a.jsonl:1: template chatml has no tools`; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// A turn of LLaMA-Factory's role function_call is OpenAI's message with tool_calls.
func TestReadFunctionCalls(t *testing.T) {
	template, err := NewTemplate("llama3.1", byteTokenizer(t, "", allSpecials()...))
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) (string, error) {
		list, _, err := ReadExamples(context.Background(), dataFile(t, "a.jsonl", text), Options{Template: template})
		if err != nil {
			return "", err
		}
		return template.tok.Decode(list[0].IDs), nil
	}
	turns := func(value string) string {
		return `{"conversations":[{"from":"human","value":"q"},{"from":"function_call","value":` + value + `},{"from":"observation","value":"1"},{"from":"gpt","value":"a"}]}`
	}
	want, err := read(`{"messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]},{"role":"tool","content":"1"},{"role":"assistant","content":"a"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, value, fails string }{
		{"an object", `"{\"name\": \"f\", \"arguments\": {\"x\": 1}}"`, ""},
		{"a list", `"[{\"name\": \"f\", \"arguments\": {\"x\": 1}}]"`, ""},
		{"a text", `"f(1)"`, `"conversations[1].value" is no call {"name", "arguments"}`},
		{"no name", `"{\"arguments\": {}}"`, `"conversations[1].value" has no function's name or no arguments`},
		{"no arguments", `"{\"name\": \"f\"}"`, `"conversations[1].value" has no function's name or no arguments`},
		{"an empty list", `"[]"`, `"conversations[1].value" is a list without a call`},
		{"an object in place of a text", `{"name": "f"}`, `"conversations[1].value" is an object: want a string`},
	} {
		got, err := read(turns(tt.value))
		switch {
		case tt.fails != "":
			if err == nil || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.fails)
			}
		case err != nil || got != want:
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, want)
		}
	}
}
