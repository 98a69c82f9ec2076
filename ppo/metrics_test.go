package ppo

import (
	"math"
	"testing"

	"align/internal/train"
)

// Scores that are all the same have no spread, also where their mean is rounded: three
// times 0.1 have a mean of 0.10000000000000002.
func TestEqualScoresHaveNoSpread(t *testing.T) {
	tr := &Trainer{Config: DefaultConfig()}
	tr.Config.K = 3
	for _, raw := range []float64{0.1, 0.1, 0.1, 0.1, 0.1, 0.2} {
		tr.episodes = append(tr.episodes, episode{Raw: raw})
	}
	var m train.Metrics
	tr.measureGroups(&m)
	if got, _ := m.Get("frac_reward_zero_std"); got != 0.5 {
		t.Errorf("frac_reward_zero_std is %v, want 0.5", got)
	}
}

// The scores of two rollouts of 4 answers to each of 4 prompts, and the reward_std
// that GRPOTrainer and RLOOTrainer of TRL 1.16 logged for them, given the same
// answers: the deviation of all, not the mean of the prompts' (1.3239 and 1.1346).
func TestRewardStd(t *testing.T) {
	for _, tt := range []struct {
		scores []float64
		want   float64
	}{
		{[]float64{0.75, 0.5, -1.5, -0.75, 2.5, -0.5, 2.5, 0.75, -0.5, 2, 0.75, -0.75, 1.25, 0.5, -1.5, 2}, 1.3260217},
		{[]float64{0.25, 1.5, 2.25, -0.25, 0.5, -0.5, 2, 0.75, 2.25, -0.25, 2.5, 0.5, 0.5, -0.5, 2, 0.75}, 1.0486847},
	} {
		tr := &Trainer{Config: DefaultConfig()}
		tr.Config.K = 4
		for _, raw := range tt.scores {
			tr.episodes = append(tr.episodes, episode{Raw: raw})
		}
		var m train.Metrics
		tr.measureGroups(&m)
		if got, _ := m.Get("reward_std"); math.Abs(got-tt.want) > 1e-6 {
			t.Errorf("reward_std is %v, want %v", got, tt.want)
		}
	}
}
