package align_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"align/align"
	"align/dpo"
	"align/internal/compute"
	"align/reward"
)

// evaluated is what training's evaluation and ScorePairs may differ by: the packs
// are others, and sums of means have another order.
const evaluated = 1e-6

// A run's own reference is taken, be it the adapter that it began with or one that it
// names; where that is no more what it was, nothing else is taken for it.
func TestScorePairsTakesTheRunsReference(t *testing.T) {
	notUnderRaces(t)
	pairs := writeLines(t, "pairs.jsonl", []map[string]any{
		{"prompt": "Who is Tom?", "chosen": "Tom is a boy.", "rejected": "No."},
		{"prompt": "What is 2 + 3?", "chosen": "2 + 3 = 5.", "rejected": "Too hard."},
	})
	ctx, env := context.Background(), (&recorder{}).environment(t)
	c := dpo.DefaultConfig()
	c.Model, c.Pairs, c.Eval, c.Steps, c.LearningRate = "builtin:tiny", pairs, pairs, 3, 1e-3
	train := func(adapter, ref string) align.Result {
		c.Adapter, c.Ref, c.Out = adapter, ref, t.TempDir()
		result, err := align.DPO(ctx, c, nil, env)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	first := train("", "init")
	o := align.PairScoreOptions{ScoreOptions: align.ScoreOptions{Model: c.Model, Data: pairs, Template: "auto", Compute: compute.Settings{Device: "auto", Precision: "auto"}}}
	ignore := func(align.ScoredPair) error { return nil }
	for _, tc := range []struct{ adapter, ref string }{{first.Run, "init"}, {first.Run, "base"}, {"", first.Run}} {
		result := train(tc.adapter, tc.ref)
		o.Adapter = result.Run
		got, err := align.ScorePairs(ctx, o, env, ignore)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Means {
			if want, ok := result.Final.Get("eval_" + m.Name); !ok || math.Abs(m.Value()-want) > evaluated {
				t.Errorf("%+v: %s is %v, in training %v", tc, m.Name, m.Value(), want)
			}
		}
	}
	c.Adapter, c.Ref, c.Out, c.Steps = "", "init", first.Run, 6
	c.Resume = true
	if _, err := align.DPO(ctx, c, nil, env); err != nil {
		t.Fatal(err)
	}
	if _, err := align.ScorePairs(ctx, o, env, ignore); err == nil || !strings.Contains(err.Error(), "is not what it was when") {
		t.Errorf("against an adapter that went on: %v", err)
	}
	if err := os.RemoveAll(first.Run); err != nil {
		t.Fatal(err)
	}
	if _, err := align.ScorePairs(ctx, o, env, ignore); err == nil || !strings.Contains(err.Error(), "name where it is now, or base") {
		t.Errorf("against an adapter that is gone: %v", err)
	}
}

// The pairs' scores are those of training's evaluation on the same file.
func TestScorePairsIsTheEvaluation(t *testing.T) {
	notUnderRaces(t)
	pairs := writeLines(t, "pairs.jsonl", []map[string]any{
		{"prompt": "Who is Tom?", "chosen": "Tom is a boy.", "rejected": "No."},
		{"prompt": "What is 2 + 3?", "chosen": "2 + 3 = 5.", "rejected": "Too hard."},
		{"prompt": "Say hello.", "chosen": "Hello, my friend!", "rejected": "Bye."},
	})
	ctx := context.Background()
	c := dpo.DefaultConfig()
	c.Model, c.Pairs, c.Eval, c.Steps, c.LearningRate, c.Beta, c.Out = "builtin:tiny", pairs, pairs, 3, 1e-3, 0.3, t.TempDir()
	env := (&recorder{}).environment(t)
	result, err := align.DPO(ctx, c, nil, env)
	if err != nil {
		t.Fatal(err)
	}
	o := align.PairScoreOptions{ScoreOptions: align.ScoreOptions{Model: c.Model, Adapter: result.Run, Data: pairs, Template: "auto"}, Beta: c.Beta}
	o.Compute = compute.Settings{Device: "auto", Precision: "auto"}
	var places []string
	got, err := align.ScorePairs(ctx, o, env, func(p align.ScoredPair) error {
		places = append(places, p.Place)
		if math.Abs(p.Chosen-p.Rejected-p.Margin) > evaluated {
			t.Errorf("%+v: the margin is not the difference", p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(places) != 3 || places[2] != pairs+":3" || got.Pairs != 3 || got.Low > got.Accuracy || got.High < got.Accuracy {
		t.Errorf("places %v, summary %+v", places, got)
	}
	if want, _ := result.Final.Get("eval_rewards/accuracies"); got.Accuracy != want {
		t.Errorf("accuracy %v, in training %v", got.Accuracy, want)
	}
	for _, m := range got.Means {
		if want, ok := result.Final.Get("eval_" + m.Name); !ok || math.Abs(m.Value()-want) > evaluated {
			t.Errorf("%s is %v, in training %v", m.Name, m.Value(), want)
		}
	}

	// Neither loss nor beta need be told: they are the run's.
	o.Beta = 0
	if again, err := align.ScorePairs(ctx, o, env, func(align.ScoredPair) error { return nil }); err != nil || fmt.Sprint(again) != fmt.Sprint(got) {
		t.Errorf("without beta: %+v, %v; with the run's: %+v", again, err, got)
	}

	// The policy against itself has no margins, and a tie is wrong.
	o.Ref = result.Run
	if got, err = align.ScorePairs(ctx, o, env, func(align.ScoredPair) error { return nil }); err != nil || got.Right != 0 {
		t.Errorf("against itself: %+v, %v", got, err)
	}

	for _, loss := range []string{"simpo", "orpo", "cpo", "sigmoid_norm", "simpo:2,sft"} {
		c.Loss, c.Beta, c.Out, c.MaskFormat = loss, 2, t.TempDir(), loss == "orpo"
		if result, err = align.DPO(ctx, c, nil, env); err != nil {
			t.Fatal(err)
		}
		o.Adapter, o.Ref = result.Run, ""
		if got, err = align.ScorePairs(ctx, o, env, func(align.ScoredPair) error { return nil }); err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Means {
			if want, ok := result.Final.Get("eval_" + m.Name); !ok || math.Abs(m.Value()-want) > evaluated {
				t.Errorf("%s: %s is %v, in training %v", loss, m.Name, m.Value(), want)
			}
		}
	}

	r := reward.DefaultConfig()
	r.Model, r.Pairs, r.Eval, r.Steps, r.Out = "builtin:tiny", pairs, pairs, 3, t.TempDir()
	if result, err = align.Reward(ctx, r, nil, env); err != nil {
		t.Fatal(err)
	}
	o = align.PairScoreOptions{ScoreOptions: align.ScoreOptions{Data: pairs, Template: "auto", Compute: o.Compute}, Reward: result.Run}
	if got, err = align.ScorePairs(ctx, o, env, func(align.ScoredPair) error { return nil }); err != nil {
		t.Fatal(err)
	}
	accuracy, _ := result.Final.Get("eval_accuracy")
	margin, _ := result.Final.Get("eval_margin")
	if value, _ := got.Means.Get("rewards/margins"); got.Accuracy != accuracy || math.Abs(value-margin) > evaluated {
		t.Errorf("accuracy %v and margin %v, in training %v and %v", got.Accuracy, value, accuracy, margin)
	}
}
