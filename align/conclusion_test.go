package align_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/internal/fixture"
	"align/internal/train"
	"align/reward"
	"align/sft"
)

// The verdict's mean over examples is eval_loss, summed in another order.
const verdictTolerance = 1e-9

// checkVerdict compares the verdict with the evaluations, and looks for what
// a run leaves.
func checkVerdict(t *testing.T, what string, r *recorder, result align.Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	v := result.Verdict
	if v == nil {
		t.Fatalf("%s: no verdict", what)
	}
	var losses []float64
	for _, e := range r.events {
		if loss, ok := e.Metrics.Get("eval_loss"); ok {
			losses = append(losses, loss)
		}
	}
	if first, last := losses[0], losses[len(losses)-1]; math.Abs(v.Start-first) > verdictTolerance || math.Abs(v.End-last) > verdictTolerance {
		t.Errorf("%s: verdict from %v to %v, evaluations from %v to %v", what, v.Start, v.End, first, last)
	}
	if !strings.Contains(strings.Join(r.notes, "\n"), v.String()) {
		t.Errorf("%s: the verdict is not told: %q", what, r.notes)
	}
	for _, name := range []string{train.VerdictFile, align.ReportFile} {
		if _, err := os.Stat(filepath.Join(result.Run, name)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestVerdictIsOfTheEvaluationsLoss(t *testing.T) {
	notUnderRaces(t)
	dir := fixture.Path(t)
	base := dpoConfig(t, dir)
	base.EvalFraction, base.Steps = 0.5, 3
	for _, nll := range []float64{0, 0.2} {
		c, r := base, &recorder{}
		c.NLL, c.MaskFormat, c.Out, c.Packing = nll, nll > 0, t.TempDir(), nll == 0
		result, err := align.DPO(context.Background(), c, nil, r.environment(t))
		checkVerdict(t, "dpo", r, result, err)
	}

	pairs, r := reward.DefaultConfig(), &recorder{}
	pairs.Settings = base.Settings
	pairs.Best, pairs.Pairs, pairs.Out = "eval_accuracy", base.Pairs, t.TempDir()
	result, err := align.Reward(context.Background(), pairs, nil, r.environment(t))
	checkVerdict(t, "reward", r, result, err)

	var examples []tokens
	for i := range 24 {
		ids := pairLines(24)[i]["chosen_ids"]
		mask := make([]int, len(ids))
		for k := i % 3; k < len(ids); k++ {
			mask[k] = 1
		}
		examples = append(examples, tokens{InputIDs: ids, CompletionMask: mask})
	}
	data := writeLines(t, "examples.jsonl", examples)
	for _, mean := range []string{sft.MeanToken, sft.MeanSequence} {
		c, r := sft.DefaultConfig(), &recorder{}
		c.Settings = base.Settings
		c.Best, c.Data, c.Out, c.LossMean = "eval_loss", data, t.TempDir(), mean
		result, err := align.SFT(context.Background(), c, nil, r.environment(t))
		checkVerdict(t, "sft, mean over "+mean, r, result, err)
	}
}
