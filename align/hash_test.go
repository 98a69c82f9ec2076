package align_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/dpo"
	"align/internal/basemodel"
	"align/internal/runfolder"
	"align/internal/train"
	"align/ppo"
	"align/rejection"
	"align/reward"
)

// firstLoss is the loss of the first step of a run of one step, with the references
// of earlier ones at hand.
func firstLoss(t *testing.T, cache, base, adapter string) float64 {
	t.Helper()
	c := dpo.DefaultConfig()
	c.Model, c.Adapter, c.Out = base, adapter, filepath.Join(t.TempDir(), "run")
	c.Pairs, c.Steps, c.EvalFraction = filepath.Join("..", "examples", "prefs.jsonl"), 1, 0
	r := &recorder{}
	env := r.environment(t)
	env.CacheDir = cache
	if _, err := align.DPO(context.Background(), c, nil, env); err != nil {
		t.Fatal(err)
	}
	return r.losses()[0]
}

// copied is a copy of a folder with a text of one of its files replaced.
func copied(t *testing.T, folder, file, old, new string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(to, "MANIFEST.json")) // a checkpoint is held to its own bytes, PEFT's folder is not
	path := filepath.Join(to, file)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s has no %s: %s", file, old, data)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// The reference of another adapter or base is not taken from the cache, though all its
// weights be the same: the first loss is ln 2.
func TestAReferenceIsOfItsScaleAndShape(t *testing.T) {
	cache := t.TempDir()
	c := dpo.DefaultConfig()
	c.Model, c.Out, c.LearningRate, c.Warmup = "builtin:tiny", filepath.Join(t.TempDir(), "run"), 1e-3, 0
	c.Pairs, c.Steps, c.EvalFraction = filepath.Join("..", "examples", "prefs.jsonl"), 4, 0
	if _, err := align.DPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	adapter, err := runfolder.AdapterFolder(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	base, err := basemodel.Resolve("builtin:tiny")
	if err != nil {
		t.Fatal(err)
	}
	scaled := copied(t, adapter, "adapter_config.json", `"lora_alpha": 32`, `"lora_alpha": 64`)
	turned := copied(t, base, "config.json", `"rms_norm_eps": 0.00001`, `"rms_norm_eps": 0.1`)
	for _, run := range []struct{ name, base, adapter string }{
		{"as it was", base, adapter}, {"lora_alpha", base, scaled}, {"rms_norm_eps", turned, adapter},
	} {
		if loss := firstLoss(t, cache, run.base, run.adapter); math.Abs(loss-math.Ln2) > 1e-12 {
			t.Errorf("%s: the first loss is %v, want ln 2", run.name, loss)
		}
	}
}

// A reward model whose adapter_config.json is edited scores otherwise: neither a PPO run
// nor a job of samples goes on with it as if it were the same one. Nor does a job with
// a base of another shape.
func TestAScorerIsOfItsScale(t *testing.T) {
	c := reward.DefaultConfig()
	c.Model, c.Out, c.LearningRate, c.Steps, c.EvalFraction = "builtin:tiny", filepath.Join(t.TempDir(), "run"), 1e-3, 2, 0
	c.Pairs = filepath.Join("..", "examples", "prefs.jsonl")
	if _, err := align.Reward(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	judge, err := runfolder.AdapterFolder(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	same := copied(t, judge, "adapter_config.json", `"lora_alpha": 32`, `"lora_alpha": 32`)
	scaled := copied(t, judge, "adapter_config.json", `"lora_alpha": 32`, `"lora_alpha": 64`)
	t.Run("ppo", func(t *testing.T) { refusesAnotherJudge(t, judge, same, scaled) })
	t.Run("rejection", func(t *testing.T) {
		base, err := basemodel.Resolve("builtin:tiny")
		if err != nil {
			t.Fatal(err)
		}
		turned := copied(t, base, "config.json", `"rms_norm_eps": 0.00001`, `"rms_norm_eps": 0.1`)
		first := jobOf(t, base, judge)
		if got := jobOf(t, base, same); got != first {
			t.Errorf("a copy of the scorer makes job %s, the scorer itself %s", got, first)
		}
		for name, other := range map[string]string{"lora_alpha": jobOf(t, base, scaled), "rms_norm_eps": jobOf(t, turned, judge)} {
			if other == first {
				t.Errorf("with another %s it is the same job", name)
			}
		}
	})
}

// refusesAnotherJudge goes on with a PPO run by the same reward model and by one of
// another scale.
func refusesAnotherJudge(t *testing.T, judge, same, scaled string) {
	c := ppo.DefaultConfig()
	c.Model, c.Prompts, c.Reward, c.Out = "builtin:tiny", promptFile(t), judge, filepath.Join(t.TempDir(), "run")
	c.Rollout, c.MaxNew, c.PPOEpochs, c.Steps, c.SaveEvery, c.LearningRate = 2, 4, 1, 1, train.EverySteps(1), 1e-4
	if _, err := align.PPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	c.Resume, c.Steps, c.Reward = true, 2, scaled
	_, err := align.PPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t))
	if err == nil || !strings.Contains(err.Error(), "judge's shape") {
		t.Errorf("a run went on with a reward model of another scale: %v", err)
	}
	c.Reward = same
	if _, err := align.PPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Errorf("a run does not go on with a copy of its reward model: %v", err)
	}
}

