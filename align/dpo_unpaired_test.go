package align_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"align/align"
	"align/dpo"
	"align/internal/train"
)

// labelledLines are answers to small sums, wanted where they are right.
func labelledLines(n int) []map[string]any {
	var lines []map[string]any
	for i := range n {
		answer := fmt.Sprintf("%d + 1 = %d.", i, i+1)
		if i%3 == 0 {
			answer = "Too hard."
		}
		lines = append(lines, map[string]any{"prompt": fmt.Sprintf("What is %d + 1?", i), "completion": answer, "label": i%3 != 0})
	}
	return lines
}

// A run on labelled answers that is stopped and goes on has the bytes of one
// that was not, with its baselines.
func TestAResumedKTORunHasTheBytesOfAnUninterruptedOne(t *testing.T) {
	notUnderRaces(t)
	whole := dpo.DefaultConfig()
	whole.Loss, whole.Pairs, whole.Out = "kto", writeLines(t, "labelled.jsonl", labelledLines(12)), t.TempDir()
	whole.Steps, whole.Batch, whole.Accumulate, whole.EvalFraction, whole.SaveEvery, whole.LearningRate, whole.Rank = 6, 2, 2, 0.25, train.EverySteps(2), 1e-3, 4
	if _, err := align.DPO(context.Background(), whole, nil, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	part := whole
	part.Out = t.TempDir()
	result, err := align.DPO(context.Background(), part, nil, (&recorder{stopAt: 3}).environment(t))
	if err != nil || result.Ended != train.Interrupt || result.Step != 3 {
		t.Fatalf("stopped at step %d by %v: %v", result.Step, result.Ended, err)
	}
	part.Resume = true
	if _, err := align.DPO(context.Background(), part, nil, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{train.MetricsFile, filepath.Join("checkpoints", "step-000006", "adapter_model.safetensors"), filepath.Join("checkpoints", "step-000006", "optimizer.safetensors")} {
		if !bytes.Equal(readFile(t, part.Out, name), readFile(t, whole.Out, name)) {
			t.Errorf("%s differs", name)
		}
	}
}
