package align_test

import (
	"context"
	"math"
	"testing"

	"align/align"
	"align/internal/compute"
	"align/sft"
)

// A run of another template than the model's is scored as it was evaluated.
func TestTheRunsTemplateIsTaken(t *testing.T) {
	notUnderRaces(t)
	data := writeLines(t, "data.jsonl", []map[string]any{{"prompt": "Who is Tom?", "completion": "Tom is a boy."}, {"prompt": "What is 2 + 3?", "completion": "5."}})
	ctx, env := context.Background(), (&recorder{}).environment(t)
	for _, full := range []bool{false, true} {
		c := sft.DefaultConfig()
		c.Model, c.Data, c.Eval, c.Steps, c.Template, c.Full, c.Out = "builtin:tiny", data, data, 2, "llama3.1", full, t.TempDir()
		result, err := align.SFT(ctx, c, nil, env)
		if err != nil {
			t.Fatal(err)
		}
		o := align.ScoreOptions{Model: c.Model, Adapter: result.Run, Data: data, Template: "auto", Compute: compute.Settings{Device: "auto", Precision: "auto"}}
		if full {
			o.Model, o.Adapter = result.Run, ""
		}
		var sum float64
		var count int
		err = align.Score(ctx, o, env, func(s align.Scored) error {
			sum, count = sum-s.Sum, count+s.Count
			return nil
		})
		if want, _ := result.Final.Get("eval_loss"); err != nil || math.Abs(sum/float64(count)-want) > evaluated {
			t.Errorf("full %v: scored %v, evaluated %v, %v", full, sum/float64(count), want, err)
		}
	}
}
