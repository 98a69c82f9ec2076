package align_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"align/align"
	"align/dpo"
	"align/reward"
	"align/sft"
)

// What a method says that it measures is what an evaluation measures, so that
// --best can be checked before a run begins.
func TestMeasuredIsMeasured(t *testing.T) {
	pair := map[string]any{"prompt": "Who is Tom?", "chosen": "A boy.", "rejected": "No."}
	pairs := writeLines(t, "pairs.jsonl", []map[string]any{pair})
	data := writeLines(t, "data.jsonl", []map[string]any{{"prompt": "Who is Tom?", "completion": "A boy."}})
	labelled := writeLines(t, "labelled.jsonl", []map[string]any{
		{"prompt": "Who is Tom?", "completion": "A boy.", "label": true}, {"prompt": "Say hello.", "completion": "No.", "label": false},
	})
	s, p, k, r := sft.DefaultConfig(), dpo.DefaultConfig(), dpo.DefaultConfig(), reward.DefaultConfig()
	s.Model, s.Data, s.Eval, s.Steps, s.Out = "builtin:tiny", data, data, 1, t.TempDir()
	p.Model, p.Pairs, p.Eval, p.Steps, p.Out = "builtin:tiny", pairs, pairs, 1, t.TempDir()
	o := p
	o.Out, o.Loss = t.TempDir(), "orpo"
	k.Model, k.Pairs, k.Eval, k.Steps, k.Out, k.Loss = "builtin:tiny", labelled, labelled, 1, t.TempDir(), "kto"
	r.Model, r.Pairs, r.Eval, r.Steps, r.Out = "builtin:tiny", pairs, pairs, 1, t.TempDir()
	ctx := context.Background()
	for _, tc := range []struct {
		name     string
		measured []string
		run      func(align.Environment) (align.Result, error)
	}{
		{"sft", sft.Measured(), func(e align.Environment) (align.Result, error) { return align.SFT(ctx, s, nil, e) }},
		{"dpo", p.Measured(), func(e align.Environment) (align.Result, error) { return align.DPO(ctx, p, nil, e) }},
		{"dpo, orpo", o.Measured(), func(e align.Environment) (align.Result, error) { return align.DPO(ctx, o, nil, e) }},
		{"dpo, kto", k.Measured(), func(e align.Environment) (align.Result, error) { return align.DPO(ctx, k, nil, e) }},
		{"reward", reward.Measured(), func(e align.Environment) (align.Result, error) { return align.Reward(ctx, r, nil, e) }},
	} {
		result, err := tc.run((&recorder{}).environment(t))
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		for _, m := range result.Final {
			if !slices.Contains(tc.measured, m.Name) {
				t.Errorf("%s: %s is measured and not named", tc.name, m.Name)
			}
		}
		for _, name := range tc.measured {
			if _, ok := result.Final.Get(name); !ok && !strings.HasPrefix(name, "eval_accuracy_margin_") {
				t.Errorf("%s: %s is named and not measured", tc.name, name)
			}
		}
	}
}
