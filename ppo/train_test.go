package ppo

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/fixture"
	"align/internal/optim"
	"align/internal/rollout"
	"align/internal/score"
	"align/internal/train"
	"align/model"
)

// world is a model with all that a run needs.
type world struct {
	model   *model.Model
	engine  *rollout.Engine
	subject *Subject
}

// newWorld loads the model in dir with fresh adapters of the rank.
func newWorld(t testing.TB, dir string, rank int, critic bool, limits rollout.Limits) *world {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, err := model.Load(dir, b, device.F32, nil)
	if err != nil {
		t.Fatal(err)
	}
	adapter := func() *model.Adapter {
		// The upper layers are enough to learn a rule, and cheaper.
		upper := []int{m.Config.NumLayers - 1}
		if m.Config.NumLayers > 1 {
			upper = []int{m.Config.NumLayers - 2, m.Config.NumLayers - 1}
		}
		a, err := model.NewAdapter(m.Config, model.LoRAConfig{Rank: rank, Alpha: float64(2 * rank), Targets: model.Modules, Layers: upper})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	w := &world{model: m}
	policy := adapter()
	if !critic {
		w.subject, err = NewSubject(m, dir, policy, policy.Initial(1), nil, nil)
	} else {
		c := adapter()
		c.AddHead(m.Config)
		w.subject, err = NewSubject(m, dir, policy, policy.Initial(1), c, c.Initial(2))
	}
	if err != nil {
		t.Fatal(err)
	}
	if w.engine, err = rollout.New(m, policy, limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.engine.Close)
	return w
}

func (w *world) trainer(t testing.TB, c Config, prompts []Prompt, s score.Scorer, stop ...int32) *Trainer {
	t.Helper()
	x, err := New(c, Trainer{
		Context: context.Background(), Model: w.model, Policy: w.subject.Policy, Critic: w.subject.Critic, Save: exec.SaveAll,
		Generator: w.engine, Scorer: s, Stop: stop, Prompts: prompts,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

// watcher is a Reporter that keeps the events and ends the run after a step.
type watcher struct {
	stop   *train.Stop
	at     int
	events []train.Event
}

func (w *watcher) Stepped(e train.Event) {
	e.Metrics = slices.Clone(e.Metrics)
	w.events = append(w.events, e)
	if e.Step == w.at {
		w.stop.Ask(train.Interrupt)
	}
}
func (w *watcher) Saved(string, int) {}

// run takes the steps from the start, or from the newest checkpoint, up to one.
func (w *world) run(t testing.TB, x *Trainer, folder string, steps, upTo int, resume bool) ([]train.Event, error) {
	t.Helper()
	o := train.Options{
		Method: "ppo", Run: folder, Steps: steps, Keep: 1, Resume: resume, AdamW: optim.DefaultConfig(),
		Schedule: optim.Schedule{Kind: x.Config.Schedule, LearningRate: x.Config.LearningRate, Steps: steps},
		Groups:   w.subject.Groups(x.Config.CriticLearningRate, 1),
	}
	stop := &train.Stop{}
	watch := &watcher{stop: stop, at: upTo}
	_, err := train.Run[[]int](context.Background(), o, w.model.Backend(), w.subject, x, x, watch, stop)
	return watch.events, err
}

func (w *world) values(t testing.TB) []float32 {
	t.Helper()
	values, err := model.ReadFloat32s(w.model.Backend(), w.subject.value)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// even is a Scorer that likes half of the tokens: their share of the answer.
type even struct{}

func (even) Score(_ context.Context, items []score.Item) ([]float64, error) {
	scores := make([]float64, len(items))
	for i, item := range items {
		for _, id := range item.ResponseIDs {
			if id%2 == 0 {
				scores[i] += 1 / float64(len(item.ResponseIDs))
			}
		}
	}
	return scores, nil
}

// storyPrompts are short random beginnings.
func storyPrompts(n int) []Prompt {
	var list []Prompt
	for i := range n {
		p := Prompt{IDs: []int32{1}}
		for k := range 3 {
			p.IDs = append(p.IDs, int32(260+(i*37+k*91)%240))
		}
		list = append(list, p)
	}
	return list
}

// storyConfig is small enough for a test.
func storyConfig(algorithm string) Config {
	c := DefaultConfig()
	c.Prompts, c.Scorer, c.Algorithm = "prompts.jsonl", "length", algorithm
	c.Rollout, c.K, c.MaxNew, c.Sequences, c.Batch = 8, 2, 12, 8, 8
	c.PPOEpochs, c.MiniBatches, c.LearningRate, c.Schedule = 2, 2, 3e-3, "constant"
	c.MissingEOSPenalty = 0
	return c
}

func TestARuleRaisesTheScore(t *testing.T) {
	dir := fixture.Path(t, "data", "stories260K")
	for _, algorithm := range []string{PPO, RLOO, GRPO} {
		t.Run(algorithm, func(t *testing.T) {
			w := newWorld(t, dir, 8, algorithm == PPO, rollout.Limits{Prompt: 8, Answer: 8, Sequences: 32})
			c := storyConfig(algorithm)
			c.K, c.MaxNew, c.Sequences, c.Batch, c.MiniBatches, c.LearningRate, c.KLCoef = 4, 6, 32, 32, 1, 1e-2, 0.01
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			x := w.trainer(t, c, storyPrompts(32), even{}, 2)
			events, err := w.run(t, x, t.TempDir(), 28, 0, false)
			if err != nil {
				t.Fatal(err)
			}
			first, _ := events[0].Metrics.Get("reward")
			last := 0.0
			for _, e := range events[len(events)-6:] { // three rollouts of two steps
				r, _ := e.Metrics.Get("reward")
				last += r / 6
			}
			if last < first+0.1 { // the chance of 32 answers of 6 tokens is worth 0.04
				t.Errorf("the mean score rose from %v to %v, want 0.1 more", first, last)
			}
			t.Logf("mean score %.3f -> %.3f", first, last)
			if r, _ := events[0].Metrics.Get("val/ratio"); r != 1 {
				t.Errorf("the first ratio is %v, want exactly 1", r)
			}
		})
	}
}

// A run that is stopped within a rollout, or after one, goes on to the bit.
func TestResumeIsExact(t *testing.T) {
	dir := fixture.Path(t, "data", "stories260K")
	for _, level := range []string{TokenLevel, SequenceLevel} {
		algorithm := map[string]string{TokenLevel: PPO, SequenceLevel: GRPO}[level]
		c := storyConfig(algorithm)
		c.ImportanceSamplingLevel = level
		c.KLTarget, c.KLHorizon, c.NormaliseScores = 0.5, 100, true
		make := func() (*world, *Trainer) {
			w := newWorld(t, dir, 4, algorithm == PPO, rollout.Limits{Prompt: 8, Answer: 16, Sequences: 8})
			return w, w.trainer(t, c, storyPrompts(12), even{}, 2)
		}
		whole, half := t.TempDir(), t.TempDir()
		w, x := make()
		if _, err := w.run(t, x, whole, 14, 0, false); err != nil {
			t.Fatal(err)
		}
		for i, upTo := range []int{3, 8, 14} { // within the first rollout, at the end of the second
			v, y := make()
			if _, err := v.run(t, y, half, 14, upTo, i > 0); err != nil {
				t.Fatal(err)
			}
			if upTo == 14 && !slices.Equal(v.values(t), w.values(t)) {
				t.Errorf("%s: stopped and resumed, the values differ from the uninterrupted run's", algorithm)
			}
		}
		a, err := os.ReadFile(filepath.Join(whole, train.MetricsFile))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(half, train.MetricsFile))
		if err != nil || string(a) != string(b) {
			t.Errorf("%s: the metrics differ (%v)", algorithm, err)
		}
	}
}

// interrupting is even that asks for the end when it scores its nth rollout.
type interrupting struct {
	cancel context.CancelFunc
	left   *int
}

func (s interrupting) Score(ctx context.Context, items []score.Item) ([]float64, error) {
	if *s.left--; *s.left == 0 {
		s.cancel()
	}
	return even{}.Score(ctx, items)
}

// A rollout that is broken off after its answers are drawn and scored leaves the trainer
// before it, and comes again as it would have come.
func TestABrokenRolloutComesAgain(t *testing.T) {
	w := newWorld(t, fixture.Path(t, "data", "stories260K"), 4, true, rollout.Limits{Prompt: 8, Answer: 16, Sequences: 8})
	c := storyConfig(PPO)
	c.KLTarget, c.NormaliseScores = 0.5, true
	states := map[bool][]string{}
	for _, broken := range []bool{false, true} {
		for rollouts := range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			left := 0
			x := w.trainer(t, c, storyPrompts(12), interrupting{cancel, &left}, 2)
			for range 4 * rollouts { // the steps of a rollout
				if _, err := x.Next(); err != nil {
					t.Fatal(err)
				}
			}
			if broken {
				before, err := x.State()
				if err != nil {
					t.Fatal(err)
				}
				x.Context, left = ctx, 1
				if _, err := x.Next(); !errors.Is(err, context.Canceled) {
					t.Fatalf("rollout %d is not broken off: %v", rollouts+1, err)
				}
				if after, err := x.State(); err != nil || string(after) != string(before) {
					t.Errorf("rollout %d: the trainer does not stand before it (%v)", rollouts+1, err)
				}
				x.Context = t.Context()
			}
			if _, err := x.Next(); err != nil {
				t.Fatal(err)
			}
			state, err := x.State()
			if err != nil {
				t.Fatal(err)
			}
			states[broken] = append(states[broken], string(state))
		}
	}
	if !slices.Equal(states[false], states[true]) {
		t.Error("a rollout that comes again differs from the one that was not broken off")
	}
}

func TestAFirstRatioOtherThanOneStops(t *testing.T) {
	w := newWorld(t, fixture.Path(t, "data", "stories260K"), 4, false, rollout.Limits{Prompt: 8, Answer: 16, Sequences: 8})
	x := w.trainer(t, storyConfig(RLOO), storyPrompts(12), even{}, 2)
	work, err := x.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Micro(1, work.Micro[0], work.Weight); err != nil {
		t.Fatal(err)
	}
	values := w.values(t)
	for i := range values {
		values[i] += 1e-3
	}
	if err := model.WriteFloats(w.model.Backend(), w.subject.value, values); err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Micro(1, work.Micro[0], work.Weight); err == nil || !strings.Contains(err.Error(), "want exactly 1") {
		t.Errorf("the policy changed: %v", err)
	}
}

// lost is a Scorer without a number.
type lost struct{}

func (lost) Score(_ context.Context, items []score.Item) ([]float64, error) {
	return slices.Repeat([]float64{math.NaN()}, len(items)), nil
}

// hundred gives scores from 0 to 100.
type hundred struct{}

func (hundred) Score(_ context.Context, items []score.Item) ([]float64, error) {
	scores := make([]float64, len(items))
	for i := range scores {
		scores[i] = 100 * float64(i) / float64(len(items)-1)
	}
	return scores, nil
}

// Scores beyond score_clip are told once.
func TestClippedScoresAreTold(t *testing.T) {
	w := newWorld(t, fixture.Path(t, "data", "stories260K"), 4, false, rollout.Limits{Prompt: 8, Answer: 16, Sequences: 8})
	for _, tt := range []struct {
		name string
		set  func(*Config)
		want string
	}{
		{"default", func(*Config) {}, "scores of rollout 1 are beyond 10 and count as that (the largest is 100)"},
		{"off", func(c *Config) { c.ScoreClip = 0 }, ""},
		{"wide", func(c *Config) { c.ScoreClip = 100 }, ""},
		{"normalised", func(c *Config) { c.NormaliseScores = true }, ""},
	} {
		c := storyConfig(RLOO)
		tt.set(&c)
		x := w.trainer(t, c, storyPrompts(4), hundred{}, 2)
		var notes []string
		x.Note = func(s string) { notes = append(notes, s) }
		if _, err := x.Next(); err != nil {
			t.Fatal(err)
		}
		x.noteClipped()
		if told := strings.Join(notes, "\n"); !strings.Contains(told, tt.want) || (told == "") != (tt.want == "") || len(notes) > 1 {
			t.Errorf("%s: notes %q, want %q", tt.name, notes, tt.want)
		}
	}
}

func TestBadInputIsOneClearError(t *testing.T) {
	w := newWorld(t, fixture.Path(t, "data", "stories260K"), 4, false, rollout.Limits{Prompt: 8, Answer: 16, Sequences: 8})
	if _, err := w.trainer(t, storyConfig(RLOO), storyPrompts(4), lost{}, 2).Next(); err == nil || !strings.Contains(err.Error(), "has the score NaN") {
		t.Errorf("a score of NaN: %v", err)
	}
	if _, err := w.trainer(t, storyConfig(PPO), storyPrompts(4), even{}, 2).Next(); err == nil || !strings.Contains(err.Error(), "critic") {
		t.Errorf("ppo without a critic: %v", err)
	}
	if _, err := New(storyConfig(PPO), Trainer{}); err == nil {
		t.Error("no prompts: no error")
	}
}
