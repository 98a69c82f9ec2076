package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type shared struct {
	Model        string  `yaml:"model"`
	LearningRate float64 `yaml:"learning_rate"`
	Batch        int     `yaml:"batch"`
	Seed         uint64  `yaml:"seed"`
	Packing      bool    `yaml:"packing,omitempty"`
	Resume       bool    `yaml:"-"`
}

type method struct {
	shared `yaml:",inline"`
	Beta   float64 `yaml:"beta"`
	Pairs  string  `yaml:"pairs"`
}

// methodConfig is method with a name for the shared part, so that it can be set.
type methodConfig struct {
	Shared shared  `yaml:",inline"`
	Beta   float64 `yaml:"beta"`
	Pairs  string  `yaml:"pairs"`
}

func TestFieldsAreInOrderOfDeclaration(t *testing.T) {
	want := []string{"model", "learning_rate", "batch", "seed", "packing", "beta", "pairs"}
	if got := Keys(Fields(&method{})); !cmp.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
}

func TestParseKeepsWhatTheFileDoesNotName(t *testing.T) {
	c := methodConfig{Beta: 0.1, Shared: shared{LearningRate: 1, Batch: 4}}
	text := "# a comment\nlearning_rate: 5e-6 # and one here\n\npacking: on\npairs: \"a b.jsonl\"\nseed: 18446744073709551615\n"
	keys, err := parse("x.yaml", []byte(text), Fields(&c))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"learning_rate", "packing", "pairs", "seed"}; !cmp.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
	want := methodConfig{Beta: 0.1, Pairs: "a b.jsonl", Shared: shared{LearningRate: 5e-6, Batch: 4, Packing: true, Seed: 1<<64 - 1}}
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(methodConfig{}, shared{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseValues(t *testing.T) {
	for _, tc := range []struct{ text, key, want string }{
		{"beta: -0.1", "beta", "-0.1"},
		{"beta: .5", "beta", "0.5"},
		{"batch: -3", "batch", "-3"},
		{"packing: true", "packing", "on"},
		{"packing: True", "packing", "on"},
		{"packing: OFF", "packing", "off"},
		{"packing: 'off'", "packing", "off"},
		{"pairs: 123", "pairs", "123"},
		{"pairs: true", "pairs", "true"},
		{"pairs: 8-15", "pairs", "8-15"},
		{"pairs: ''", "pairs", ""},
		{"pairs: |-\n  a\n  b", "pairs", "a\nb"},
		{"", "beta", "0"},
		{"# only a comment\n", "beta", "0"},
		{"{beta: 2, batch: 1}", "beta", "2"},
	} {
		var c methodConfig
		fields := Fields(&c)
		if _, err := parse("x.yaml", []byte(tc.text), fields); err != nil {
			t.Errorf("%q: %v", tc.text, err)
			continue
		}
		for _, f := range fields {
			if f.Key == tc.key && f.String() != tc.want {
				t.Errorf("%q: %s = %q, want %q", tc.text, tc.key, f.String(), tc.want)
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"nearest key", "beta: 1\nlearnig_rate: 2", []string{`config: x.yaml:2: unknown key "learnig_rate", did you mean "learning_rate"`}},
		{"no near key", "temperature: 1", []string{`config: x.yaml:1: unknown key "temperature"`}},
		{"key of another tool", "\nmax_prompt_length: 1", []string{`config: x.yaml:2: unknown key "max_prompt_length": use max_length for prompt and answer together, and overlong: truncate-prompt to cut prompts`}},
		{"all at once", "betta: 1\nbatch: many\nseed: -1", []string{`x.yaml:1: unknown key "betta"`, `x.yaml:2: batch: want a whole number, got "many"`, `x.yaml:3: seed: want a whole number that is not negative, got "-1"`}},
		{"no value", "beta:", []string{"x.yaml:1: beta: has no value"}},
		{"a list", "beta: [1, 2]", []string{"x.yaml:1: beta: want one value, got a list"}},
		{"nesting", "beta:\n  gamma: 1", []string{"x.yaml:1: beta: want one value, got keys of its own"}},
		{"a tab", "beta: 1\n\tseed: 2", []string{"x.yaml:2: a tab: YAML is indented with spaces"}},
		{"an anchor", "beta: &a 1", []string{"x.yaml:1: beta: want one value, got an anchor or alias: write the value itself"}},
		{"truth", "packing: maybe", []string{`packing: want on or off, got "maybe"`}},
		{"number", "beta: abc", []string{`beta: want a number, got "abc"`}},
		{"a number too large", "batch: 99999999999999999999", []string{`batch: want a whole number`}},
		{"twice", "beta: 1\nbeta: 2", []string{`x.yaml:2: mapping key "beta" already defined`}},
		{"two documents", "beta: 1\n---\nbeta: 2", []string{"x.yaml: 2 YAML documents, want one"}},
		{"no mapping", "hello", []string{"x.yaml: want lines of the form `key: value`, got a string"}},
		{"syntax", "beta: [1", []string{"config: x.yaml:1: "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c methodConfig
			_, err := parse("x.yaml", []byte(tc.text), Fields(&c))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != len(tc.want) {
				t.Errorf("%d lines, want %d: %s", lines, len(tc.want), err)
			}
		})
	}
}

func TestReadRefusesAFileThatIsMissingOrLarge(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(filepath.Join(dir, "none.yaml"), nil); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a missing file: %v", err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(large, nil); err == nil || !strings.Contains(err.Error(), "the limit is") {
		t.Errorf("a large file: %v", err)
	}
}

func TestReadTakesAByteOrderMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte("\ufeffbeta: 0.5\r\nseed: 3\r\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var c methodConfig
	if _, err := Read(path, Fields(&c)); err != nil || c.Beta != 0.5 || c.Shared.Seed != 3 {
		t.Errorf("%+v, %v", c, err)
	}
}

// What Write prints, Read reads back to the same bits.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := methodConfig{
			Shared: shared{
				Model: rapid.String().Draw(t, "model"), LearningRate: rapid.Float64().Draw(t, "learning rate"),
				Batch: rapid.Int().Draw(t, "batch"), Seed: rapid.Uint64().Draw(t, "seed"), Packing: rapid.Bool().Draw(t, "packing"),
			},
			Beta:  rapid.Float64().Draw(t, "beta"),
			Pairs: rapid.StringMatching(`[ -~]{0,12}`).Draw(t, "pairs"),
		}
		var text strings.Builder
		if err := Write(&text, Fields(&want), func(key string) string { return "the " + key }); err != nil {
			t.Fatal(err)
		}
		var got methodConfig
		if _, err := parse("x.yaml", []byte(text.String()), Fields(&got)); err != nil {
			t.Fatalf("%v\n%s", err, text.String())
		}
		if got != want {
			t.Fatalf("got %#v\nwant %#v\n%s", got, want, text.String())
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "beta: 1", "a: [", "---\n---", "beta: &a 1\nb: *a", "? x\n: y", "\xff", "- 1", "beta: |\n  1", "{a: {b: c}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c methodConfig
		_, _ = parse("x.yaml", data, Fields(&c))
	})
}
