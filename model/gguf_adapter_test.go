package model_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"align/internal/device"
	"align/model"
)

// exportAndRead writes an adapter and reads it back.
func exportAndRead(t *testing.T, a *model.Adapter, base model.Config, flat []float32) (*model.Adapter, []float32) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "adapter.gguf")
	var buf bytes.Buffer
	if err := a.WriteAdapterGGUF(&buf, base, "test", flat); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	back, values, err := model.ReadAdapterGGUF(path, base)
	if err != nil {
		t.Fatal(err)
	}
	return back, values
}

func TestAnExportedAdapterGivesTheSameLogits(t *testing.T) {
	dir := shared(t)
	for _, name := range goldenNames {
		t.Run(name, func(t *testing.T) {
			g := openGolden(t, dir, name, device.F32)
			back, values := exportAndRead(t, g.adapter, g.model.Config, g.values)
			if err := g.model.AllocAdapter(back, values); err != nil {
				t.Fatal(err)
			}
			want, got := g.logits(t, g.whole(), g.adapter), g.logits(t, g.whole(), back)
			if d := difference(t, got, want); d != 0 {
				t.Errorf("logits differ by %v", d)
			}
		})
	}
}

// tinyBase is a base config whose sizes all differ.
var tinyBase = model.Config{
	HiddenSize: 12, IntermediateSize: 20, NumLayers: 2, NumHeads: 3, NumKVHeads: 1, HeadDim: 4,
	VocabSize: 7, ContextLength: 16, RMSNormEps: 1e-5, RopeTheta: 10000,
}

// llama.cpp computes alpha/rank from the file; whatever gave a factor its scale,
// that must be what it finds, B's folding included.
func TestEveryScaleSurvivesTheExport(t *testing.T) {
	for _, c := range []struct {
		name   string
		config model.LoRAConfig
	}{
		{"plain", model.LoRAConfig{Rank: 4, Alpha: 8, Targets: []string{"q_proj", "down_proj"}}},
		{"rsLoRA", model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules, RSLoRA: true}},
		{"patterns", model.LoRAConfig{
			Rank: 4, Alpha: 8, Targets: []string{"q_proj", "up_proj"},
			RankPattern:  map[string]int{"model.layers.1.mlp.up_proj": 2},
			AlphaPattern: map[string]float64{"model.layers.0.self_attn.q_proj": 3},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := model.NewAdapter(tinyBase, c.config)
			if err != nil {
				t.Fatal(err)
			}
			flat := make([]float32, a.Len)
			for i := range flat {
				flat[i] = float32(i%13) - 6
			}
			back, values := exportAndRead(t, a, tinyBase, flat)
			for i, f := range a.Factors {
				g := back.Factors[i]
				if g.Name() != f.Name() || g.Rank != f.Rank {
					t.Fatalf("factor %d is %s of rank %d, want %s of rank %d", i, g.Name(), g.Rank, f.Name(), f.Rank)
				}
				for k := range f.Out * f.Rank {
					want := f.Scale * float64(flat[f.OffsetB+k])
					got := g.Scale * float64(values[g.OffsetB+k])
					// One rounding of alpha and one of B to float32.
					if d := got - want; d > 1e-6*16 || d < -1e-6*16 {
						t.Fatalf("%s: scale*B[%d] is %v, want %v", f.Name(), k, got, want)
					}
				}
			}
		})
	}
}

func TestAnAdapterRoundTripsThroughPEFT(t *testing.T) {
	a, err := model.NewAdapter(tinyBase, model.LoRAConfig{
		Rank: 4, Alpha: 8, Targets: []string{"q_proj", "up_proj"}, Layers: []int{1}, RSLoRA: true, Dropout: 0.1,
	})
	if err != nil {
		t.Fatal(err)
	}
	flat, dir := a.Initial(3), t.TempDir()
	config, err := a.PEFTConfig("base")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, model.AdapterConfigFile), func(w io.Writer) error { _, err := w.Write(config); return err })
	write(t, filepath.Join(dir, model.AdapterWeightsFile), func(w io.Writer) error { return a.WriteWeights(w, flat) })
	back, values, err := model.ReadAdapter(dir, tinyBase)
	if err != nil {
		t.Fatal(err)
	}
	if back.Len != a.Len || len(back.Factors) != len(a.Factors) || back.Factors[0].Scale != a.Factors[0].Scale || back.Config.Dropout != 0.1 {
		t.Errorf("read back %+v, want %+v", back.Config, a.Config)
	}
	for i := range flat {
		if flat[i] != values[i] {
			t.Fatalf("value %d is %v, want %v", i, values[i], flat[i])
		}
	}
}

func write(t *testing.T, path string, f func(io.Writer) error) {
	t.Helper()
	var buf bytes.Buffer
	if err := f(&buf); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAnAdapterOfAnotherShapeIsRefused(t *testing.T) {
	a, err := model.NewAdapter(tinyBase, model.LoRAConfig{Rank: 4, Alpha: 8, Targets: []string{"q_proj"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config, err := a.PEFTConfig("base")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, model.AdapterConfigFile), func(w io.Writer) error { _, err := w.Write(config); return err })
	write(t, filepath.Join(dir, model.AdapterWeightsFile), func(w io.Writer) error { return a.WriteWeights(w, a.Initial(1)) })
	for name, change := range map[string]func(*model.Config){
		"fewer layers": func(c *model.Config) { c.NumLayers = 1 },
		"wider":        func(c *model.Config) { c.HiddenSize = 16 },
		"more heads":   func(c *model.Config) { c.NumHeads = 6 },
	} {
		base := tinyBase
		change(&base)
		if _, _, err := model.ReadAdapter(dir, base); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
