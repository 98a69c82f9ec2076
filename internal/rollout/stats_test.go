package rollout_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/fixture"
	"align/internal/rollout"
	"align/model"
)

// placed is a backend that counts the weights it is given.
type placed struct {
	*cpu.Backend
	weights int
}

func (p *placed) Place(w device.Weight) (device.View, error) {
	p.weights++
	return p.Backend.Place(w)
}

func openStories(t testing.TB, o cpu.Options) (*model.Model, *placed) {
	t.Helper()
	o.Activations = device.F32
	b, err := cpu.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	p := &placed{Backend: b}
	m, err := model.Load(fixture.Path(t, "data", "stories260K"), p, device.F32, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, p
}

// K samples of a prompt cost one pass over it, however few run at once.
func TestSamplesOfAPromptShareItsPass(t *testing.T) {
	m := stories(t)
	const k = 16
	for _, sequences := range []int{1, 4, k} {
		e := newEngine(t, m, sequences)
		o, p := options(), prompts()
		o.Samples = k
		all := generate(t, e, p, o)
		want := 0
		for _, x := range p {
			want += len(x.IDs)
		}
		drawn := 0
		for _, s := range all {
			drawn += len(s.IDs)
		}
		s := e.Stats()
		if s.Prompts != len(p) || s.PromptTokens != want {
			t.Errorf("%d at once: %d passes over %d tokens, want %d over %d", sequences, s.Prompts, s.PromptTokens, len(p), want)
		}
		if s.Tokens != drawn-len(all) {
			t.Errorf("%d at once: %d tokens were run, want %d: the first of each sample comes from its prompt", sequences, s.Tokens, drawn-len(all))
		}
	}
}

// randomAdapter is an adapter that moves the model.
func randomAdapter(t testing.TB, m *model.Model, rank int, seed uint64) *model.Adapter {
	t.Helper()
	a, err := model.NewAdapter(m.Config, model.LoRAConfig{Rank: rank, Alpha: 8, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	values := a.Initial(seed)
	for i := range values {
		values[i] += float32(0.1 * math.Sin(float64(i)+float64(seed)))
	}
	if err := m.AllocAdapter(a, values); err != nil {
		t.Fatal(err)
	}
	return a
}

// One engine goes from adapter to adapter and to the base: it answers as one
// of its own for each would, and no weight is placed again.
func TestAnEngineChangesItsAdapter(t *testing.T) {
	m, b := openStories(t, cpu.Options{Threads: 2})
	first, second := randomAdapter(t, m, 4, 1), randomAdapter(t, m, 2, 2)
	weights, bytes := b.weights, m.Bytes()
	e := newEngine(t, m, 5)
	var answers []string
	for _, a := range []*model.Adapter{first, second, nil, first, nil} {
		if err := e.Use(a); err != nil {
			t.Fatal(err)
		}
		fresh, err := rollout.New(m, a, rollout.Limits{Prompt: 100, Answer: 100, Sequences: 3})
		if err != nil {
			t.Fatal(err)
		}
		got, want := fmt.Sprint(generate(t, e, prompts(), options())), fmt.Sprint(generate(t, fresh, prompts(), options()))
		fresh.Close()
		if got != want {
			t.Errorf("change %d: the answers differ from an engine's of its own", len(answers)+1)
		}
		answers = append(answers, got)
	}
	if answers[0] == answers[1] || answers[0] == answers[2] || answers[1] == answers[2] {
		t.Error("adapters answer alike")
	}
	if answers[3] != answers[0] || answers[4] != answers[2] {
		t.Error("an adapter that comes again answers differently")
	}
	if b.weights != weights || m.Bytes() != bytes {
		t.Errorf("%d weights were placed anew", b.weights-weights)
	}
}

func TestThreadsDoNotShow(t *testing.T) {
	for _, precision := range []device.Type{device.F32, device.BF16} {
		var want string
		for _, threads := range []int{1, 3} {
			m, _ := openStories(t, cpu.Options{Threads: threads, Precision: precision})
			got := fmt.Sprint(generate(t, newEngine(t, m, 1+4*threads), prompts(), options()))
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s: %d threads sample otherwise than one", precision, threads)
			}
		}
	}
}

// A prompt's pass is cut at the same places whatever the engine's limits are.
func TestLimitsDoNotShow(t *testing.T) {
	m := stories(t)
	want := fmt.Sprint(generate(t, newEngine(t, m, 4), prompts(), options()))
	for _, l := range []rollout.Limits{{Prompt: 70, Answer: 80, Sequences: 2}, {Prompt: 300, Answer: 120, Sequences: 3}} {
		e, err := rollout.New(m, nil, l)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(generate(t, e, prompts(), options())); got != want {
			t.Errorf("limits %+v: other samples", l)
		}
		e.Close()
	}
}

// chiSquare is Pearson's statistic of counts against probabilities; rare tokens
// stand together. The critical value at 1 in 10,000 is by Wilson and Hilferty
// (https://doi.org/10.1073/pnas.17.12.684).
func chiSquare(counts map[int32]int, probs map[int32]float64) (statistic, critical float64) {
	n := 0
	for _, c := range counts {
		n += c
	}
	degrees, restCount, restProb := -1.0, n, 1.0
	for id, p := range probs {
		if want := p * float64(n); want >= 5 {
			d := float64(counts[id]) - want
			statistic += d * d / want
			degrees, restCount, restProb = degrees+1, restCount-counts[id], restProb-p
		}
	}
	if want := restProb * float64(n); want >= 5 {
		d := float64(restCount) - want
		statistic, degrees = statistic+d*d/want, degrees+1
	}
	const z = 3.719 // of the normal distribution
	x := 1 - 2/(9*degrees) + z*math.Sqrt(2/(9*degrees))
	return statistic, degrees * x * x * x
}

// The engine's tokens come as often as the model says: the first of an answer,
// from the prompt's pass, and the second, from a step, after the likeliest first.
func TestSampledFrequenciesAreTheModels(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector, which has TestThreadsDoNotShow: the same engine")
	}
	e := newEngine(t, stories(t), 16)
	for _, temperature := range []float64{1, 0.6} {
		o := options()
		o.Temperature, o.MaxNew, o.Samples, o.Stop = temperature, 2, 6000, nil
		all := generate(t, e, prompts()[3:], o)
		// What a token's probability is stands beside every draw of it.
		first, second := map[int32]int{}, map[int32]map[int32]int{}
		firstProb, secondProb := map[int32]float64{}, map[int32]map[int32]float64{}
		for _, s := range all {
			a, b := s.IDs[0], s.IDs[1]
			first[a]++
			firstProb[a] = math.Exp(s.LogProbs[0])
			if second[a] == nil {
				second[a], secondProb[a] = map[int32]int{}, map[int32]float64{}
			}
			second[a][b]++
			secondProb[a][b] = math.Exp(s.LogProbs[1])
		}
		likeliest := slices.MaxFunc(slices.Collect(maps.Keys(first)), func(a, b int32) int { return first[a] - first[b] })
		for name, x := range map[string]struct {
			counts map[int32]int
			probs  map[int32]float64
		}{"first": {first, firstProb}, "second": {second[likeliest], secondProb[likeliest]}} {
			if got, critical := chiSquare(x.counts, x.probs); !(got <= critical) {
				t.Errorf("temperature %v, %s token: chi-square %.1f, want at most %.1f", temperature, name, got, critical)
			}
		}
	}
}