// jobOf is the identity of a job of samples.
func jobOf(t *testing.T, base, judge string) string {
	t.Helper()
	c := rejection.DefaultConfig()
	c.Model, c.Prompts, c.Reward, c.Out = base, promptFile(t), judge, filepath.Join(t.TempDir(), "job")
	c.K, c.MaxNew, c.Threads = 2, 4, 1
	s, err := align.Rejection(context.Background(), c, (&recorder{}).environment(t))
	if err != nil {
		t.Fatal(err)
	}
	return s.Job
}

// promptFile is a file of two prompts.
func promptFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(path, []byte("{\"prompt\":\"How much is 2 times 3?\"}\n{\"prompt\":\"What color is the sky?\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A run that began from an adapter does not go on from one of another scale, though its
// values be the same.
func TestAStartIsOfItsScale(t *testing.T) {
	c := dpo.DefaultConfig()
	c.Model, c.Out, c.LearningRate = "builtin:tiny", filepath.Join(t.TempDir(), "first"), 1e-3
	c.Pairs, c.Steps, c.EvalFraction, c.SaveEvery = filepath.Join("..", "examples", "prefs.jsonl"), 1, 0, train.EverySteps(1)
	run := func() error {
		_, err := align.DPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t))
		return err
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	adapter, err := runfolder.AdapterFolder(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	c.Adapter, c.Out = copied(t, adapter, "adapter_config.json", `"lora_alpha": 32`, `"lora_alpha": 32`), filepath.Join(t.TempDir(), "second")
	if err := run(); err != nil {
		t.Fatal(err)
	}
	c.Resume, c.Steps = true, 2
	c.Adapter = copied(t, adapter, "adapter_config.json", `"alpha_pattern": {}`, `"alpha_pattern": {"model.layers.0.self_attn.q_proj": 64}`)
	if err := run(); err == nil || !strings.Contains(err.Error(), "adapter's scale and places") {
		t.Errorf("a run went on from an adapter of another scale: %v", err)
	}
}

// A run whose reference is another adapter goes on with a folder of the same content
// alone, and says so before it computes anything by another one.
func TestAReferenceFolderIsHeldTo(t *testing.T) {
	c := dpo.DefaultConfig()
	c.Model, c.Out, c.LearningRate, c.Warmup = "builtin:tiny", filepath.Join(t.TempDir(), "first"), 1e-3, 0
	c.Pairs, c.Steps, c.EvalFraction, c.SaveEvery = filepath.Join("..", "examples", "prefs.jsonl"), 2, 0, train.EverySteps(1)
	run := func() error {
		_, err := align.DPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t))
		return err
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	former, err := filepath.Abs(filepath.Join(c.Out, "checkpoints", "step-000001"))
	if err != nil {
		t.Fatal(err)
	}
	c.Ref, c.Out, c.Steps = copied(t, filepath.Join(c.Out, "checkpoints", "step-000002"), "adapter_config.json", "", ""), filepath.Join(t.TempDir(), "second"), 1
	if err := run(); err != nil {
		t.Fatal(err)
	}
	c.Resume, c.Steps = true, 2
	weights, config := filepath.Join(c.Ref, "adapter_model.safetensors"), filepath.Join(c.Ref, "adapter_config.json")
	for _, edit := range []struct {
		name, path string
		content    []byte
	}{
		{"weights", weights, readFile(t, former, "adapter_model.safetensors")},
		{"scale", config, bytes.Replace(readFile(t, config), []byte(`"lora_alpha": 32`), []byte(`"lora_alpha": 64`), 1)},
	} {
		before := readFile(t, edit.path)
		if err := os.WriteFile(edit.path, edit.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run(); err == nil || !strings.Contains(err.Error(), "ref has another content than the run began with") {
			t.Errorf("a run went on with a reference of other %s: %v", edit.name, err)
		}
		if err := os.WriteFile(edit.path, before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(); err != nil {
		t.Errorf("with the reference that it began with: %v", err)
	}
}

// A run whose adapter or reference is another run goes on after that one has gone on
// too, from the checkpoint that the error names.
func TestTheCheckpointOfThenIsNamed(t *testing.T) {
	c := dpo.DefaultConfig()
	c.Model, c.Out, c.LearningRate, c.Warmup = "builtin:tiny", filepath.Join(t.TempDir(), "first"), 1e-3, 0
	c.Pairs, c.Steps, c.EvalFraction, c.SaveEvery = filepath.Join("..", "examples", "prefs.jsonl"), 1, 0, train.EverySteps(1)
	run := func(c dpo.Config) error {
		_, err := align.DPO(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t))
		return err
	}
	first := c
	if err := run(first); err != nil {
		t.Fatal(err)
	}
	byRef, byStart := c, c
	byRef.Ref, byRef.Out = first.Out, filepath.Join(t.TempDir(), "ref")
	byStart.Adapter, byStart.Out = first.Out, filepath.Join(t.TempDir(), "start")
	for _, c := range []dpo.Config{byRef, byStart} {
		if err := run(c); err != nil {
			t.Fatal(err)
		}
	}
	first.Resume, first.Steps, first.Keep = true, 2, 2
	if err := run(first); err != nil {
		t.Fatal(err)
	}
	then := filepath.Join(first.Out, "checkpoints", "step-000001")
	for key, c := range map[string]*dpo.Config{"ref": &byRef, "adapter": &byStart} {
		c.Resume, c.Steps = true, 2
		want := key + " has another content than the run began with: " + first.Out + " has gone on since, and its checkpoint of then is there: --" + key + " " + then
		if err := run(*c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", key, err, want)
		}
	}
	byRef.Ref, byStart.Adapter = then, then
	for _, c := range []dpo.Config{byRef, byStart} {
		if err := run(c); err != nil {
			t.Error(err)
		}
		c.Steps = 3
		if err := run(c); err != nil {
			t.Error(err)
		}
	}
	byRef.Ref = "base"
	if err := run(byRef); err == nil || !strings.Contains(err.Error(), `ref is "base", the run began with`) {
		t.Errorf("another reference: %v", err)
	}
	if err := os.RemoveAll(then); err != nil {
		t.Fatal(err)
	}
	byRef.Ref, byRef.Steps = first.Out, 3
	if err := run(byRef); err == nil || !strings.Contains(err.Error(), "none of the checkpoints of "+first.Out+" that are left") {
		t.Errorf("without the checkpoint: %v", err)
	}
}
