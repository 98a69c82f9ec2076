package align_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/rejection"
)

// A long prompt takes nothing from the answers to the others, and one that leaves no
// room for an answer is dropped and named.
func TestALongPromptDoesNotShortenOtherAnswers(t *testing.T) {
	dir := t.TempDir()
	short := "How much is 2 times 3?"
	sampled := func(name string, prompts ...string) (string, []string) {
		path := filepath.Join(dir, name+".jsonl")
		var lines strings.Builder
		for _, p := range prompts {
			fmt.Fprintf(&lines, "{\"prompt\":%q}\n", p)
		}
		if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		c := rejection.DefaultConfig()
		c.Model, c.Prompts, c.Scorer, c.Out = "builtin:tiny", path, "length:90", filepath.Join(dir, name)
		c.K, c.MaxNew, c.Threads = 2, 40, 1
		var notes []string
		if _, err := align.Rejection(context.Background(), c, align.Environment{Note: func(s string) { notes = append(notes, s) }}); err != nil {
			t.Fatal(err)
		}
		samples, err := os.ReadFile(filepath.Join(c.Out, rejection.SamplesFile))
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(samples), "\n")
		return first, notes
	}
	want, _ := sampled("alone", short)
	got, notes := sampled("beside", short, strings.Repeat("seven ", 480), strings.Repeat("seven ", 600))
	if got != want {
		t.Errorf("%s\nbeside a long prompt, alone\n%s", got, want)
	}
	told := strings.Join(notes, "\n")
	for _, part := range []string{"2 of 3 records", "dropped overlong: 1 (line 3)", "max_new: 1 of 2 prompts leave less than 40 tokens"} {
		if !strings.Contains(told, part) {
			t.Errorf("%q is not told: %s", part, told)
		}
	}
}
