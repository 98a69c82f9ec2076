package ppo

import (
	"context"
	"math"
	"testing"

	"align/internal/fixture"
	"align/internal/rollout"
	"align/internal/score"
	"align/model"
)

// Every option's path learns with a finite loss from a first ratio of 1.
func TestOptionsRun(t *testing.T) {
	w := newWorld(t, fixture.Path(t, "data", "stories260K"), 4, true, rollout.Limits{Prompt: 8, Answer: 8, Sequences: 8})
	for name, change := range map[string]func(*Config){
		"divergence in the loss, times the ratio":    func(c *Config) { c.Algorithm, c.KLIn = GRPO, "ratio-loss" },
		"divergence in the loss, entropy, dual clip": func(c *Config) { c.Algorithm, c.KLIn, c.EntropyCoef, c.DualClip = GRPO, "loss", 0.01, 3 },
		"ratios of answers, of a critic":             func(c *Config) { c.ImportanceSamplingLevel = SequenceLevel },
		"ratios of answers, entropy": func(c *Config) {
			c.Algorithm, c.ImportanceSamplingLevel, c.KLIn, c.EntropyCoef = GRPO, SequenceLevel, "ratio-loss", 0.01
		},
		"ratios of answers as one action": func(c *Config) { c.Algorithm, c.ImportanceSamplingLevel = RLOO, SequenceSumLevel },
		"whitened rewards, k3":            func(c *Config) { c.WhitenRewards, c.KLEstimator = true, "k3" },
		"no whitening, cold":              func(c *Config) { c.WhitenAdvantages, c.Temperature = false, 0.6 },
		"centred groups, penalties": func(c *Config) {
			c.Algorithm, c.ScaleRewards, c.OverlongBuffer, c.MissingEOSPenalty = GRPO, false, 4, 1
		},
	} {
		c := storyConfig(PPO)
		c.MaxNew = 6
		change(&c)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		x := w.trainer(t, c, storyPrompts(8), even{}, 2)
		for step := range 3 {
			work, err := x.Next()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			loss := 0.0
			for _, micro := range work.Micro {
				l, _, err := x.Micro(step+1, micro, work.Weight)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				loss += l
			}
			if math.IsNaN(loss) || math.IsInf(loss, 0) {
				t.Errorf("%s: the loss of step %d is %v", name, step+1, loss)
			}
		}
	}
}

// microTolerance is relative: float32 gradients and losses summed in another
// order.
const microTolerance = 1e-5

func TestMicroBatchesDoNotShow(t *testing.T) {
	w := newWorld(t, fixture.Path(t, "data", "stories260K"), 4, true, rollout.Limits{Prompt: 8, Answer: 8, Sequences: 8})
	var losses []float64
	var grads [][]float64
	for _, batch := range []int{16, 3, 1} {
		c := storyConfig(PPO)
		c.MaxNew, c.MiniBatches, c.Batch = 6, 1, batch
		x := w.trainer(t, c, storyPrompts(8), even{}, 2)
		work, err := x.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := model.WriteFloats(w.model.Backend(), w.subject.grad, make([]float32, w.subject.grad.Len())); err != nil {
			t.Fatal(err)
		}
		loss := 0.0
		for _, micro := range work.Micro {
			l, _, err := x.Micro(1, micro, work.Weight)
			if err != nil {
				t.Fatal(err)
			}
			loss += l
		}
		g, err := model.ReadFloats(w.model.Backend(), nil, w.subject.grad)
		if err != nil {
			t.Fatal(err)
		}
		losses, grads = append(losses, loss), append(grads, g)
	}
	for i := range losses[1:] {
		if math.Abs(losses[i+1]-losses[0]) > microTolerance*math.Abs(losses[0]) {
			t.Errorf("losses %v", losses)
		}
		difference, norm := 0.0, 0.0
		for k, g := range grads[0] {
			difference, norm = difference+(grads[i+1][k]-g)*(grads[i+1][k]-g), norm+g*g
		}
		if norm == 0 || math.Sqrt(difference/norm) > microTolerance {
			t.Errorf("gradients differ by %v of %v", math.Sqrt(difference), math.Sqrt(norm))
		}
	}
}

func TestAStrayedPolicyEndsTheRollout(t *testing.T) {
	x := &Trainer{Config: storyConfig(PPO), position: 1, lastKL: 0.2, episodes: make([]episode, 4)}
	if x.strayed() {
		t.Error("without stop_kl it strays")
	}
	x.Config.StopKL = 0.1
	if !x.strayed() {
		t.Error("0.2 nats per token is not beyond 0.1")
	}
	x.position = 0
	if x.strayed() {
		t.Error("a fresh rollout strays")
	}
}

// Policy, reference, critic and reward model stand on one base.
func TestARewardModelOnTheSameBase(t *testing.T) {
	w := newWorld(t, fixture.Path(t, "data", "stories260K"), 4, true, rollout.Limits{Prompt: 8, Answer: 8, Sequences: 8})
	judge := &score.Model{Base: w.model, Adapter: newJudge(t, w.model)}
	defer judge.Close()
	c := storyConfig(PPO)
	c.MaxNew, c.ScoreClip = 6, 0
	x := w.trainer(t, c, storyPrompts(8), judge, 2)
	if _, err := w.run(t, x, t.TempDir(), 6, 0, false); err != nil {
		t.Fatal(err)
	}
	e := x.episodes[5]
	want, err := judge.Score(context.Background(), []score.Item{{PromptIDs: x.Prompts[e.Prompt].IDs, ResponseIDs: e.IDs}})
	if err != nil || want[0] != e.Raw || e.Raw == 0 {
		t.Errorf("score %v, alone %v (%v)", e.Raw, want, err)
	}
}
