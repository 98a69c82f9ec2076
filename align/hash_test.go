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
