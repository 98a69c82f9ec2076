package align

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/tokenizer"

	"github.com/go-json-experiment/json"
)

func TestAnAnswerFitsBesideItsPrompt(t *testing.T) {
	for _, c := range []struct {
		maxNew, context, want int
		lengths               []int
		note                  string
	}{
		{maxNew: 8, lengths: []int{10}, context: 20, want: 8},
		{maxNew: 10, lengths: []int{10, 3}, context: 20, want: 10},
		{maxNew: 11, lengths: []int{3, 10}, context: 20, want: 11, note: "max_new: 1 of 2 prompts leave less than 11 tokens of the model's context of 20, and their answers end there; the longest leaves 10"},
		{maxNew: 512, lengths: []int{19}, context: 20, want: 1, note: "max_new: 1 of 1 prompts leave less than 512 tokens of the model's context of 20, and their answers end there; the longest leaves 1"},
	} {
		note := ""
		got, err := roomFor(c.maxNew, c.lengths, c.context, Environment{Note: func(s string) { note = s }})
		if got != c.want || err != nil || note != c.note {
			t.Errorf("%+v: %d, %v, %q", c, got, err, note)
		}
	}
	if _, err := roomFor(1, []int{20}, 20, Environment{}); err == nil {
		t.Error("a prompt as long as the context: no error")
	}
}

// Ensure that what rejection writes of a prompt is read as the same messages,
// tools and calls included.
func TestPromptSource(t *testing.T) {
	for _, c := range []struct{ name, record, want string }{
		{"text", `{"prompt":"q"}`, `"q"`},
		{"system", `{"prompt":"q","system":"s"}`, `[{"role":"system","content":"s"},{"role":"user","content":"q"}]`},
		{"call and result", `{"prompt":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","content":{"t":20}}],"tools":"[{\"name\":\"f\"}]"}`,
			`[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","content":{"t":20}}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := readPrompt(t, c.record)
			source, _, err := promptSource(first)
			if err != nil || string(source) != c.want {
				t.Fatalf("%s, %v, want %s", source, err, c.want)
			}
			record, err := json.Marshal(map[string]any{"prompt": source, "tools": toolsSource(first)})
			if err != nil {
				t.Fatal(err)
			}
			if again := readPrompt(t, string(record)); !slices.Equal(again.IDs, first.IDs) {
				t.Errorf("%s has other tokens than %s", record, c.record)
			}
		})
	}
}

func readPrompt(t *testing.T, record string) datasets.Prompt {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(path, []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := basemodel.Resolve("builtin:tiny")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	template, err := datasets.NewTemplate("llama3.1", tok)
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := datasets.ReadPrompts(context.Background(), path, datasets.Options{Template: template})
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}
