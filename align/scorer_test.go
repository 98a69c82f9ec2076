package align_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"align/align"
	"align/internal/basemodel"
	"align/internal/runfolder"
	"align/internal/train"
	"align/ppo"
	"align/rejection"
	"align/reward"
)

// A reward model that reads answers in another template scores otherwise, though its
// weights be the same: a copy without its run's state is read in the model's own.
func TestAScorerIsOfItsEncoding(t *testing.T) {
	c := reward.DefaultConfig()
	c.Model, c.Template, c.Out, c.LearningRate, c.Steps, c.EvalFraction = "builtin:tiny", "plain", filepath.Join(t.TempDir(), "run"), 1e-3, 2, 0
	c.Pairs = filepath.Join("..", "examples", "prefs.jsonl")
	if _, err := align.Reward(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	adapter, err := runfolder.AdapterFolder(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	bare := copied(t, adapter, "adapter_config.json", "", "")

	p := ppo.DefaultConfig()
	p.Model, p.Prompts, p.Reward, p.Out = "builtin:tiny", promptFile(t), c.Out, filepath.Join(t.TempDir(), "ppo")
	p.Rollout, p.MaxNew, p.PPOEpochs, p.Steps, p.SaveEvery, p.LearningRate = 2, 4, 1, 1, train.EverySteps(1), 1e-4
	if _, err := align.PPO(context.Background(), p, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	p.Resume, p.Steps, p.Reward = true, 2, bare
	if _, err := align.PPO(context.Background(), p, []string{"learning_rate"}, (&recorder{}).environment(t)); err == nil || !strings.Contains(err.Error(), "judge's encoding") {
		t.Errorf("a run went on with a reward model of another template: %v", err)
	}

	job := begunJob(t, "builtin:tiny", c.Out)
	job.Reward = bare
	if _, err := align.Rejection(context.Background(), job, (&recorder{}).environment(t)); err == nil || !strings.Contains(err.Error(), "the reward model's encoding is") {
		t.Errorf("a job went on with a reward model of another template: %v", err)
	}
}

// begunJob is a job of samples that ended before it was done, and is to go on.
func begunJob(t *testing.T, base, judge string) rejection.Config {
	t.Helper()
	c := rejection.DefaultConfig()
	c.Model, c.Prompts, c.Reward, c.Out = base, promptFile(t), judge, filepath.Join(t.TempDir(), "job")
	c.K, c.MaxNew, c.Threads = 4, 4, 1
	if judge == "" {
		c.Scorer = "length"
	}
	r := &recorder{}
	env := r.environment(t)
	env.Progress = func(what string, done, _ int64) {
		if what == "sampling" && done == 2 {
			r.stop.Ask(train.Terminate)
		}
	}
	if _, err := align.Rejection(context.Background(), c, env); err == nil {
		t.Fatal("the job was done before it was asked to end")
	}
	c.Resume = true
	return c
}

// What moves a job's numbers beside its settings and weights is what it began with;
// other kernels, as of another machine, are told. A job of an earlier version, whose
// journal tells nothing of it, goes on.
func TestAJobIsHeldToWhatItBeganWith(t *testing.T) {
	base, err := basemodel.Resolve("builtin:tiny")
	if err != nil {
		t.Fatal(err)
	}
	c := begunJob(t, base, "")
	for _, edit := range []struct {
		change func(c *rejection.Config)
		want   string
	}{
		{func(c *rejection.Config) { c.Precision = "bf16" }, "precision is bf16, the job began with f32: --precision f32 goes on with it"},
		{func(c *rejection.Config) {
			c.Model = copied(t, base, "config.json", `"max_position_embeddings": 512`, `"max_position_embeddings": 256`)
		}, `the context is "256", the job began with "512"`},
	} {
		other := c
		edit.change(&other)
		r := &recorder{}
		_, err := align.Rejection(context.Background(), other, r.environment(t))
		if err == nil || !strings.Contains(err.Error(), edit.want) {
			t.Errorf("got %v, want %q", err, edit.want)
		}
		if strings.Contains(strings.Join(r.notes, "\n"), "model: ") {
			t.Errorf("the model was read before %q", edit.want)
		}
	}
	journal := filepath.Join(c.Out, "journal.jsonl")
	whole := readFile(t, journal)
	for _, other := range []struct {
		name string
		old  *regexp.Regexp
		by   string
		told bool
	}{
		{"other kernels", regexp.MustCompile(`"kernels":"[^"]*"`), `"kernels":"none"`, true},
		{"an earlier version", regexp.MustCompile(`,"held":\{[^}]*\}`), "", false},
	} {
		edited := other.old.ReplaceAll(whole, []byte(other.by))
		if bytes.Equal(edited, whole) {
			t.Fatalf("%s: the journal has no %v", other.name, other.old)
		}
		d := c
		d.Out = filepath.Join(t.TempDir(), "job")
		if err := os.CopyFS(d.Out, os.DirFS(c.Out)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d.Out, "journal.jsonl"), edited, 0o600); err != nil {
			t.Fatal(err)
		}
		r := &recorder{}
		if _, err := align.Rejection(context.Background(), d, r.environment(t)); err != nil {
			t.Errorf("%s: %v", other.name, err)
		}
		if told := strings.Contains(strings.Join(r.notes, "\n"), "its numbers may differ in the last bits"); told != other.told {
			t.Errorf("%s: told %v, want %v: %q", other.name, told, other.told, r.notes)
		}
	}
	if _, err := align.Rejection(context.Background(), c, (&recorder{}).environment(t)); err != nil {
		t.Errorf("as it began: %v", err)
	}
}

// Answers end at the ids that the base's config.json names: a PPO run does not go on with
// others.
func TestPPOIsHeldToItsStopIDs(t *testing.T) {
	base, err := basemodel.Resolve("builtin:tiny")
	if err != nil {
		t.Fatal(err)
	}
	c := ppo.DefaultConfig()
	c.Model, c.Prompts, c.Scorer, c.Out = base, promptFile(t), "length", filepath.Join(t.TempDir(), "run")
	c.Rollout, c.MaxNew, c.PPOEpochs, c.Steps, c.SaveEvery, c.LearningRate = 2, 4, 1, 1, train.EverySteps(1), 1e-4
	if _, err := align.PPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	c.Resume, c.Steps = true, 2
	c.Model = copied(t, base, "config.json", "1529,", "1530,")
	if _, err := align.PPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err == nil || !strings.Contains(err.Error(), "stop ids is") {
		t.Errorf("a run went on with other stop ids: %v", err)
	}
	c.Model = base
	if _, err := align.PPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Error(err)
	}
}
