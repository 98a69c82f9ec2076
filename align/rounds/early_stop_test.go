package rounds_test

import (
	"context"
	"path/filepath"
	"testing"

	"align/align/rounds"
	"align/internal/train"
)

// What follows a stage that its evaluations ended early begins from the best
// checkpoint, also when the job goes on.
func TestTheBestOfAStageThatEndedEarlyIsTaken(t *testing.T) {
	c := smallRounds(t)
	c.Out, c.Rounds = filepath.Join(t.TempDir(), "job"), 1
	c.SFTStage.Steps, c.SFTStage.EvalFraction, c.SFTStage.EvalEvery = 20, 0.25, train.Every{Amount: 1}
	c.SFTStage.Best, c.SFTStage.EarlyStop, c.SFTStage.Keep, c.SFTStage.LearningRate = "eval_loss", 2, 1, 0.5
	c.Explicit["sft"] = []string{"steps", "eval_fraction", "eval_every", "best", "early_stop", "keep", "learning_rate"}
	got, err := rounds.Run(context.Background(), c, (&recorder{}).environment(t))
	if err != nil {
		t.Fatal(err)
	}
	sft, ppo := got.Stages[1], got.Stages[2]
	if filepath.Dir(sft.Checkpoint) != filepath.Join(sft.Run, "checkpoints") || ppo.From != sft.Checkpoint {
		t.Errorf("ppo began from %q, the best of sft is %q", ppo.From, sft.Checkpoint)
	}
	c.Resume = true
	again, err := rounds.Run(context.Background(), c, (&recorder{}).environment(t))
	if err != nil {
		t.Fatal(err)
	}
	if again.Stages[1].Checkpoint != sft.Checkpoint || again.Policy != got.Policy {
		t.Errorf("gone on: %q, %q; at first %q, %q", again.Stages[1].Checkpoint, again.Policy, sft.Checkpoint, got.Policy)
	}
}
