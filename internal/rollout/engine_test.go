package rollout_test

import (
	"context"
	"fmt"
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

// stories opens the small trained model of the shared data, or skips.
func stories(t testing.TB) *model.Model {
	t.Helper()
	dir := fixture.Path(t, "data", "stories260K")
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, err := model.Load(dir, b, device.F32, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newEngine(t testing.TB, m *model.Model, sequences int) *rollout.Engine {
	t.Helper()
	e, err := rollout.New(m, nil, rollout.Limits{Prompt: 100, Answer: 100, Sequences: sequences})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// prompts of several lengths, one longer than a page.
func prompts() []rollout.Prompt {
	var list []rollout.Prompt
	for i, n := range []int{3, 70, 1, 12} {
		p := rollout.Prompt{Key: uint64(i)}
		for k := range n {
			p.IDs = append(p.IDs, int32(1+(7*k+13*i)%500))
		}
		list = append(list, p)
	}
	return list
}

func options() rollout.Options {
	return rollout.Options{
		Sampling: rollout.Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1},
		MaxNew:   80, Samples: 3, Seed: 5, Stop: []int32{2, 411},
	}
}

// generate collects all samples by prompt and index.
func generate(t testing.TB, e *rollout.Engine, p []rollout.Prompt, o rollout.Options) map[[2]int]rollout.Sample {
	t.Helper()
	all := map[[2]int]rollout.Sample{}
	err := e.Generate(context.Background(), p, o, func(s rollout.Sample) error {
		all[[2]int{s.Prompt, s.Index}] = s
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestASampleDoesNotDependOnItsNeighbours(t *testing.T) {
	m := stories(t)
	want := generate(t, newEngine(t, m, 1), prompts(), options())
	if len(want) != 12 {
		t.Fatalf("%d samples, want 12", len(want))
	}
	for _, sequences := range []int{2, 5, 16} {
		got := generate(t, newEngine(t, m, sequences), prompts(), options())
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d at once: the samples differ from one at a time", sequences)
		}
	}
	e := newEngine(t, m, 4)
	p := prompts()
	slices.Reverse(p)
	for i, s := range []int{3, 2, 1, 0} {
		one := generate(t, e, p[i:i+1], options())
		for k := range 3 {
			if fmt.Sprint(one[[2]int{0, k}].IDs) != fmt.Sprint(want[[2]int{s, k}].IDs) {
				t.Errorf("prompt %d alone: sample %d differs", s, k)
			}
		}
	}
}

func TestSamplesOfOnePromptDiffer(t *testing.T) {
	all := generate(t, newEngine(t, stories(t), 4), prompts()[:1], options())
	if fmt.Sprint(all[[2]int{0, 0}].IDs) == fmt.Sprint(all[[2]int{0, 1}].IDs) {
		t.Error("two samples are the same")
	}
}

// logProbTolerance: the engine takes the softmax in float64 from float32
// logits, the trainer's kernel in float32 over chunks.
const logProbTolerance = 1e-5

func TestLogProbabilitiesEqualTheTrainers(t *testing.T) {
	m := stories(t)
	for _, temperature := range []float64{1, 0.7} {
		o := options()
		o.Temperature = temperature
		for _, s := range generate(t, newEngine(t, m, 8), prompts(), o) {
			var p datasets.Pack
			p.AddGroup(prompts()[s.Prompt].IDs, 0, datasets.Answer{IDs: s.IDs})
			d, err := model.NewDecoder(m.Config, device.F32, model.DecoderOptions{Capacity: model.SizeOf(&p, 0), Temperature: temperature})
			if err != nil {
				t.Fatal(err)
			}
			session, err := d.Compile(m, nil, d.Prediction.LogProb)
			if err != nil {
				t.Fatal(err)
			}
			if err := session.Load(&p, 0); err != nil {
				t.Fatal(err)
			}
			if err := session.Run(); err != nil {
				t.Fatal(err)
			}
			want, err := session.Float64s(nil, d.Prediction.LogProb)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if math.Abs(want[i]-s.LogProbs[i]) > logProbTolerance {
					t.Fatalf("token %d: %v, the trainer's is %v", i, s.LogProbs[i], want[i])
				}
			}
			session.Close()
		}
	}
}

func TestOnlyTheMissingSamplesAreDrawn(t *testing.T) {
	e := newEngine(t, stories(t), 4)
	whole := generate(t, e, prompts(), options())
	p := prompts()
	p[0].Have, p[2].Have = []int{1}, []int{0, 1, 2}
	rest := generate(t, e, p, options())
	if len(rest) != len(whole)-4 {
		t.Fatalf("%d samples, want %d", len(rest), len(whole)-4)
	}
	for at, s := range rest {
		if fmt.Sprint(s) != fmt.Sprint(whole[at]) {
			t.Errorf("sample %v differs from the one of the whole run", at)
		}
	}
}

func TestStopIDsAndLengthEndASample(t *testing.T) {
	m := stories(t)
	o := options()
	for _, s := range generate(t, newEngine(t, m, 4), prompts(), o) {
		last := s.IDs[len(s.IDs)-1]
		switch s.Finish {
		case rollout.FinishStop:
			if !slices.Contains(o.Stop, last) {
				t.Errorf("stopped at %d", last)
			}
		case rollout.FinishLength:
			if len(s.IDs) != o.MaxNew {
				t.Errorf("%d tokens, want %d", len(s.IDs), o.MaxNew)
			}
		default:
			t.Errorf("finish is %q", s.Finish)
		}
	}
}

// Where the context is full an answer ends; those to shorter prompts do not know.
func TestTheContextEndsAnAnswer(t *testing.T) {
	m := stories(t)
	o := options()
	want := generate(t, newEngine(t, m, 4), prompts(), o)
	o.Context = 75 // 5 tokens beside the prompt of 70
	cut := 0
	for at, s := range generate(t, newEngine(t, m, 4), prompts(), o) {
		whole, finish := want[at].IDs, want[at].Finish
		if room := o.Context - len(prompts()[at[0]].IDs); len(whole) > room {
			whole, finish, cut = whole[:room], rollout.FinishLength, cut+1
		}
		if !slices.Equal(s.IDs, whole) || s.Finish != finish {
			t.Errorf("sample %v has %d tokens and ends by %s, want %d and %s", at, len(s.IDs), s.Finish, len(whole), finish)
		}
	}
	if cut == 0 {
		t.Error("no answer met the context")
	}
	o.Context = 70
	if err := newEngine(t, m, 4).Generate(t.Context(), prompts(), o, func(rollout.Sample) error { return nil }); err == nil {
		t.Error("a prompt as long as the context: no error")
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	e := newEngine(t, stories(t), 2)
	for name, change := range map[string]func(*rollout.Options, *[]rollout.Prompt){
		"no samples":       func(o *rollout.Options, _ *[]rollout.Prompt) { o.Samples = 0 },
		"no tokens":        func(o *rollout.Options, _ *[]rollout.Prompt) { o.MaxNew = 0 },
		"cold":             func(o *rollout.Options, _ *[]rollout.Prompt) { o.Temperature = -1 },
		"temperature NaN":  func(o *rollout.Options, _ *[]rollout.Prompt) { o.Temperature = math.NaN() },
		"top_p of 0":       func(o *rollout.Options, _ *[]rollout.Prompt) { o.TopP = 0 },
		"an empty prompt":  func(_ *rollout.Options, p *[]rollout.Prompt) { *p = []rollout.Prompt{{}} },
		"beyond the limit": func(o *rollout.Options, _ *[]rollout.Prompt) { o.MaxNew = 500 },
	} {
		o, p := options(), prompts()
		change(&o, &p)
		if err := e.Generate(context.Background(), p, o, func(rollout.Sample) error { return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
