package align_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/datasets"
	"align/internal/fixture"
	"align/internal/rollout"
)

// A model with a weight that is no number is told so, however tokens are drawn, and
// not answered with tokens that mean nothing.
func TestAModelWithoutNumbers(t *testing.T) {
	base := withNaN(t)
	for _, s := range []rollout.Sampling{
		{TopP: 1, RepetitionPenalty: 1}, {Temperature: 1, TopP: 1, RepetitionPenalty: 1}, {Temperature: 1, TopP: 1, TopK: 5, RepetitionPenalty: 1},
	} {
		o := align.DefaultGenerateOptions()
		o.Model, o.Raw, o.Sampling = base, true, s
		err := align.Generate(context.Background(), o, [][]datasets.Message{{{Role: "user", Content: "Once"}}}, align.Environment{}, nil, func(align.Answer) error { return nil })
		refused(t, err, "prompt 1: no token 1 can be drawn: its logits are NaN")
	}
	scoring := align.ScoreOptions{Model: base, Data: fixture.Write(t, `{"text": "Once upon"}`+"\n", t.TempDir(), "texts.jsonl"), Template: "auto"}
	err := align.Score(context.Background(), scoring, align.Environment{}, func(align.Scored) error { return nil })
	refused(t, err, "texts.jsonl:1: the log-probability is NaN")
}

// withNaN is a copy of the tiny model whose last weight is NaN.
func withNaN(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(fixture.Path(t, "golden/models/tiny"))); err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(folder, "model.safetensors")
	data, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[len(data)-4:], "\x00\x00\xc0\x7f")
	if err := os.WriteFile(weights, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
