package optim_test

import (
	"math"
	"strings"
	"testing"

	"align/internal/optim"

	"pgregory.net/rapid"
)

// lastBits is a few units in the last place: the goldens are Python's, whose
// cos need not round as Go's does.
const lastBits = 1e-15

// Learning rates of transformers/optimization.py's lambdas at base rate 2e-4,
// evaluated in Python: step k here is current_step k-1 there.
func TestScheduleGoldens(t *testing.T) {
	tests := []struct {
		kind   string
		warmup float64
		want   []float64
	}{
		{"linear", 0, []float64{0.0002, 0.00018, 0.00016, 0.00014, 0.00012, 0.0001, 8e-05, 6e-05, 4e-05, 2e-05}},
		{"linear", 3, []float64{0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.00017142857142857143, 0.00014285714285714287,
			0.00011428571428571428, 8.571428571428571e-05, 5.714285714285714e-05, 2.857142857142857e-05}},
		{"cosine", 0, []float64{0.0002, 0.00019510565162951537, 0.00018090169943749476, 0.00015877852522924732, 0.00013090169943749476,
			0.0001, 6.909830056250527e-05, 4.12214747707527e-05, 1.9098300562505266e-05, 4.8943483704846475e-06}},
		{"cosine", 0.3, []float64{0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.0001900968867902419, 0.00016234898018587337,
			0.00012225209339563145, 7.774790660436858e-05, 3.7651019814126654e-05, 9.903113209758096e-06}},
		{"constant", 0, []float64{0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002}},
		{"constant", 3, []float64{0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002}},
	}
	for _, tt := range tests {
		s := optim.Schedule{Kind: tt.kind, LearningRate: 2e-4, Warmup: tt.warmup, Steps: len(tt.want)}
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", tt.kind, err)
		}
		for i, want := range tt.want {
			if got := s.At(i + 1); math.Abs(got-want) > lastBits*want {
				t.Errorf("%s, warm-up %v: step %d is %v, want %v", tt.kind, tt.warmup, i+1, got, want)
			}
		}
	}
}

func TestWarmupSteps(t *testing.T) {
	tests := []struct {
		warmup float64
		steps  int
		want   int
	}{
		{0, 100, 0}, {0.03, 100, 3}, {0.03, 101, 4}, {0.1, 1, 1}, {1, 100, 1}, {7, 100, 7}, {500, 100, 500},
	}
	for _, tt := range tests {
		if got := (optim.Schedule{Warmup: tt.warmup, Steps: tt.steps}).WarmupSteps(); got != tt.want {
			t.Errorf("warm-up %v of %d steps: got %d, want %d", tt.warmup, tt.steps, got, tt.want)
		}
	}
}

// Whatever is asked for, the rate stays within [0, LearningRate], at every step
// and past the end.
func TestScheduleStaysWithinItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := optim.Schedule{
			Kind:         rapid.SampledFrom([]string{"constant", "linear", "cosine"}).Draw(t, "kind"),
			LearningRate: rapid.Float64Range(0, 10).Draw(t, "rate"),
			Warmup:       rapid.OneOf(rapid.Float64Range(0, 1), rapid.Float64Range(0, 300)).Draw(t, "warm-up"),
			Steps:        rapid.IntRange(1, 200).Draw(t, "steps"),
		}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		for step := 1; step <= s.Steps+5; step++ {
			if got := s.At(step); !(got >= 0 && got <= s.LearningRate) {
				t.Fatalf("%v: step %d is %v", s, step, got)
			}
		}
	})
}

func TestScheduleRefuses(t *testing.T) {
	good := optim.Schedule{Kind: "cosine", LearningRate: 1, Steps: 1}
	tests := []struct {
		want   string
		change func(*optim.Schedule)
	}{
		{`schedule "cubic"`, func(s *optim.Schedule) { s.Kind = "cubic" }},
		{"learning rate must", func(s *optim.Schedule) { s.LearningRate = math.NaN() }},
		{"learning rate must", func(s *optim.Schedule) { s.LearningRate = math.Inf(1) }},
		{"learning rate must", func(s *optim.Schedule) { s.LearningRate = -1 }},
		{"warm-up must", func(s *optim.Schedule) { s.Warmup = -0.1 }},
		{"warm-up must", func(s *optim.Schedule) { s.Warmup = math.NaN() }},
		{"warm-up must", func(s *optim.Schedule) { s.Warmup = math.Inf(1) }},
		{"steps must", func(s *optim.Schedule) { s.Steps = 0 }},
	}
	for _, tt := range tests {
		s := good
		tt.change(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %q", s, err, tt.want)
		}
	}
	all := optim.Schedule{Kind: "cubic", LearningRate: -1, Warmup: -1}
	if err := all.Validate(); err == nil || strings.Count(err.Error(), "optim:") != 4 {
		t.Errorf("not all four faults: %v", err)
	}
}
