package cost

import (
	"math"
	"testing"

	"align/datasets"
	"align/model"
)

// The counts of a step of 1 x 512 tokens and of a pair with a shared prompt of
// 256 and answers of 128 tokens, reference included, at rank 16, from an
// independent program for the same rule.
func TestCost(t *testing.T) {
	for _, tc := range []struct {
		shape    string
		sft, dpo float64
	}{
		{"tiny", 10475274240, 13311672320},
		{"small", 226470395904, 294628884480},
		{"1b", 2610635472896, 3487647662080},
		{"8b", 15679180767232, 22617297780736},
	} {
		c, err := model.Shape(tc.shape)
		if err != nil {
			t.Fatal(err)
		}
		a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 16, Alpha: 32, Targets: model.Modules})
		if err != nil {
			t.Fatal(err)
		}
		x := Of(c, a)
		w := Work{Tokens: 512, Targets: 512, Pairs: 512 * 513 / 2}
		near(t, tc.shape+" sft", x.Forward(w)+x.Backward(w), tc.sft)
		var pack datasets.Pack
		pack.AddPair(datasets.Pair{Prompt: make([]int32, 256), Chosen: make([]int32, 128), Rejected: make([]int32, 128)}, 0)
		w = WorkOf(&pack)
		// That program charges the first layer's q, k and v of a pair, and the last
		// layer at every token: 2 and 1 times its weights, 3 times its adapter.
		more := 2*w.Tokens*(x.linear-x.back) + 2*(w.Tokens-w.Targets)*(3*x.last+3*x.lastAdapter)
		near(t, tc.shape+" dpo", x.Forward(w)+x.Backward(w)+more+Of(c, nil).Forward(w), tc.dpo)
	}
}

func near(t *testing.T, name string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*want {
		t.Errorf("%s: %.0f operations, want %.0f", name, got, want)
	}
}
