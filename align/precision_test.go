package align_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/datasets"
	"align/internal/builtin"
	"align/internal/compute"
	"align/internal/device/cpu/feature"
	"align/rejection"
)

// largeWithoutWeights is the small model's folder as that of a model of 120 million
// weights in bfloat16, whose file is broken: whoever reads it has opened the device.
func largeWithoutWeights(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"} {
		text, err := fs.ReadFile(builtin.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "config.json":
			text = []byte(strings.Replace(string(text), `"intermediate_size": 384`, `"intermediate_size": 52000`, 1))
		case "model.safetensors":
			text = text[:4]
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Every command that runs a model settles --precision auto by the model, as training does.
func TestAutomaticPrecisionIsOfTheModel(t *testing.T) {
	ctx, large := context.Background(), largeWithoutWeights(t)
	auto := compute.Settings{Device: "auto", Precision: "auto"}
	want := "f32"
	if feature.Has(feature.AVX512BF16) {
		want = "bf16"
	}
	prompts := writeLines(t, "prompts.jsonl", []map[string]any{{"prompt": "Hello"}})
	data := writeLines(t, "data.jsonl", []map[string]any{{"prompt": "Hello", "completion": "Hi."}})
	pairs := writeLines(t, "pairs.jsonl", []map[string]any{{"prompt": "Hello", "chosen": "Hi.", "rejected": "No."}})
	score := align.ScoreOptions{Model: large, Template: "auto", Compute: auto}
	for name, run := range map[string]func(align.Environment) error{
		"score": func(env align.Environment) error {
			o := score
			o.Data = data
			return align.Score(ctx, o, env, func(align.Scored) error { return nil })
		},
		"score of pairs": func(env align.Environment) error {
			o := align.PairScoreOptions{ScoreOptions: score}
			o.Data = pairs
			_, err := align.ScorePairs(ctx, o, env, func(align.ScoredPair) error { return nil })
			return err
		},
		"generate": func(env align.Environment) error {
			o := align.DefaultGenerateOptions()
			o.Model, o.MaxNew, o.Compute = large, 4, auto
			hello := [][]datasets.Message{{{Role: "user", Content: "Hello"}}}
			return align.Generate(ctx, o, hello, env, nil, func(align.Answer) error { return nil })
		},
		"chat": func(env align.Environment) error {
			o := align.ChatOptions{Model: large, Template: "auto", MaxNew: 4, Compute: auto}
			_, err := align.OpenChat(o, env)
			return err
		},
		"rejection": func(env align.Environment) error {
			c := rejection.DefaultConfig()
			c.Model, c.Prompts, c.Scorer, c.MaxNew, c.Out = large, prompts, "length:4", 4, filepath.Join(t.TempDir(), "out")
			_, err := align.Rejection(ctx, c, env)
			return err
		},
	} {
		r := &recorder{}
		if err := run(r.environment(t)); err == nil {
			t.Errorf("%s: a model without weights is taken", name)
		}
		told := ""
		for _, n := range r.notes {
			if strings.HasPrefix(n, "device: ") {
				told = n
			}
		}
		if !strings.Contains(told, "-"+want) { // amx says more behind it
			t.Errorf("%s: told %q of %q, want %s", name, told, r.notes, want)
		}
	}
}
