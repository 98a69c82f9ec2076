package align

import (
	"strings"
	"testing"

	"align/internal/score"
	"align/model"
)

// A reward model of a shorter context than the policy's is told before anything is sampled.
func TestFitsJudge(t *testing.T) {
	rule, err := score.Parse("length")
	if err != nil {
		t.Fatal(err)
	}
	short := &score.Model{Base: &model.Model{Config: model.Config{ContextLength: 100}}}
	anew := &score.Model{Base: short.Base, Encode: func(score.Item) (prompt, response []int32, err error) { return nil, nil, nil }}
	const want = "max_new is 61: with the longest prompt of 40 tokens an answer may come to 101, and the reward model's context is 100"
	for _, tt := range []struct {
		name            string
		scorer          score.Scorer
		maxNew, context int
		want            string
	}{
		{"a rule", rule, 1000, 2000, ""},
		{"just room", short, 60, 2000, ""},
		{"no room", short, 61, 2000, want},
		{"the policy's context bounds it", short, 1000, 100, ""},
		{"encoded anew", anew, 1000, 2000, ""},
	} {
		err := fitsJudge(tt.scorer, 40, tt.maxNew, tt.context)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
