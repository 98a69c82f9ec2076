package train

import (
	"math"
	"strings"
	"testing"
)

// silent is a reporter that drops all.
type silent struct{}

func (silent) Stepped(Event)     {}
func (silent) Saved(string, int) {}

func TestWatchers(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(step int) (loss, norm float64, m map[string]float64)
		want string
	}{
		{"chosen falls", func(s int) (float64, float64, map[string]float64) {
			return 0.5, 1, map[string]float64{"rewards/chosen": -0.01 * float64(s-1)}
		}, "--nll 0.2"},
		// The fall of a run that ended with answers of "IIIIIII am happy": no five rows
		// in a row fall, as batches differ.
		{"chosen drifts down", func(s int) (float64, float64, map[string]float64) {
			return 0.5, 1, map[string]float64{"rewards/chosen": -0.07*float64(s-1) + 0.2*float64((s+2)%3), "rewards/margins": 0.2 * float64(s)}
		}, "--nll 0.2"},
		{"chosen gives up a little", func(s int) (float64, float64, map[string]float64) {
			return 0.5, 1, map[string]float64{"rewards/chosen": -0.01*float64(s-1) + 0.02*float64((s+2)%3), "rewards/margins": 0.2 * float64(s)}
		}, ""},
		{"chosen differs without a reference", func(s int) (float64, float64, map[string]float64) {
			return 0.5, 1, map[string]float64{"rewards/chosen": -5 - 0.01*float64(s), "rewards/margins": float64(s)}
		}, ""},
		{"diverges", func(s int) (float64, float64, map[string]float64) {
			return 0.7 * float64(s*s), 1, map[string]float64{"rewards/margins": -float64(s)}
		}, "learning_rate"},
		{"answers leave the reference", func(s int) (float64, float64, map[string]float64) {
			return 0.1, 1, map[string]float64{"objective/kl": 20 * float64(s), "completions/mean_length": 32}
		}, "stop_kl"},
		{"answers stay by the reference", func(s int) (float64, float64, map[string]float64) {
			return 0.1, 1, map[string]float64{"objective/kl": float64(s), "completions/mean_length": 32}
		}, ""},
		{"answers score alike", func(int) (float64, float64, map[string]float64) {
			return 0.1, 1, map[string]float64{"frac_reward_zero_std": 1}
		}, "scored alike"},
		{"some answers score alike", func(s int) (float64, float64, map[string]float64) {
			return 0.1, 1, map[string]float64{"frac_reward_zero_std": 1 - 0.25*float64(s%4/3)}
		}, ""},
		{"answers of its own", func(s int) (float64, float64, map[string]float64) {
			return 0.01 * float64(s*s), 1, map[string]float64{"objective/kl": float64(s)}
		}, ""},
		{"stuck", func(int) (float64, float64, map[string]float64) {
			return math.Ln2, 1, map[string]float64{"rewards/margins": 1e-5}
		}, "still 0.693"},
		{"margins against accuracy", func(s int) (float64, float64, map[string]float64) {
			return 0.4, 1, map[string]float64{"rewards/margins": float64(s), "rewards/accuracies": 1 / float64(s)}
		}, "margins grow"},
		{"no gradient", func(int) (float64, float64, map[string]float64) { return 0, 1e-12, nil }, "grad_norm is 1e-12"},
		{"healthy", func(s int) (float64, float64, map[string]float64) {
			return 0.6 / float64(s), 1, map[string]float64{"rewards/chosen": float64(s), "rewards/margins": float64(s), "rewards/accuracies": 0.9}
		}, ""},
	} {
		var notes []string
		w := watch(silent{}, 20, func(s string) { notes = append(notes, s) })
		for step := 1; step <= 20; step++ {
			// Warm over eight steps, so that five even rows are there after 12.
			e := Event{Step: step, Steps: 20, LearningRate: 1e-7 * float64(min(step, 8))}
			var m map[string]float64
			e.Loss, e.GradNorm, m = c.make(step)
			for name, v := range m {
				e.Metrics.Add(name, v, 1)
			}
			w.Stepped(e)
		}
		if strings.HasPrefix(c.name, "stuck") && len(notes) == 1 && !strings.HasPrefix(notes[0], "step 12:") {
			t.Errorf("%s: told while the rate rises: %q", c.name, notes)
		}
		if c.want == "" && len(notes) > 0 || c.want != "" && (len(notes) != 1 || !strings.Contains(notes[0], c.want)) {
			t.Errorf("%s: %q", c.name, notes)
		}
	}
}
