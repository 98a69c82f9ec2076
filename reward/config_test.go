package reward

import (
	"math"
	"slices"
	"strings"
	"testing"

	"align/datasets"
)

func TestConfigValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string // "" means valid
	}{
		{"the defaults with pairs", func(*Config) {}, ""},
		{"no pairs", func(c *Config) { c.Pairs = "" }, "pairs is missing"},
		{"negative centring", func(c *Config) { c.Centering = -1 }, "centering must be finite and not negative, got -1"},
		{"margin NaN", func(c *Config) { c.Margin = math.NaN() }, "margin must be finite and not negative, got NaN"},
		{"a shared setting", func(c *Config) { c.Batch = 0 }, "batch must be at least 1, got 0"},
	} {
		c := DefaultConfig()
		c.Pairs = "pairs.jsonl"
		tc.change(&c)
		err := c.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestGroupValidate(t *testing.T) {
	one := []int32{1}
	for _, tc := range []struct {
		name  string
		group Group
		want  string
	}{
		{"a pair", FromPair(datasets.Pair{Prompt: one, Chosen: one, Rejected: []int32{2}}, 1), ""},
		{"one answer", Group{Answers: [][]int32{one}, Ranks: []int{1}}, "1 answers: want at least 2"},
		{"an empty answer", Group{Answers: [][]int32{one, nil}, Ranks: []int{1, 2}}, "answer 2 is empty"},
		{"ties", Group{Answers: [][]int32{one, one}, Ranks: []int{2, 2}}, "all answers have the same rank"},
		{"ranks", Group{Answers: [][]int32{one, one}, Ranks: []int{1, 2, 3}}, "3 ranks for 2 answers"},
		{"margin", Group{Answers: [][]int32{one, one}, Ranks: []int{1, 2}, Margin: math.Inf(1)}, "margin is +Inf"},
	} {
		tc.group.Place = "pairs.jsonl:3"
		err := tc.group.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), "pairs.jsonl:3: "+tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
	if got := RanksOf([]float64{0.5, 2, 0.5, -1}); !slices.Equal(got, []int{2, 1, 2, 3}) {
		t.Errorf("ranks %v, want [2 1 2 3]", got)
	}
}
