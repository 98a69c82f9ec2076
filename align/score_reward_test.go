package align_test

import (
	"bufio"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/internal/fixture"
	"align/ppo"
	"align/rejection"
	"align/reward"

	"github.com/go-json-experiment/json"
)

// sharingTolerance is what sharing the prompt's tokens moves a score in
// float32 and bfloat16 products.
const sharingTolerance = 1e-4

// The score of an answer read from a file is the one that it had when it was
// drawn.
func TestRewardsOfAFileAreThoseOfTheSamples(t *testing.T) {
	t.Setenv("ALIGN_CACHE", t.TempDir())
	checkRewards(t, judgeOn(t, "", "auto"))
}

// A reward model of another template, and one with another tokenizer, read the
// answers' text.
func TestARewardModelWithTokensOfItsOwn(t *testing.T) {
	notUnderRaces(t)
	t.Setenv("ALIGN_CACHE", t.TempDir())
	for name, judge := range map[string]func(*testing.T) string{
		"template": func(t *testing.T) string { return judgeOn(t, "", "plain") },
		"tokenizer": func(t *testing.T) string {
			return judgeOn(t, fixture.Path(t, "data", "stories260K-chat"), "auto")
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := judge(t)
			checkRewards(t, path)
			prompts := writeLines(t, "prompts.jsonl", []map[string]string{{"prompt": "What is 2 + 4?"}, {"prompt": "Who are you?"}})
			p := ppo.DefaultConfig()
			p.Model, p.Prompts, p.Reward, p.MaxNew, p.Steps, p.Rollout, p.Out = "builtin:tiny", prompts, path, 16, 1, 2, filepath.Join(t.TempDir(), "run")
			if _, err := align.PPO(context.Background(), p, nil, (&recorder{}).environment(t)); err != nil {
				t.Error(err)
			}
			o := align.DefaultCompareOptions()
			o.Model, o.A, o.B, o.Prompts, o.Reward, o.MaxNew = "builtin:tiny", p.Out, "base", prompts, path, 16
			if c, err := align.Compare(context.Background(), o, align.Environment{}); err != nil || c.Answers != 2 {
				t.Errorf("compared %d answers: %v", c.Answers, err)
			}
		})
	}
}

// judgeOn is a reward model on a base.
func judgeOn(t *testing.T, base, template string) string {
	t.Helper()
	c := reward.DefaultConfig()
	c.Model, c.Template = base, template
	c.Out, c.Steps, c.EvalFraction, c.LearningRate = filepath.Join(t.TempDir(), "judge"), 4, 0, 1e-2
	c.Pairs = writeLines(t, "pairs.jsonl", []map[string]string{{"prompt": "What is 2 + 3?", "chosen": "2 + 3 = 5.", "rejected": "Too hard."}})
	if _, err := align.Reward(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	return c.Out
}

// checkRewards holds the scores of samples to those of the file that they
// became.
func checkRewards(t *testing.T, judge string) {
	t.Helper()
	r := rejection.DefaultConfig()
	r.Model, r.Reward, r.K, r.MaxNew, r.Out = "builtin:tiny", judge, 3, 64, filepath.Join(t.TempDir(), "samples")
	r.Prompts = writeLines(t, "prompts.jsonl", []map[string]string{{"prompt": "What is 2 + 4?"}, {"prompt": "What color is the sky?"}, {"prompt": "Who are you?"}})
	if _, err := align.Rejection(context.Background(), r, align.Environment{}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(r.Out, rejection.SFTFile))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []float64
	for lines := bufio.NewScanner(strings.NewReader(string(data))); lines.Scan(); {
		var e rejection.Example
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		want = append(want, e.Score)
	}
	o := align.ScoreOptions{Data: filepath.Join(r.Out, rejection.SFTFile), Template: "auto"}
	err = align.ScoreReward(context.Background(), judge, o, align.Environment{}, func(x float64) error {
		got = append(got, x)
		return nil
	})
	if err != nil || len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%d scores, want %d: %v", len(got), len(want), err)
	}
	for i := range got {
		if math.Abs(got[i]-want[i]) > sharingTolerance*max(1, math.Abs(want[i])) {
			t.Errorf("answer %d scores %v, when it was drawn %v", i+1, got[i], want[i])
		}
	}
}
