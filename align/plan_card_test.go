//go:build linux && (amd64 || arm64) && !nogpu

package align

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"align/dpo"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
	"align/internal/plan"
	"align/internal/tokenizer"
	"align/internal/train"
	"align/model"
	"align/ppo"
	"align/sft"
)

// cardModel is a model folder of random weights that the simulator is quick with.
func cardModel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	spec, err := tokenizer.Train(slices.Values([]string{"the cat sat"}), 320)
	if err != nil {
		t.Fatal(err)
	}
	words, err := spec.JSON()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "tokens", "tokenizer.json"), string(words))
	c := model.Config{
		Architecture: "LlamaForCausalLM", HiddenSize: 64, IntermediateSize: 96, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: 16,
		VocabSize: 320, ContextLength: 96, RMSNormEps: 1e-5, RopeTheta: 10000, BOS: -1, DType: "float32",
	}
	out := filepath.Join(dir, "model")
	if err := model.WriteRandom(out, model.RandomFolder{Config: c, Tokenizer: filepath.Join(dir, "tokens"), Seed: 1}); err != nil {
		t.Fatal(err)
	}
	return out
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What a plan says of a card's memory, the card not being there, is what a run
// takes of it at most.
func TestPlansOfACardAreItsPeak(t *testing.T) {
	if testing.Short() {
		t.Skip("the simulator is slow, above all with the race detector")
	}
	if os.Getenv("ALIGN_TEST_GPU") == "1" {
		t.Skip("a real card's memory is not counted")
	}
	defer driver.StandIn(nil)
	folder := cardModel(t)
	data, pairs, prompts := filepath.Join(folder, "data.jsonl"), filepath.Join(folder, "pairs.jsonl"), filepath.Join(folder, "prompts.jsonl")
	var examples, preferences, questions string
	for range 8 {
		examples += `{"prompt": "the cat", "completion": " sat on the mat and saw the hen"}` + "\n"
		preferences += `{"prompt": "the cat", "chosen": " sat on the mat", "rejected": " saw the hen"}` + "\n"
		questions += `{"prompt": "the cat"}` + "\n"
	}
	writeFile(t, data, examples)
	writeFile(t, pairs, preferences)
	writeFile(t, prompts, questions)
	set := func(s *train.Settings) {
		s.Model, s.Device, s.Memory, s.Steps, s.Batch, s.Rank = folder, "cuda", "1GiB", 2, 2, 4
		s.Out = filepath.Join(t.TempDir(), "run")
	}
	ctx := context.Background()
	env := func() Environment { return Environment{CacheDir: t.TempDir()} }
	for _, c := range []struct {
		name string
		plan func() (*plan.Plan, error)
		run  func() error
	}{
		{"sft", func() (*plan.Plan, error) { return PlanSFT(ctx, sftOf(set, data, false), nil, env()) },
			func() error { _, err := SFT(ctx, sftOf(set, data, false), nil, env()); return err }},
		{"sft of all weights", func() (*plan.Plan, error) { return PlanSFT(ctx, sftOf(set, data, true), nil, env()) },
			func() error { _, err := SFT(ctx, sftOf(set, data, true), nil, env()); return err }},
		{"dpo", func() (*plan.Plan, error) { return PlanDPO(ctx, dpoOf(set, pairs), nil, env()) },
			func() error { _, err := DPO(ctx, dpoOf(set, pairs), nil, env()); return err }},
		{"ppo", func() (*plan.Plan, error) { return PlanPPO(ctx, ppoOf(set, prompts), nil, env()) },
			func() error { _, err := PPO(ctx, ppoOf(set, prompts), nil, env()); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			driver.StandIn(func() (*driver.Library, error) { return nil, driver.ErrNoDriver })
			if c.name != "ppo" { // its kernels prove themselves: that is in the peak as well
				t.Setenv(cuda.ProofVariable, "off")
			}
			p, err := c.plan()
			if err != nil {
				t.Fatal(err)
			}
			fault := cudatest.StandIn()
			if err := c.run(); err != nil {
				t.Fatal(err)
			}
			if err := fault(); err != nil {
				t.Fatal(err)
			}
			peak, _ := cudatest.Peak()
			if off := float64(p.Total)/float64(peak) - 1; math.Abs(off) > 0.02 {
				t.Errorf("planned %d bytes, %d of them for kernels: the peak is %d, %.1f %% off", p.Total, p.Workspace, peak, 100*off)
			} else {
				t.Logf("planned %d bytes: the peak is %d", p.Total, peak)
			}
		})
	}
}

func sftOf(set func(*train.Settings), data string, full bool) sft.Config {
	c := sft.DefaultConfig()
	set(&c.Settings)
	c.Data, c.Full, c.EvalFraction = data, full, 0.25
	return c
}

func dpoOf(set func(*train.Settings), pairs string) dpo.Config {
	c := dpo.DefaultConfig()
	set(&c.Settings)
	c.Pairs, c.EvalFraction = pairs, 0.25
	return c
}

func ppoOf(set func(*train.Settings), prompts string) ppo.Config {
	c := ppo.DefaultConfig()
	set(&c.Settings)
	c.Prompts, c.Scorer, c.Rollout, c.K, c.MaxNew, c.Sequences = prompts, "length:4", 2, 2, 6, 4
	return c
}
