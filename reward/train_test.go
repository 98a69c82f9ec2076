package reward

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/datasets"
	"align/internal/checkpoint"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/fixture"
	"align/internal/optim"
	"align/internal/score"
	"align/internal/train"
	"align/model"
)

// loaded is the small trained model of the shared data, in the activation type.
func loaded(t testing.TB, act device.Type) *model.Model {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: act})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, err := model.Load(fixture.Path(t, "data", "stories260K"), b, act, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// withHead is a fresh adapter with a head on the model's device.
func withHead(t testing.TB, m *model.Model) *model.Adapter {
	t.Helper()
	a, err := model.NewAdapter(m.Config, model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	a.AddHead(m.Config)
	if err := m.AllocAdapter(a, a.InitialWithHead(3)); err != nil {
		t.Fatal(err)
	}
	return a
}

// goodToken is what the tests' rule likes: answers with more of it are better.
const goodToken = 300

// ruled are groups of k random answers to random prompts, ranked by how often
// the good token is in them.
func ruled(n, k int, seed uint64) []Group {
	rng := rand.New(rand.NewPCG(seed, 0))
	ids := func(n int) []int32 {
		list := make([]int32, n)
		for i := range list {
			list[i] = int32(3 + rng.IntN(290))
		}
		return list
	}
	var groups []Group
	for range n {
		g := Group{Prompt: append([]int32{1}, ids(3+rng.IntN(5))...), Place: "test"}
		var good []float64
		for i := range k {
			a := ids(4 + rng.IntN(5))
			for range i {
				a[rng.IntN(len(a))] = goodToken
			}
			count := 0.0
			for _, id := range a {
				if id == goodToken {
					count++
				}
			}
			g.Answers, good = append(g.Answers, a), append(good, count)
		}
		g.Ranks = RanksOf(good)
		if g.Validate() == nil {
			groups = append(groups, g)
		}
	}
	return groups
}

func trainer(m *model.Model, a *model.Adapter, groups, held []Group) *Trainer {
	c := DefaultConfig()
	c.Batch = 8
	return &Trainer{Config: c, Model: m, Adapter: a, Save: exec.SaveAll, Groups: groups, Held: held}
}

// run trains for some steps and returns the trained values.
func run(t *testing.T, x *Trainer, folder string, steps, upTo int, resume bool) []float32 {
	t.Helper()
	order, err := datasets.NewOrder(len(x.Groups), x.Config.Batch, true, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := train.Options{
		Method: "reward", Run: folder, Steps: steps, Keep: 1, Resume: resume, AdamW: optim.DefaultConfig(),
		Schedule: optim.Schedule{Kind: "constant", LearningRate: 3e-3, Steps: steps},
	}
	stop := &train.Stop{}
	subject := &train.LoRA{Model: x.Model, Adapter: x.Adapter, Base: "base", Head: model.ScoreHead}
	source := &train.Batches{Order: order, PerMicro: x.Config.Batch, Weigh: x.Weigh}
	report := &stopAt{stop: stop, step: upTo}
	if _, err := train.Run[[]int](context.Background(), o, x.Model.Backend(), subject, source, x, report, stop); err != nil {
		t.Fatal(err)
	}
	values, err := model.ReadFloat32s(x.Model.Backend(), x.Adapter.Value)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// stopAt is a Reporter that ends the run after a step.
type stopAt struct {
	stop *train.Stop
	step int
}

func (s *stopAt) Stepped(e train.Event) {
	if !e.Evaluation && e.Step == s.step {
		s.stop.Ask(train.Interrupt)
	}
}
func (s *stopAt) Saved(string, int) {}

// The head's and the factors' gradients are those of the loss.
func TestGradientOfTheWholeGraph(t *testing.T) {
	for _, ranking := range []string{RankingPairs, RankingPlackettLuce} {
		t.Run(ranking, func(t *testing.T) { checkGradient(t, ranking) })
	}
}

// mixed are three groups of three answers and four, one with equals.
func mixed() []Group {
	groups := append(ruled(2, 3, 1), ruled(1, 4, 2)...)
	groups[1].Ranks = []int{2, 1, 2}
	return groups
}

func checkGradient(t *testing.T, ranking string) {
	m := loaded(t, device.F64)
	a := withHead(t, m)
	x := trainer(m, a, mixed(), nil)
	x.Config.Centering, x.Config.Ranking = 0.01, ranking
	rng := rand.New(rand.NewPCG(5, 5))
	values := a.InitialWithHead(3)
	for i := range values {
		values[i] += float32(rng.NormFloat64() * 0.02) // so that B is not zero
	}
	loss := func() float64 {
		if err := model.WriteFloats(m.Backend(), a.Value, values); err != nil {
			t.Fatal(err)
		}
		l, _, err := x.Micro(1, []int{0, 1, 2}, 3)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	loss()
	grads, err := model.ReadFloats(m.Backend(), nil, a.Grad)
	if err != nil {
		t.Fatal(err)
	}
	// The values are float32: the step is a power of two that they hold.
	const step = 1.0 / (1 << 12)
	f := a.Factors
	for _, at := range []int{a.Head.Offset, a.Head.Offset + 41, f[0].OffsetA + 3, f[9].OffsetB + 2, f[len(f)-1].OffsetB} {
		was := values[at]
		values[at] = was + step
		up, width := loss(), float64(values[at])
		values[at] = was - step
		down := loss()
		width -= float64(values[at])
		values[at] = was
		// The second-order error of this step is below 1e-5 of the gradient's scale.
		if want := (up - down) / width; math.Abs(grads[at]-want) > 1e-5*(math.Abs(want)+0.01) {
			t.Errorf("element %d: gradient %v, difference %v", at, grads[at], want)
		}
	}
}

// logSum is log Σ e^x.
func logSum(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v)
	}
	return math.Log(sum)
}

// The loss of lists of several lengths and with equals is the formula's, from
// their scores.
func TestPlackettLuceOfListsInAPack(t *testing.T) {
	m := loaded(t, device.F64)
	groups := mixed()
	x := trainer(m, withHead(t, m), groups, groups)
	x.Config.Ranking, x.Config.Centering = RankingPlackettLuce, 0.5
	loss, metrics, err := x.Micro(1, []int{0, 1, 2}, 3)
	if err != nil {
		t.Fatal(err)
	}
	want, at, pairs := 0.0, 0, 0
	for _, g := range groups {
		scores := x.values[at : at+len(g.Answers)]
		at += len(g.Answers)
		sum := 0.0
		for i, r := range g.Ranks {
			sum += scores[i]
			competing := []float64{scores[i]}
			for j, other := range g.Ranks {
				if other > r {
					competing = append(competing, scores[j])
				}
			}
			pairs += len(competing) - 1
			want += (logSum(competing) - scores[i]) / 3
		}
		want += 0.5 * math.Pow(2*sum/float64(len(scores)), 2) / 3
	}
	near(t, "loss", loss, want)
	for _, metric := range metrics {
		if metric.Name == "accuracy" && metric.Weight != float64(pairs) {
			t.Errorf("accuracy is of %v pairs, want %d", metric.Weight, pairs)
		}
	}
	evaluated, err := x.Evaluate(context.Background())
	if err != nil || len(x.HeldLosses()) != len(groups) {
		t.Fatalf("%d held-out losses, %v", len(x.HeldLosses()), err)
	}
	total := 0.0
	for _, l := range x.HeldLosses() {
		total += l.Sum / l.Weight / 3
	}
	near(t, "the held-out groups' losses", total, want)
	if evaluated[0].Name != "eval_loss" {
		t.Errorf("metrics %v", evaluated)
	}
}

// sharedTolerance bounds what the shared prompt's other order of sums moves a
// float32 score of size 1.
const sharedTolerance = 1e-5

func TestPackedAnswersScoreAsSeparateSequences(t *testing.T) {
	m := loaded(t, device.F32)
	s := &score.Model{Base: m, Adapter: withHead(t, m)}
	defer s.Close()
	var together, whole []score.Item
	for _, g := range ruled(4, 5, 2) {
		for _, a := range g.Answers {
			together = append(together, score.Item{PromptIDs: g.Prompt, ResponseIDs: a})
			// One segment, no prefix: the plain causal sequence.
			whole = append(whole, score.Item{ResponseIDs: slices.Concat(g.Prompt, a)})
		}
	}
	got, err := score.All(context.Background(), s, together)
	if err != nil {
		t.Fatal(err)
	}
	want, err := score.All(context.Background(), s, whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if math.Abs(got[i]-want[i]) > sharedTolerance {
			t.Errorf("answer %d: %v with its prompt shared, %v alone", i, got[i], want[i])
		}
		alone, err := s.Score(context.Background(), together[i:i+1])
		if err != nil || alone[0] != got[i] {
			t.Errorf("answer %d: %v beside others, %v alone (%v)", i, got[i], alone, err)
		}
	}
}

func TestTrainingRanksHeldOutPairs(t *testing.T) {
	m := loaded(t, device.F32)
	x := trainer(m, withHead(t, m), ruled(240, 3, 7), ruled(40, 2, 8))
	before, err := x.Evaluate(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	run(t, x, folder, 60, 60, false)
	after, err := x.Evaluate(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	a, _ := before.Get("eval_accuracy")
	b, _ := after.Get("eval_accuracy")
	if b < 0.9 {
		t.Errorf("accuracy on held-out pairs rose from %v to %v, want above 0.9", a, b)
	}
	error0, ok := after.Get("eval_calibration_error")
	if !ok || error0 < 0 || error0 > 1 {
		t.Errorf("calibration error is %v", error0)
	}
	loadAgain(t, x, folder)
}

// loadAgain finds the trained model by its run, and as PEFT would write it, and
// scores with both.
func loadAgain(t *testing.T, x *Trainer, folder string) {
	t.Helper()
	g := x.Held[0]
	items := []score.Item{{PromptIDs: g.Prompt, ResponseIDs: g.Answers[0]}, {PromptIDs: g.Prompt, ResponseIDs: g.Answers[1]}}
	want, err := (&score.Model{Base: x.Model, Adapter: x.Adapter}).Score(context.Background(), items)
	if err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{folder, asPEFT(t, c.Path)} {
		s, err := Load(place, x.Model)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Score(context.Background(), items)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: scores %v, want %v (%v)", place, got, want, err)
		}
	}
}

func TestResumeIsExact(t *testing.T) {
	m := loaded(t, device.F32)
	groups := ruled(24, 3, 9)
	whole, half := t.TempDir(), t.TempDir()
	want := run(t, trainer(m, withHead(t, m), groups, nil), whole, 6, 6, false)
	run(t, trainer(m, withHead(t, m), groups, nil), half, 6, 3, false)
	got := run(t, trainer(m, withHead(t, m), groups, nil), half, 6, 6, true)
	if !slices.Equal(got, want) {
		t.Error("stopped at step 3 and resumed, the values differ from the uninterrupted run's")
	}
}

func TestLoadWantsAHead(t *testing.T) {
	m := loaded(t, device.F32)
	if _, err := Load(fixture.Path(t, "golden", "models", "stories260K-lora"), m); !errors.Is(err, model.ErrNoHead) {
		t.Errorf("an adapter without a head: %v", err)
	}
	if _, err := Load(fixture.Path(t, "data", "stories260K"), m); !errors.Is(err, model.ErrNoHead) {
		t.Errorf("a language model: %v", err)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent"), m); err == nil {
		t.Error("no folder: no error")
	}
	short := t.TempDir()
	a := &model.Adapter{Head: model.Head{Len: 3}}
	f, err := os.Create(filepath.Join(short, model.HeadsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.WriteHead(f, model.ScoreHead, model.InMemory(make([]float32, 3))), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(short, m); err == nil || !strings.Contains(err.Error(), "the base wants [1 64]") {
		t.Errorf("a head of another width: %v", err)
	}
}

// A sequence classifier's folder is the base and the head in one.
func TestHuggingFaceClassifier(t *testing.T) {
	source := fixture.Path(t, "data", "stories260K")
	m := loaded(t, device.F32)
	a := &model.Adapter{}
	a.AddHead(m.Config)
	values := a.InitialWithHead(11)
	dir := classifier(t, source, values[a.Head.Offset:][:a.Head.Len])
	base, err := Base(dir)
	if err != nil || base != dir {
		t.Fatalf("base is %q (%v), want the folder itself", base, err)
	}
	c, err := model.Load(dir, m.Backend(), device.F32, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	items := []score.Item{{PromptIDs: []int32{1, 40, 50}, ResponseIDs: []int32{60, 2}}}
	got, err := s.Score(context.Background(), items)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AllocAdapter(a, values); err != nil {
		t.Fatal(err)
	}
	want, err := (&score.Model{Base: m, Adapter: a}).Score(context.Background(), items)
	if err != nil || got[0] != want[0] || want[0] == 0 {
		t.Errorf("score %v, want %v (%v)", got, want, err)
	}
	if _, err := model.NewDecoder(c.Config, device.F32, model.DecoderOptions{Capacity: model.Capacity{Tokens: 1, Targets: 1, Sequences: 1}}); err == nil {
		t.Error("a classifier predicts tokens: no error")
	}
}
