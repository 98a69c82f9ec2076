package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The README's session works as it is printed. Its own model and pairs are the
// ones inside the program and in examples.
func TestREADMESession(t *testing.T) {
	if testing.Short() {
		t.Skip("trains the model inside the program")
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pairs, err := os.ReadFile(filepath.Join("..", "..", "examples", "prefs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, file: "README.md", dir: t.TempDir(), env: map[string]string{}}
	for _, name := range []string{"prefs.jsonl", filepath.Join("examples", "prefs.jsonl")} {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, pairs, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := 0
	for _, line := range regexp.MustCompile(`(?m)^(?:go run ./cmd/align|align) .*$`).FindAllString(string(readme), -1) {
		line = strings.TrimPrefix(line, "go run ./cmd/")
		line = strings.ReplaceAll(line, "models/llama", builtinModel)
		line = strings.ReplaceAll(line, `"`, `'`)
		if err := s.line("exec " + line); err != nil {
			t.Fatalf("%s: %v\nstdout:\n%s\nstderr:\n%s", line, err, s.stdout, s.stderr)
		}
		if run == 0 && !accuracyAbove(s.stderr, 0.9) {
			t.Errorf("the first command's held-out accuracy does not end above 0.9:\n%s", s.stderr)
		}
		if run == 0 && !answersDiffer(s.stderr) {
			t.Errorf("the two prompts are answered alike before and after:\n%s", s.stderr)
		}
		run++
	}
	if run < 5 {
		t.Errorf("the README shows %d commands, want at least 5", run)
	}
}

// answersDiffer tells whether both answers shown after training differ from
// those before.
func answersDiffer(log string) bool {
	shown := regexp.MustCompile(`(?m)^  before (.*)\n  after  (.*)$`).FindAllStringSubmatch(log, -1)
	for _, s := range shown {
		if s[1] == s[2] {
			return false
		}
	}
	return len(shown) == 2
}

// accuracyAbove reads the last held-out accuracy that was printed.
func accuracyAbove(log string, limit float64) bool {
	all := regexp.MustCompile(`eval_rewards/accuracies (\S+)`).FindAllStringSubmatch(log, -1)
	if len(all) == 0 {
		return false
	}
	last, err := strconv.ParseFloat(all[len(all)-1][1], 64)
	return err == nil && last > limit
}
