package datasets

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/internal/tokenizer"

	"pgregory.net/rapid"
)

// byteTokenizer has one token per byte and the special tokens of every
// template.
func byteTokenizer(t testing.TB, chatTemplate string, specials ...string) *tokenizer.Tokenizer {
	t.Helper()
	spec := tokenizer.Spec{ChatTemplate: chatTemplate}
	for b := range 256 {
		r := rune(b)
		// The 68 bytes that the byte-level alphabet moves, in its order.
		switch {
		case b <= ' ':
			r = rune(256 + b)
		case b >= 0x7F && b <= 0xA0:
			r = rune(256 + 33 + b - 0x7F)
		case b == 0xAD:
			r = 256 + 67
		}
		spec.Tokens = append(spec.Tokens, string(r))
		spec.Types = append(spec.Types, tokenizer.Normal)
	}
	for _, name := range specials {
		spec.Tokens = append(spec.Tokens, name)
		spec.Types = append(spec.Types, tokenizer.Control)
	}
	tok, err := tokenizer.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// allSpecials are the special tokens that the templates need.
func allSpecials() []string {
	return []string{"<s>", "</s>", "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
		"<|eot_id|>", "<|eom_id|>", "<|python_tag|>", "<|im_start|>", "<|im_end|>"}
}

// texts are all the text of r, that of its targets, and that of the tokens
// that it marks as format.
func texts(tok *tokenizer.Tokenizer, r Rendering) (all, targets, format string) {
	var targetIDs, formatIDs []int32
	for i, id := range r.IDs {
		if r.LossMask[i] {
			targetIDs = append(targetIDs, id)
		}
		if r.Format[i] {
			formatIDs = append(formatIDs, id)
		}
	}
	return tok.Decode(r.IDs), tok.Decode(targetIDs), tok.Decode(formatIDs)
}

func TestRender(t *testing.T) {
	conversation := []Message{
		{Role: "system", Content: "Be brief"},
		{Role: "user", Content: " Hi "},
		{Role: "assistant", Content: "Hello"},
		{Role: "user", Content: "Bye"},
		{Role: "assistant", Content: "See you"},
	}
	tests := []struct{ template, all, targets, format string }{
		{
			"llama3",
			"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief<|eot_id|>" +
				"<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>" +
				"<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nSee you<|eot_id|>",
			"Hello<|eot_id|>See you<|eot_id|>",
			"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n<|eot_id|>" +
				"<|start_header_id|>user<|end_header_id|>\n\n<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n<|eot_id|>" +
				"<|start_header_id|>user<|end_header_id|>\n\n<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n<|eot_id|>",
		},
		{
			"chatml",
			"<|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n" +
				"<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\nSee you<|im_end|>",
			"Hello<|im_end|>See you<|im_end|>",
			"<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n" +
				"<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n<|im_end|>",
		},
		{
			"zephyr",
			"<|system|>\nBe brief<|end_of_text|>\n<|user|>\n Hi <|end_of_text|>\n<|assistant|>\nHello<|end_of_text|>\n" +
				"<|user|>\nBye<|end_of_text|>\n<|assistant|>\nSee you<|end_of_text|>",
			"Hello<|end_of_text|>See you<|end_of_text|>",
			"<|system|>\n<|end_of_text|>\n<|user|>\n<|end_of_text|>\n<|assistant|>\n<|end_of_text|>\n" +
				"<|user|>\n<|end_of_text|>\n<|assistant|>\n<|end_of_text|>",
		},
		{
			"plain",
			"<|begin_of_text|>Be brief\n Hi \nHello<|end_of_text|>\nBye\nSee you<|end_of_text|>",
			"Hello<|end_of_text|>See you<|end_of_text|>",
			"<|begin_of_text|><|end_of_text|>\n<|end_of_text|>",
		},
		{
			"raw",
			"<|begin_of_text|>Be brief Hi Hello<|end_of_text|>ByeSee you<|end_of_text|>",
			"Hello<|end_of_text|>See you<|end_of_text|>",
			"<|begin_of_text|><|end_of_text|><|end_of_text|>",
		},
	}
	tok := byteTokenizer(t, "", allSpecials()...)
	for _, tt := range tests {
		template, err := NewTemplate(tt.template, tok)
		if err != nil {
			t.Fatal(err)
		}
		got, err := template.Render(conversation, RenderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		all, targets, format := texts(tok, got)
		if all != tt.all {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.template, all, tt.all)
		}
		if targets != tt.targets {
			t.Errorf("%s: targets %q, want %q", tt.template, targets, tt.targets)
		}
		if format != tt.format {
			t.Errorf("%s: format\ngot  %q\nwant %q", tt.template, format, tt.format)
		}
	}
}

// Ensure that a call of a tool and its result are what the templates of
// Llama 3.1 and 3.2 make of them.
func TestRenderTools(t *testing.T) {
	call := func(name, arguments string) Message {
		return Message{Role: "assistant", ToolCalls: []ToolCall{{name, []byte(arguments)}}}
	}
	tests := []struct {
		template     string
		builtin      []string
		message      Message
		all, targets string
	}{
		{"llama3.1", nil, call("f", `{"b":[1,2],"a":"é"}`),
			`{"name": "f", "parameters": {"b": [1, 2], "a": "é"}}<|eot_id|>`, `{"name": "f", "parameters": {"b": [1, 2], "a": "é"}}<|eot_id|>`},
		{"llama3.1", []string{"search"}, call("search", `{"q":"x","n":"2"}`),
			`<|python_tag|>search.call(q="x", n="2")<|eom_id|>`, `<|python_tag|>search.call(q="x", n="2")<|eom_id|>`},
		{"llama3.1", []string{"search"}, call("f", `{}`), `{"name": "f", "parameters": {}}<|eom_id|>`, `{"name": "f", "parameters": {}}<|eom_id|>`},
		{"llama3.2", []string{"search"}, call("search", `{}`), `{"name": "search", "parameters": {}}<|eot_id|>`, `{"name": "search", "parameters": {}}<|eot_id|>`},
		{"llama3.2", nil, Message{Role: "tool", Content: `a "b"`}, `"a \"b\""<|eot_id|>`, ""},
		{"llama3.2", nil, Message{Role: "tool", ContentJSON: []byte(`{"t":[1]}`)}, `{"t": [1]}<|eot_id|>`, ""},
	}
	tok := byteTokenizer(t, "", allSpecials()...)
	for _, tt := range tests {
		template, err := NewTemplate(tt.template, tok)
		if err != nil {
			t.Fatal(err)
		}
		got, err := template.Render([]Message{{Role: "user", Content: "Hi"}, tt.message}, RenderOptions{BuiltinTools: tt.builtin})
		if err != nil {
			t.Errorf("%s: %v", tt.template, err)
		}
		all, targets, _ := texts(tok, got)
		header := "<|start_header_id|>assistant<|end_header_id|>\n\n"
		if tt.message.Role == "tool" {
			header = "<|start_header_id|>ipython<|end_header_id|>\n\n"
		}
		if !strings.HasSuffix(all, header+tt.all) || targets != tt.targets {
			t.Errorf("%s: got %q with targets %q, want the end %q with targets %q", tt.template, all, targets, header+tt.all, tt.targets)
		}
	}
}

// Ensure that a prompt and its response are the rendering of both, whatever
// the contents.
func TestPromptAndResponseAreTheWhole(t *testing.T) {
	tok := byteTokenizer(t, "", allSpecials()...)
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", " ", "\n", "a\n", "\n\nb ", "<|eot_id|>", "\x1c x \u00a0", "</s>"}))
	rapid.Check(t, func(t *rapid.T) {
		template, err := NewTemplate(rapid.SampledFrom(TemplateNames()).Draw(t, "template"), tok)
		if err != nil {
			t.Fatal(err)
		}
		var conversation []Message
		for range rapid.IntRange(1, 4).Draw(t, "messages") {
			role := rapid.SampledFrom([]string{"system", "user", "assistant"}).Draw(t, "role")
			conversation = append(conversation, Message{Role: role, Content: text.Draw(t, "content")})
		}
		answer := text.Draw(t, "answer")
		prompt, err := template.Prompt(conversation)
		if err != nil {
			t.Fatal(err)
		}
		response, format := template.Response(answer)
		whole, err := template.Render(append(conversation, Message{Role: "assistant", Content: answer}), RenderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Concat(prompt, response); !slices.Equal(got, whole.IDs) {
			t.Fatalf("%s: prompt and response\n%q, the whole\n%q", template.Name(), tok.Decode(got), tok.Decode(whole.IDs))
		}
		if !slices.Equal(format, whole.Format[len(prompt):]) {
			t.Fatalf("%s: format of the response %v, in the whole %v", template.Name(), format, whole.Format[len(prompt):])
		}
		if slices.Contains(whole.LossMask[len(prompt):], false) {
			t.Fatalf("%s: a token of the response is no target", template.Name())
		}
		if len(whole.LossMask) != len(whole.IDs) || len(whole.Format) != len(whole.IDs) {
			t.Fatalf("%s: %d ids, %d of the loss mask, %d of format", template.Name(), len(whole.IDs), len(whole.LossMask), len(whole.Format))
		}
	})
}

func TestRenderRefuses(t *testing.T) {
	user := Message{Role: "user", Content: "Hi"}
	call := ToolCall{"f", []byte("{}")}
	tests := []struct {
		name, template string
		conversation   []Message
		options        RenderOptions
		want           string
	}{
		{"empty", "llama3", nil, RenderOptions{}, "no messages"},
		{"role", "llama3", []Message{{Role: "user<|eot_id|>"}}, RenderOptions{}, `message 1: role "user<|eot_id|>"`},
		{"tool role", "llama3", []Message{user, {Role: "tool"}}, RenderOptions{}, "has system, user, assistant"},
		{"tools", "chatml", []Message{user}, RenderOptions{Tools: [][]byte{[]byte("{}")}}, "has no tools"},
		{"bad tool", "llama3.1", []Message{user}, RenderOptions{Tools: [][]byte{[]byte("{")}}, "tool 1"},
		{"tools without a user", "llama3.1", []Message{{Role: "system"}}, RenderOptions{Tools: [][]byte{}}, "first message of the user"},
		{"calls", "plain", []Message{{Role: "assistant", ToolCalls: []ToolCall{call}}}, RenderOptions{}, "has no tool calls"},
		{"two calls", "llama3.1", []Message{{Role: "assistant", ToolCalls: []ToolCall{call, call}}}, RenderOptions{}, "2 tool calls"},
		{"call by user", "llama3.1", []Message{{Role: "user", ToolCalls: []ToolCall{call}}}, RenderOptions{}, `by role "user"`},
		{"bad arguments", "llama3.2", []Message{{Role: "assistant", ToolCalls: []ToolCall{{"f", []byte("{")}}}}, RenderOptions{}, "not JSON"},
		{"arguments of a built-in", "llama3.1", []Message{{Role: "assistant", ToolCalls: []ToolCall{{"f", []byte(`{"a":1}`)}}}},
			RenderOptions{BuiltinTools: []string{"f"}}, `arguments of "f"`},
		{"structured content", "llama3.1", []Message{{Role: "user", ContentJSON: []byte("[]")}}, RenderOptions{}, "not a string"},
	}
	tok := byteTokenizer(t, "", allSpecials()...)
	for _, tt := range tests {
		template, err := NewTemplate(tt.template, tok)
		if err != nil {
			t.Fatal(err)
		}
		_, err = template.Render(tt.conversation, tt.options)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestChooseTemplate(t *testing.T) {
	const chatML = "{%- for m in x %}{% endfor %}"
	say := func(role string) string {
		return "{{ '<|start_header_id|>" + role + "<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
	}
	roles := "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}" + say("user") +
		"{% elif message['role'] == 'assistant' %}" + say("assistant") + "{% else %}" + say("' + message['role'] + '") +
		"{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
	headers := []string{"</s>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}
	jinja := filepath.Join(t.TempDir(), "chat_template.jinja")
	// The layout differs from the known text's, the template does not.
	text := "{#- ChatML #}\n{%- for message in messages -%}\n  {{ \"<|im_start|>\" + message.role + \"\\n\" + message['content'] + '<|im_end|>'+'\n'}}\n" +
		"{%- endfor %}\n{%- if add_generation_prompt %}\n  {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n"
	if err := os.WriteFile(jinja, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, choice, chatTemplate string
		specials                   []string
		want, wantErr              string
	}{
		{"headers", "auto", "", headers, "llama3", ""},
		{"no headers", "auto", "", []string{"</s>"}, "plain", ""},
		{"neither headers nor EOS", "auto", "", nil, "", "needs a tokenizer with EOS"},
		{"its own", "auto", knownTexts()["zephyr"][0], headers, "zephyr", ""},
		{"its own, llama3", "auto", knownTexts()["llama3"][1], headers, "llama3", ""},
		{"its own, llama3 with a case for each role", "auto", roles, headers, "llama3", ""},
		{"its own, llama3 with BOS before the loop", "auto", knownTexts()["llama3"][3], headers, "llama3", ""},
		{"unknown", "auto", chatML, headers, "", "choose one by its name, as --template or the key template: llama3, llama3.1, llama3.2, chatml, zephyr, plain, raw"},
		{"name", "plain", chatML, headers, "plain", ""},
		{"name without its tokens", "chatml", "", headers, "", "needs <|im_start|>, <|im_end|>"},
		{"file", jinja, "", allSpecials(), "chatml", ""},
		{"neither", "llma3", "", headers, "", `template "llma3" is neither a file nor one of auto, llama3`},
	}
	for _, tt := range tests {
		got, reason, err := ChooseTemplate(tt.choice, byteTokenizer(t, tt.chatTemplate, tt.specials...))
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.wantErr)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got.Name() != tt.want || reason == "" {
			t.Errorf("%s: template %s, %q, want %s with a reason", tt.name, got.Name(), reason, tt.want)
		}
	}
}

// Ensure that a default that changes what is rendered is not taken for the
// template without it.
func TestRecogniseRefusesOtherBehaviour(t *testing.T) {
	known := knownTexts()["chatml"][0]
	for _, text := range []string{
		strings.Replace(known, "+ '<|im_end|>'", "| trim + '<|im_end|>'", 1),
		strings.Replace(known, "im_end", "im_start", 1),
		strings.Replace(known, "{% endfor %}", "{% endfor %}\n ", 1) + "x",
		"{{ bos_token }}" + known,
		"{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}" + known,
	} {
		if name, ok := recognise(text); ok {
			t.Errorf("recognised as %s: %q", name, text)
		}
	}
}

func TestStopIDs(t *testing.T) {
	tok := byteTokenizer(t, "", allSpecials()...)
	for name, want := range map[string]string{
		"llama3": "<|eot_id|><|end_of_text|><|eom_id|>",
		"chatml": "<|im_end|><|end_of_text|><|eot_id|><|eom_id|>",
	} {
		template, err := NewTemplate(name, tok)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Decode(template.StopIDs()); got != want {
			t.Errorf("%s: stops at %s, want %s", name, got, want)
		}
	}
}

func FuzzCanonicalJinja(f *testing.F) {
	for _, texts := range knownTexts() {
		f.Add(texts[0])
	}
	for _, s := range []string{"", "{{", "{%-", "{{'", `{{ '\`, "{#-#}", "{%--%}", "{{-}}", "a\n {% x %}\n b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		canonicalJinja(text)
	})
}

func FuzzParseChatRequest(f *testing.F) {
	f.Add([]byte(`{"version":"3.1","messages":[{"role":"user","content":"Hi"}],"kwargs":{"tools":[{"a":1.0}]},"add_generation_prompt":true}`))
	f.Add([]byte(`{"version":"3.2","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":"b"}}}]},{"role":"ipython","content":{}}]}`))
	f.Add([]byte(`{"messages":[{"role":"user"}]}`))
	f.Add([]byte(`{"messages":null,"kwargs":{"unknown":1}}`))
	tok := byteTokenizer(f, "", allSpecials()...)
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := ParseChatRequest(data)
		if err != nil {
			return
		}
		template, err := NewTemplate("llama3.1", tok)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := template.Render(request.Messages, request.Options); err == nil && len(r.IDs) != len(r.LossMask) {
			t.Errorf("%d ids and %d of the loss mask", len(r.IDs), len(r.LossMask))
		}
	})
}
