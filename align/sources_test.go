package align_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"align/align"
	"align/dpo"
	"align/internal/train"
)

func textPairs(prompts ...string) []map[string]string {
	var list []map[string]string
	for _, p := range prompts {
		list = append(list, map[string]string{"prompt": p, "chosen": p + " Yes, with pleasure.", "rejected": "No."})
	}
	return list
}

// A mixture goes on after a stop within a pass over a file as if it had not
// stopped, and with other weights it does not go on.
func TestAMixtureResumes(t *testing.T) {
	notUnderRaces(t)
	a, b := writeLines(t, "a.jsonl", textPairs("Who?", "What?", "When?")), writeLines(t, "b.jsonl", textPairs("How?", "Why?"))
	c := dpo.DefaultConfig()
	c.Model, c.Pairs, c.Out = "builtin:tiny", a+":0.7,"+b+":0.3", t.TempDir()
	c.Steps, c.Batch, c.EvalFraction, c.Rank, c.LearningRate = 6, 2, 0, 2, 1e-3
	if _, err := align.DPO(context.Background(), c, nil, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	part := c
	part.Out = t.TempDir()
	r := &recorder{stopAt: 3}
	if result, err := align.DPO(context.Background(), part, nil, r.environment(t)); err != nil || result.Ended != train.Interrupt {
		t.Fatalf("%v: %v", result.Ended, err)
	}
	part.Resume = true
	other := part
	other.Pairs = a + ":0.6," + b + ":0.4"
	if _, err := align.DPO(context.Background(), other, nil, (&recorder{}).environment(t)); err == nil || !strings.Contains(err.Error(), `mixture is "0.6,0.4", the run began with "0.7,0.3"`) {
		t.Errorf("a run with other weights: %v", err)
	}
	if _, err := align.DPO(context.Background(), part, nil, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	const weights = "checkpoints/step-000006/adapter_model.safetensors"
	if !bytes.Equal(readFile(t, c.Out, weights), readFile(t, part.Out, weights)) {
		t.Error("the resumed run has other weights")
	}
}
