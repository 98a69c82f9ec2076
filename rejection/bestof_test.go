package rejection

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/fixture"
	"align/internal/rollout"
	"align/model"
)

// The best of K single tokens, under a score that puts all tokens in an order,
// has P(best at rank r) = F(r)^K - F(r-1)^K, F the cumulative probability from
// the worst up, and a divergence from the model of at most log K - (K-1)/K
// (https://arxiv.org/abs/2401.01879).
func TestTheBestOfKFollowsItsDistribution(t *testing.T) {
	const k, groups = 4, 2000
	m := storyModel(t)
	prompt := []int32{1, 403, 407}
	order, cumulative := ranked(tokenProbabilities(t, m, prompt))
	rankOf := make(map[int32]int, len(order))
	for r, id := range order {
		rankOf[id] = r
	}
	// Ranks are put together until a bin expects some hundred groups.
	binOf := make([]int, len(order))
	var expected []float64
	divergence, below, open := 0.0, 0.0, 0.0
	for r, f := range cumulative {
		p := math.Pow(f, k) - math.Pow(below, k)
		if len(expected) == 0 || open > 100 {
			expected, open = append(expected, 0), 0
		}
		open += groups * p
		binOf[r] = len(expected) - 1
		expected[binOf[r]] += groups * p
		if p > 0 {
			divergence += p * math.Log(p/(f-below))
		}
		below = f
	}
	counts := make([]float64, len(expected))
	for _, group := range draw(t, m, prompt, k, groups) {
		row := Row{Scores: make([]float64, k)}
		for i, id := range group {
			row.Scores[i] = float64(rankOf[id])
		}
		counts[binOf[int(row.Scores[row.best([]int{0, 1, 2, 3}, TiesFirst)])]]++
	}
	chi, freedom := 0.0, len(expected)-1
	for i, e := range expected {
		chi += (counts[i] - e) * (counts[i] - e) / max(e, 1e-9)
	}
	// The mean plus four standard deviations of chi-square.
	if limit := float64(freedom) + 4*math.Sqrt(2*float64(freedom)); freedom < 4 || chi > limit {
		t.Errorf("chi-square is %.1f with %d degrees of freedom, want at most %.1f:\n got %v\nwant %.1f", chi, freedom, limit, counts, expected)
	}
	if bound := math.Log(k) - (k-1.0)/k; divergence > bound {
		t.Errorf("divergence %v exceeds log K - (K-1)/K = %v", divergence, bound)
	}
}

// heat spreads the small model's answers.
const heat = 2.0

func storyModel(t *testing.T) *model.Model {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, err := model.Load(fixture.Path(t, "data", "stories260K"), b, device.F32, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tokenProbabilities is the model's distribution after the prompt.
func tokenProbabilities(t *testing.T, m *model.Model, prompt []int32) []float64 {
	t.Helper()
	var p datasets.Pack
	var answers []datasets.Answer
	for id := range int32(m.Config.VocabSize) {
		answers = append(answers, datasets.Answer{IDs: []int32{id}})
	}
	p.AddGroup(prompt, 0, answers...)
	d, err := model.NewDecoder(m.Config, m.Activations(), model.DecoderOptions{Capacity: model.SizeOf(&p, 0), Temperature: heat})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Compile(m, nil, d.SequenceLogProbs)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(&p, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	list, err := s.Float64s(nil, d.SequenceLogProbs)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range list {
		list[i] = math.Exp(l)
	}
	return list
}

// ranked puts the tokens in an order that has nothing to do with their
// probabilities, and adds these up along it.
func ranked(probabilities []float64) (order []int32, cumulative []float64) {
	for id := range int32(len(probabilities)) {
		order = append(order, id)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(uint32(a)*2654435761, uint32(b)*2654435761) })
	total := 0.0
	for _, id := range order {
		total += probabilities[id]
		cumulative = append(cumulative, total)
	}
	return order, cumulative
}

// draw are groups of k single-token answers.
func draw(t *testing.T, m *model.Model, prompt []int32, k, groups int) [][]int32 {
	t.Helper()
	e, err := rollout.New(m, nil, rollout.Limits{Prompt: len(prompt), Answer: 1, Sequences: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	drawn := make([][]int32, groups)
	o := rollout.Options{Sampling: rollout.Sampling{Temperature: heat, TopP: 1, RepetitionPenalty: 1}, MaxNew: 1, Samples: k * groups, Seed: 12}
	err = e.Generate(context.Background(), []rollout.Prompt{{IDs: prompt}}, o, func(s rollout.Sample) error {
		drawn[s.Index/k] = append(drawn[s.Index/k], s.IDs[0])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return drawn
}
