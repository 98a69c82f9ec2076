package align_test

import (
	"context"
	"path/filepath"
	"testing"

	"align/align"
	"align/dpo"
)

// A run that starts from an adapter shows what its own training changed: nothing, in
// one step of no rate, of a policy that already answers otherwise than the base.
func TestAnswersBeforeAreOfThePolicyAsItBegan(t *testing.T) {
	notUnderRaces(t)
	run := func(adapter string, steps int) (samples []struct{ Prompt, Before, After string }, out string) {
		c := dpo.DefaultConfig()
		c.Model, c.Adapter, c.Out, c.LearningRate = "builtin:tiny", adapter, filepath.Join(t.TempDir(), "run"), 5e-3
		c.Pairs, c.Steps = filepath.Join("..", "examples", "prefs.jsonl"), steps
		if _, err := align.DPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
			t.Fatal(err)
		}
		readJSON(t, filepath.Join(c.Out, "samples.json"), &samples)
		return samples, c.Out
	}
	first, policy := run("", 40)
	if first[0].Before == first[0].After {
		t.Fatalf("the first run has changed no answer: %+v", first)
	}
	second, _ := run(policy, 1)
	for i, s := range second {
		if s.Before != s.After || s.Before != first[i].After {
			t.Errorf("%s: before %q, after %q, want %q", s.Prompt, s.Before, s.After, first[i].After)
		}
	}
}
