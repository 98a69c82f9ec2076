package export_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"align/internal/atomicfile"
	"align/internal/builtin"
	"align/internal/checkpoint"
	"align/internal/export"
	"align/internal/safetensors"
	"align/internal/train"
	"align/model"
)

// baseFolder is the model inside the program.
func baseFolder(t *testing.T) string {
	t.Helper()
	dir, err := builtin.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func configOf(t *testing.T, folder string) model.Config {
	t.Helper()
	c, err := model.ReadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trained is an adapter of the rank, for models of the config, that moves every answer,
// with its values.
func trained(t *testing.T, c model.Config, rank int) (*model.Adapter, []float32) {
	t.Helper()
	a, err := model.NewAdapter(c, model.LoRAConfig{Rank: rank, Alpha: 4, Targets: []string{"q_proj", "down_proj"}})
	if err != nil {
		t.Fatal(err)
	}
	values, r := a.Initial(1), rand.New(rand.NewPCG(2, 3))
	for _, f := range a.Factors {
		for i := range f.Out * f.Rank {
			values[f.OffsetB+i] = float32(r.NormFloat64()) / 4
		}
	}
	return a, values
}

// writeFiles makes a folder of a test's own.
func writeFiles(t *testing.T, dir string, files map[string]func(io.Writer) error) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, write := range files {
		if err := atomicfile.WriteFile(filepath.Join(dir, name), write); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// adapterFolder is what PEFT would have saved of the adapter; base is the model that it
// names.
func adapterFolder(t *testing.T, a *model.Adapter, values []float32, base string) string {
	t.Helper()
	config, err := a.PEFTConfig(base)
	if err != nil {
		t.Fatal(err)
	}
	return writeFiles(t, filepath.Join(t.TempDir(), "tuned"), map[string]func(io.Writer) error{
		model.AdapterConfigFile:  atomicfile.Bytes(config),
		model.AdapterWeightsFile: func(w io.Writer) error { return a.WriteWeights(w, model.InMemory(values)) },
	})
}

// scorerFolder is [adapterFolder] with the head of a reward model.
func scorerFolder(t *testing.T, base string) string {
	t.Helper()
	c := configOf(t, base)
	a, values := trained(t, c, 2)
	a.AddHead(c)
	values = append(values, make([]float32, a.Len-len(values))...)
	for i := range a.Head.Len {
		values[a.Head.Offset+i] = float32(i%7) - 3
	}
	config, err := a.PEFTScorerConfig(base)
	if err != nil {
		t.Fatal(err)
	}
	return writeFiles(t, filepath.Join(t.TempDir(), "judge"), map[string]func(io.Writer) error{
		model.AdapterConfigFile:  atomicfile.Bytes(config),
		model.AdapterWeightsFile: func(w io.Writer) error { return a.WriteScorerWeights(w, model.InMemory(values)) },
	})
}

// fullRun is a run that trained all weights, of one checkpoint, which holds the
// base's.
func fullRun(t *testing.T, base string) string {
	t.Helper()
	run := filepath.Join(t.TempDir(), "whole")
	config, err := configOf(t, base).JSON("float32")
	if err != nil {
		t.Fatal(err)
	}
	full := model.NewFull(configOf(t, base))
	values, err := full.ReadWeights(context.Background(), base)
	if err != nil {
		t.Fatal(err)
	}
	parts := []checkpoint.Part{
		{Name: train.ModelConfigFile, Write: atomicfile.Bytes(config)},
		{Name: train.ModelWeightsFile, Write: func(w io.Writer) error { return full.WriteWeights(w, model.InMemory(values), safetensors.F32) }},
		{Name: train.StateFile, Write: atomicfile.Bytes([]byte(`{"version":1,"method":"sft","step":3,"steps":3,"source":null,"lineage":{}}`))},
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join(base, name))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, checkpoint.Part{Name: name, Write: atomicfile.Bytes(data)})
	}
	if _, err := checkpoint.Save(run, 3, parts); err != nil {
		t.Fatal(err)
	}
	return run
}

// names are what lies in a folder, in order.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// outOf is a path to write in a folder that is not there yet.
func outOf(dir, format string) string {
	if format == export.FormatGGUF || format == export.FormatMergedGGUF {
		return filepath.Join(dir, "out.gguf")
	}
	return filepath.Join(dir, "out")
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
