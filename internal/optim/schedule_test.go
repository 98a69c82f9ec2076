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

// Learning rates of transformers/optimization.py's lambdas (5.24.0) at base rate
// 2e-4, evaluated in Python: step k here is current_step k-1 there.
func TestScheduleGoldens(t *testing.T) {
	tests := []struct {
		kind   string
		warmup float64
		want   []float64
		change func(*optim.Schedule)
	}{
		{"linear", 0, []float64{0.0002, 0.00018, 0.00016, 0.00014, 0.00012, 0.0001, 8e-05, 6e-05, 4e-05, 2e-05}, same},
		{"linear", 3, []float64{0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.00017142857142857143, 0.00014285714285714287,
			0.00011428571428571428, 8.571428571428571e-05, 5.714285714285714e-05, 2.857142857142857e-05}, same},
		{"cosine", 0, []float64{0.0002, 0.00019510565162951537, 0.00018090169943749476, 0.00015877852522924732, 0.00013090169943749476,
			0.0001, 6.909830056250527e-05, 4.12214747707527e-05, 1.9098300562505266e-05, 4.8943483704846475e-06}, same},
		{"cosine", 0.3, []float64{0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.0001900968867902419, 0.00016234898018587337,
			0.00012225209339563145, 7.774790660436858e-05, 3.7651019814126654e-05, 9.903113209758096e-06}, same},
		{"constant", 0, []float64{0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002}, same},
		{"constant", 3, []float64{0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002}, same},
		{"cosine_with_min_lr", 3, []float64{0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.00019108719811121772, 0.00016611408216728603,
			0.00013002688405606828, 8.997311594393172e-05, 5.3885917832713996e-05, 2.891280188878229e-05}, func(s *optim.Schedule) { s.MinRate = 0.1 }},
		{"cosine_with_restarts", 2, []float64{0, 0.0001, 0.0002, 0.0001587785252292473, 6.909830056250524e-05, 4.8943483704846585e-06, 0.0001809016994374947,
			0.0001, 1.909830056250529e-05, 0.0001951056516295154, 0.00013090169943749463, 4.122147477075266e-05}, func(s *optim.Schedule) { s.Cycles = 3 }},
		{"polynomial", 2, []float64{0, 0.0001, 0.0002, 0.0001578125, 0.00012124999999999999, 9.03125e-05, 6.500000000000001e-05, 4.5312500000000004e-05,
			3.125e-05, 2.2812500000000002e-05}, func(s *optim.Schedule) { s.MinRate, s.Power = 0.1, 2 }},
		{"polynomial", 0, []float64{0.0002, 0.00018, 0.00016, 0.00014, 0.00012, 0.0001, 8e-05, 6.0000000000000015e-05, 3.999999999999999e-05,
			1.9999999999999995e-05}, func(s *optim.Schedule) { s.Power = 1 }},
		{"inverse_sqrt", 4, []float64{0, 5e-05, 0.0001, 0.00015000000000000001, 0.0002, 0.00017888543819998318, 0.00016329931618554524,
			0.0001511857892036909, 0.0001414213562373095, 0.00013333333333333334}, same},
		{"inverse_sqrt", 0, []float64{0.0002, 0.00019999000074993753, 0.00019998000299950014, 0.00019997000674831295}, same},
		{"warmup_stable_decay", 3, []float64{0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002,
			0.00017071067811865476, 0.0001, 2.9289321881345254e-05}, func(s *optim.Schedule) { s.Decay = 4 }},
		{"warmup_stable_decay", 3, []float64{2e-05, 8e-05, 0.00014, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.0002, 0.00017363961030678927,
			0.00011000000000000002, 4.6360389693210735e-05}, func(s *optim.Schedule) { s.Decay, s.MinRate = 0.3, 0.1 }},
	}
	for _, tt := range tests {
		s := optim.Schedule{Kind: tt.kind, LearningRate: 2e-4, Warmup: tt.warmup, Steps: len(tt.want)}
		tt.change(&s)
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

func same(*optim.Schedule) {}

// Past the end the rate stays where it got to.
func TestSchedulesEnd(t *testing.T) {
	tests := []struct {
		s    optim.Schedule
		want float64
	}{
		{optim.Schedule{Kind: "linear"}, 0},
		{optim.Schedule{Kind: "cosine"}, 0},
		{optim.Schedule{Kind: "cosine_with_min_lr", MinRate: 0.25}, 0.25},
		{optim.Schedule{Kind: "cosine_with_restarts", Cycles: 2}, 0},
		{optim.Schedule{Kind: "polynomial", Power: 3, MinRate: 0.5}, 0.5},
		{optim.Schedule{Kind: "warmup_stable_decay", Decay: 0.2, MinRate: 0.125}, 0.125},
		{optim.Schedule{Kind: "warmup_stable_decay", Decay: 900}, 0}, // no longer than the run
	}
	for _, tt := range tests {
		tt.s.LearningRate, tt.s.Warmup, tt.s.Steps = 1, 3, 10
		for _, step := range []int{11, 14} {
			if got := tt.s.At(step); got != tt.want {
				t.Errorf("%v: step %d is %v, want %v", tt.s, step, got, tt.want)
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
			Kind:         rapid.SampledFrom(optim.Schedules()).Draw(t, "kind"),
			LearningRate: rapid.Float64Range(0, 10).Draw(t, "rate"),
			Warmup:       rapid.OneOf(rapid.Float64Range(0, 1), rapid.Float64Range(0, 300)).Draw(t, "warm-up"),
			Steps:        rapid.IntRange(1, 200).Draw(t, "steps"),
			MinRate:      rapid.Float64Range(0, 0.99).Draw(t, "least rate"),
			Cycles:       rapid.IntRange(1, 9).Draw(t, "cycles"),
			Power:        rapid.Float64Range(0.01, 5).Draw(t, "power"),
			Decay:        rapid.OneOf(rapid.Float64Range(0, 1), rapid.Float64Range(0, 300)).Draw(t, "decay"),
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
		{"least rate", func(s *optim.Schedule) { s.MinRate = 1 }},
		{"cycles must", func(s *optim.Schedule) { s.Kind = "cosine_with_restarts" }},
		{"power must", func(s *optim.Schedule) { s.Kind = "polynomial" }},
		{"decay must", func(s *optim.Schedule) { s.Decay = math.NaN() }},
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
