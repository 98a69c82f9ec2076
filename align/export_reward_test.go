package align_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"align/align"
	"align/internal/export"
	"align/internal/fixture"
	"align/reward"
)

// A reward run's export is a sequence classifier as PEFT saves it, with every kind
// of adapter, and gives the run's scores to the bit.
func TestAnExportedRewardModelScoresAsTheRunDoes(t *testing.T) {
	base := fixture.Path(t, "data", "stories260K-chat") // in float32: merging rounds nothing away
	pairs := writeLines(t, "pairs.jsonl", []map[string]string{
		{"prompt": "What is 2 + 3?", "chosen": "2 + 3 = 5.", "rejected": "Too hard."},
		{"prompt": "Who are you?", "chosen": "I am a small model.", "rejected": "No."},
	})
	for name, change := range map[string]func(*reward.Config){
		"lora":       func(*reward.Config) {},
		"everything": func(c *reward.Config) { c.DoRA, c.RSLoRA, c.ModulesToSave = true, true, "embed_tokens" },
	} {
		t.Run(name, func(t *testing.T) {
			c := reward.DefaultConfig()
			c.Model, c.Pairs, c.Out, c.Steps, c.EvalFraction, c.LearningRate = base, pairs, filepath.Join(t.TempDir(), "judge"), 4, 0, 1e-2
			change(&c)
			if _, err := align.Reward(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
				t.Fatal(err)
			}
			e := exported(t, c.Out, export.FormatPEFT, "")
			if !e.Scores || e.Checked.Difference != 0 || !(e.Checked.Scale > 0) || e.Checked.Tokens != 32 {
				t.Errorf("read back: %+v", e)
			}
			data := writeLines(t, "answers.jsonl", chats("What is 2 + 3?", "2 + 3 = 5.", "Who are you?", "No."))
			want, got := rewardsOf(t, c.Out, data), rewardsOf(t, e.Path, data)
			if len(want) != 2 || want[0] == want[1] || !slices.Equal(got, want) {
				t.Errorf("scores %v, the run's %v", got, want)
			}
			m := exported(t, c.Out, export.FormatMergedHF, "")
			if got = rewardsOf(t, m.Path, data); !m.Scores || len(got) != 2 || !near(got, want) {
				t.Errorf("merged, scores %v, the run's %v", got, want)
			}
		})
	}
}

// near says whether scores differ by the order of float32's rounding alone.
func near(got, want []float64) bool {
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 1e-4*max(1, math.Abs(want[i]))) {
			return false
		}
	}
	return true
}

// rewardsOf are the scores of a file's records.
func rewardsOf(t *testing.T, judge, data string) []float64 {
	t.Helper()
	var list []float64
	o := align.ScoreOptions{Data: data, Template: "auto"}
	err := align.ScoreReward(context.Background(), judge, o, align.Environment{}, func(x float64) error {
		list = append(list, x)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
