package ppo

import (
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
