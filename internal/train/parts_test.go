package train

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestThroughStep(t *testing.T) {
	const a, b, c = "{\"v\":1,\"step\":0}\n", "{\"v\":1,\"step\":1,\"loss\":2}\n", "{\"v\":1,\"step\":2,\"loss\":null}\n"
	const e = "{\"v\":1,\"step\":1,\"eval_loss\":1}\n"
	tests := []struct {
		name, log string
		step      int
		due       bool
		want      string
	}{
		{"all", a + b + c, 2, false, a + b + c},
		{"later step", a + b + c, 1, false, a + b},
		{"two lines of a step", a + b + b + c, 1, false, a + b + b},
		{"start", a + b, 0, false, ""},
		{"torn line", a + b + c[:9], 2, false, a + b},
		{"foreign line", a + "hello\n" + b, 2, false, a},
		{"line without a step", a + "{\"v\":1}\n" + b, 2, false, a},
		{"empty", "", 5, false, ""},
		{"an evaluation that stays", a + b + e + c, 1, false, a + b + e},
		{"an evaluation that is due", a + b + e + c, 1, true, a + b},
		{"a loss of no number is no evaluation", a + b + c, 2, true, a + b + c},
	}
	for _, tt := range tests {
		got, err := throughStep(strings.NewReader(tt.log), tt.step, tt.due, func([]byte) {})
		if err != nil || tt.log[:got] != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, tt.log[:got], err, tt.want)
		}
	}
}

// A log is cut by its own lines, whatever numbers they hold.
func TestEventsReadBack(t *testing.T) {
	e := Event{Step: 7, Loss: math.SmallestNonzeroFloat64, GradNorm: 1e300, LearningRate: 1. / 3}
	e.Metrics.Add("logps/chosen", math.Inf(-1), 1)
	e.Metrics.Add("entropy", math.NaN(), 1)
	line := string(append(e.AppendJSON(nil), '\n'))
	const want = `{"v":1,"step":7,"loss":5e-324,"grad_norm":1e+300,"learning_rate":0.3333333333333333,"num_tokens":0,"epoch":0,"logps/chosen":null,"entropy":null}` + "\n"
	if line != want {
		t.Errorf("got  %swant %s", line, want)
	}
	if n, err := throughStep(strings.NewReader(line), 7, false, func([]byte) {}); err != nil || n != int64(len(line)) {
		t.Errorf("kept %d of %d bytes: %v", n, len(line), err)
	}
	eval := Event{Step: 7, Evaluation: true, NumTokens: 5, Epoch: 1}
	eval.Metrics.Add("eval_loss", 1, 2)
	if got := string(eval.AppendJSON(nil)); got != `{"v":1,"step":7,"num_tokens":5,"epoch":1,"eval_loss":0.5}` {
		t.Errorf("got %s", got)
	}
}

func TestMetrics(t *testing.T) {
	var m, o Metrics
	m.Add("b", 1, 2)
	m.Add("a", 3, 4)
	o.Add("a", 1, 4)
	o.Add("c", 5, 0)
	m.Merge(o)
	if len(m) != 3 || m[0] != (Metric{"b", 1, 2}) || m[1] != (Metric{"a", 4, 8}) || m[2].Value() != 0 {
		t.Errorf("got %v", m)
	}
	if v, ok := m.Get("a"); v != 0.5 || !ok {
		t.Errorf("got %v, %v", v, ok)
	}
	if _, ok := m.Get("d"); ok {
		t.Error("found d")
	}
}

// A stronger request stays, a SaveNow is met once.
func TestStop(t *testing.T) {
	var s Stop
	s.Ask(SaveNow)
	if s.take() != SaveNow || s.take() != Continue {
		t.Error("SaveNow is not met once")
	}
	var wait sync.WaitGroup
	for _, r := range []Request{Interrupt, SaveNow, Terminate, SaveNow, Interrupt} {
		wait.Go(func() { s.Ask(r) })
	}
	wait.Wait()
	for range 2 {
		if got := s.take(); got != Terminate {
			t.Errorf("got %v, want Terminate to stay", got)
		}
	}
	if (*Stop)(nil).take() != Continue {
		t.Error("no Stop asks for something")
	}
}

func TestRate(t *testing.T) {
	var r rate
	if r.tokensPerSecond() != 0 || r.remaining(10) != 0 {
		t.Error("a rate before the first step")
	}
	r.add(2*time.Second, 100)
	if r.tokensPerSecond() != 50 || r.remaining(10) != 20*time.Second {
		t.Errorf("got %v tokens/s, %v left", r.tokensPerSecond(), r.remaining(10))
	}
	r.add(time.Second, 100)
	if r.tokensPerSecond() != 100 || r.remaining(10) != 10*time.Second {
		t.Errorf("got %v tokens/s, %v left: the first step still counts", r.tokensPerSecond(), r.remaining(10))
	}
	for range 200 {
		r.add(time.Second, 300)
	}
	if got := r.tokensPerSecond(); math.Abs(got-300) > 1e-3 {
		t.Errorf("got %v tokens/s, want about 300", got)
	}
}

func TestSettings(t *testing.T) {
	good := DefaultSettings()
	good.LearningRate = 1e-4
	if err := good.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	tests := []struct {
		want   string
		change func(*Settings)
	}{
		{"epochs must be positive", func(s *Settings) { s.Epochs = 0 }},
		{"epochs must be positive", func(s *Settings) { s.Epochs = math.Inf(1) }},
		{"steps must be at least 0", func(s *Settings) { s.Steps = -1 }},
		{"batch must be at least 1", func(s *Settings) { s.Batch = 0 }},
		{"accumulate must be at least 1", func(s *Settings) { s.Accumulate = 0 }},
		{"learning_rate must be positive and finite, got NaN", func(s *Settings) { s.LearningRate = math.NaN() }},
		{"warmup must lie", func(s *Settings) { s.Warmup = -1 }},
		{"warmup must be a share below 1 or a whole number of steps, got 1.5", func(s *Settings) { s.Warmup = 1.5 }},
		{"clip must lie", func(s *Settings) { s.Clip = math.NaN() }},
		{"dropout must lie", func(s *Settings) { s.Dropout = 1 }},
		{"dropout must be 0 or lie in [1/65536, 65535/65536], got 1e-06", func(s *Settings) { s.Dropout = 1e-6 }},
		{"rank must be at least 1", func(s *Settings) { s.Rank = 0 }},
		{"alpha must be positive", func(s *Settings) { s.Alpha = math.Inf(1) }},
		{"eval_fraction must lie", func(s *Settings) { s.EvalFraction = 1 }},
		{"keep must be at least 1", func(s *Settings) { s.Keep = 0 }},
		{`schedule must be one of`, func(s *Settings) { s.Schedule = "cubic" }},
		{`overlong must be one of`, func(s *Settings) { s.Overlong = "" }},
	}
	for _, tt := range tests {
		s := good
		tt.change(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
	steps := good
	steps.Steps, steps.Epochs = 10, 0
	if err := steps.Validate(); err != nil {
		t.Errorf("steps without epochs: %v", err)
	}
}
