package align_test

import (
	"context"
	"math"
	"testing"

	"align/align"
	"align/internal/fixture"
	"align/ppo"
)

// trlUpdates are what PPOTrainer of TRL 1.12.0 (Transformers 5.24.0, PEFT 0.21.2)
// logged of two updates of three passes, given the answers of trlPPO's run in the place
// of its own and its critic at the start: stories260K, the golden adapter its policy and
// reference, per_device_train_batch_size 8, whiten_rewards, kl_estimator k3. All answers
// are cut at response_length, so that the score stands on the last token there too.
var trlUpdates = []map[string]float64{
	{
		"objective/entropy": 11.30147, "objective/scores": -0.61875, "objective/rlhf_reward": -0.61875,
		"loss/policy_avg": -0.06765702, "loss/value_avg": 1.234539, "policy/clipfrac_avg": 0.296875, "val/clipfrac_avg": 0.005208333,
		"policy/approxkl_avg": 0.06890976, "policy/entropy_avg": 1.417813, "val/ratio": 1.037277,
	},
	{
		"objective/entropy": 9.070826, "objective/non_score_reward": -0.01454997, "objective/scores": -0.640625, "objective/rlhf_reward": -0.655175,
		"loss/policy_avg": -0.04428451, "loss/value_avg": 1.105789, "policy/clipfrac_avg": 0.1197917,
		"policy/approxkl_avg": 0.02090775, "policy/entropy_avg": 1.31459, "val/ratio": 1.009792,
	},
}

// trlPPOTolerance is relative: both sides are in float32, and approxkl is a mean of
// squares of differences.
const trlPPOTolerance = 2e-5

func trlPPO(t *testing.T) ppo.Config {
	t.Helper()
	var prompts []map[string]string
	for _, text := range []string{
		"They lived happily ever", "The end", "And they were happy", " The moral is to be nice", "Lily was happy and said thank", "So they all went home", "Tom said hi", "The cat sat",
	} {
		prompts = append(prompts, map[string]string{"prompt": text})
	}
	c := ppo.DefaultConfig()
	c.Model, c.Adapter = fixture.Path(t, "data", "stories260K"), fixture.Path(t, "golden", "models", "stories260K-lora")
	c.Prompts, c.Scorer, c.Template, c.Order, c.Out = writeLines(t, "prompts.jsonl", prompts), "length:40", "raw", "sequential", t.TempDir()
	c.Rollout, c.Batch, c.MaxNew, c.PPOEpochs, c.Steps, c.Seed, c.Temperature = 8, 8, 8, 3, 6, 7, 0.7
	c.LearningRate, c.Schedule, c.Warmup, c.WeightDecay, c.Clip = 1e-4, "constant", 0, 0, 0
	c.ScoreClip, c.MissingEOSPenalty, c.WhitenRewards, c.KLEstimator, c.Threads, c.Precision = 0, 0, true, "k3", 1, "f32"
	return c
}

// A run of ppo learns as TRL's does: the means of each update's steps are TRL's.
func TestUpdatesAreTRLs(t *testing.T) {
	c, r := trlPPO(t), &recorder{}
	if _, err := align.PPO(context.Background(), c, nil, r.environment(t)); err != nil {
		t.Fatal(err)
	}
	if len(r.events) != c.Steps {
		t.Fatalf("%d steps, want %d", len(r.events), c.Steps)
	}
	for update, metrics := range trlUpdates {
		for name, want := range metrics {
			got := 0.0
			for _, e := range r.events[update*c.PPOEpochs:][:c.PPOEpochs] {
				value, ok := e.Metrics.Get(name)
				if !ok {
					t.Fatalf("%s is not measured", name)
				}
				got += value / float64(c.PPOEpochs)
			}
			if !(math.Abs(got-want) <= trlPPOTolerance*math.Abs(want)) {
				t.Errorf("%s of update %d is %v, want %v", name, update+1, got, want)
			}
		}
	}
}
