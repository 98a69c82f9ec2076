package align

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"align/datasets"
	"align/internal/tokenizer"

	"github.com/go-json-experiment/json"
)

func TestAnAnswerFitsBesideTheLongestPrompt(t *testing.T) {
	for _, c := range []struct{ maxNew, longest, context, want int }{{8, 10, 20, 8}, {10, 10, 20, 10}, {11, 10, 20, 10}, {512, 19, 20, 1}} {
		if got, err := roomFor(c.maxNew, c.longest, c.context, Environment{}); got != c.want || err != nil {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
	if _, err := roomFor(1, 20, 20, Environment{}); err == nil {
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
	dir, err := ResolveModel("builtin:tiny")
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
