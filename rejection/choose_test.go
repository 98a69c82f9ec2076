package rejection

import (
	"math"
	"strings"
	"testing"
)

func row(prompt string, responses []string, scores []float64, finish ...string) Row {
	r := Row{Prompt: []byte(prompt), Responses: responses, Scores: scores}
	for i := range responses {
		reason := "stop"
		if i < len(finish) {
			reason = finish[i]
		}
		r.FinishReasons = append(r.FinishReasons, reason)
	}
	return r
}

func TestChoose(t *testing.T) {
	c := DefaultConfig()
	c.MinMargin = 0.5
	examples, pairs, n := Choose([]Row{
		row(`"p"`, []string{"good answer", "bad one", "cut off"}, []float64{2, 1, 9}, "stop", "stop", "length"),
		row(`[{"role":"user","content":"x"}]`, []string{"b", "first of the best", "another one"}, []float64{0, 3, 3}),
		row(`"q"`, []string{"nearly the same text", "nearly the same  text"}, []float64{2, 1}),
		row(`"r"`, []string{"close", "scores"}, []float64{1.2, 1}),
		row(`"s"`, []string{" ", "x"}, []float64{1, 2}, "stop", "length"),
	}, c)
	if len(examples) != 4 || string(examples[0].Completion) != `"good answer"` || string(examples[1].Completion) != `[{"role":"assistant","content":"first of the best"}]` {
		t.Errorf("examples: %+v", examples)
	}
	if len(pairs) != 2 || string(pairs[0].Rejected) != `"bad one"` || pairs[1].RejectedScore != 0 {
		t.Errorf("pairs: %+v", pairs)
	}
	want := Counts{
		Prompts: 5, Samples: 12, Truncated: 2, Empty: 1, Unanswered: 1, TooClose: 1, Similar: 1, Examples: 4, Pairs: 2,
		MeanScore: n.MeanScore, BestScore: (2 + 3 + 2 + 1.2) / 4,
	}
	if n != want {
		t.Errorf("counts: %+v, want %+v", n, want)
	}
}

// Of equal scores the first is taken, or the likeliest: log-probabilities of
// -3, -2, -4 and -1 nats, the last one cut off.
func TestTies(t *testing.T) {
	rows := func(scores ...float64) []Row {
		r := row(`"p"`, []string{"first one", "second", "third way", "cut off"}, scores, "stop", "stop", "stop", "length")
		r.LogProbs = [][]float64{{-1, -2}, {-2}, {-4, 0}, {-1}}
		return []Row{r}
	}
	for _, tc := range []struct {
		name, ties       string
		scores           []float64
		chosen, rejected string
	}{
		{"first best", TiesFirst, []float64{1, 1, 0, 1}, "first one", "third way"},
		{"likeliest best", TiesLikeliest, []float64{1, 1, 0, 1}, "second", "third way"},
		{"first worst", TiesFirst, []float64{0, 0, 1, 0}, "third way", "first one"},
		{"likeliest worst", TiesLikeliest, []float64{0, 0, 1, 0}, "third way", "second"},
		{"a score is above likelihood", TiesLikeliest, []float64{3, 2, 4, 0}, "third way", "second"},
	} {
		c := DefaultConfig()
		c.Ties = tc.ties
		_, pairs, _ := Choose(rows(tc.scores...), c)
		if len(pairs) != 1 || string(pairs[0].Chosen) != `"`+tc.chosen+`"` || string(pairs[0].Rejected) != `"`+tc.rejected+`"` {
			t.Errorf("%s: pairs %+v, want %q against %q", tc.name, pairs, tc.chosen, tc.rejected)
		}
	}
}

func TestLikeness(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{
		{"same", " same ", 1}, {"", "", 1}, {"abc", "", 0}, {"night", "nacht", 0.25}, {"ab", "cd", 0}, {"aaaa", "aa", 0.5},
	} {
		if got, back := likeness(c.a, c.b), likeness(c.b, c.a); got != c.want || back != got {
			t.Errorf("likeness(%q, %q) = %v and %v, want %v", c.a, c.b, got, back, c.want)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"valid", func(*Config) {}, ""},
		{"one answer", func(c *Config) { c.K = 1 }, "k must be at least 2"},
		{"greedy", func(c *Config) { c.Temperature = 0 }, "temperature must be positive"},
		{"temperature NaN", func(c *Config) { c.Temperature = math.NaN() }, "temperature must be positive"},
		{"two scorers", func(c *Config) { c.Reward = "runs/reward-001" }, "both score: name one"},
		{"no scorer", func(c *Config) { c.Scorer = "" }, "reward is missing: a reward model, or scorer: a rule"},
		{"pairs", func(c *Config) { c.Pairs = "x" }, `rejected must be one of worst, random, got "x"`},
		{"ties", func(c *Config) { c.Ties = "last" }, `ties must be one of first, likeliest, got "last"`},
		{"shard 0", func(c *Config) { c.Shard = "0/2" }, `shard "0/2"`},
		{"shard beyond", func(c *Config) { c.Shard = "3/2" }, `shard "3/2"`},
		{"shard words", func(c *Config) { c.Shard = "1/2x" }, `shard "1/2x"`},
		{"no prompts", func(c *Config) { c.Prompts = "" }, "prompts is missing"},
	} {
		c := DefaultConfig()
		c.Model, c.Prompts, c.Scorer = "m", "p.jsonl", "length"
		tc.change(&c)
		err := c.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestDealKeepsEveryPromptOnce(t *testing.T) {
	var prompts []Prompt
	for i := range 200 {
		prompts = append(prompts, Prompt{IDs: []int32{int32(i % 150), 7}})
	}
	seen := map[int]bool{}
	for i := range 7 {
		list, repeated, err := deal(prompts, Shard{i, 7})
		if err != nil || repeated != 50 {
			t.Fatalf("%d repeated (%v), want 50", repeated, err)
		}
		for _, w := range list {
			if seen[w.index] {
				t.Errorf("prompt %d is in two parts", w.index)
			}
			seen[w.index] = true
		}
	}
	if len(seen) != 150 {
		t.Errorf("%d prompts in all parts, want 150", len(seen))
	}
	if _, _, err := deal(nil, Shard{0, 1}); err == nil {
		t.Error("no prompts: no error")
	}
}
