package model_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/fixture"
	"align/internal/gguf"
	"align/model"
)

// exportAndRead writes an adapter and reads it back.
func exportAndRead(t *testing.T, a *model.Adapter, base model.Config, flat []float32) (*model.Adapter, []float32) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "adapter.gguf")
	var buf bytes.Buffer
	if err := a.WriteAdapterGGUF(&buf, base, model.GGUFNames{Name: "test"}, model.InMemory(flat)); err != nil {
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
	dir := fixture.Path(t)
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

// What is read back and written again has the same bytes, folding and rows'
// order included.
func TestAnExportedAdapterIsWrittenAgainToTheBit(t *testing.T) {
	for _, c := range scaledConfigs {
		t.Run(c.name, func(t *testing.T) {
			a, err := model.NewAdapter(tinyBase, c.config)
			if err != nil {
				t.Fatal(err)
			}
			flat := a.Initial(5)
			for i := range flat {
				flat[i] += float32(i%13) / 16
			}
			var first, second bytes.Buffer
			if err := a.WriteAdapterGGUF(&first, tinyBase, model.GGUFNames{Name: "test"}, model.InMemory(flat)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "adapter.gguf")
			if err := os.WriteFile(path, first.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			back, values, err := model.ReadAdapter(path, tinyBase)
			if err != nil {
				t.Fatal(err)
			}
			if err := back.WriteAdapterGGUF(&second, tinyBase, model.GGUFNames{Name: "test"}, model.InMemory(values)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first.Bytes(), second.Bytes()) {
				t.Error("the bytes differ")
			}
		})
	}
}

// llama.cpp takes a scale of 1 where alpha is 0 or missing.
func TestAnAdapterWithoutAlphaHasScaleOne(t *testing.T) {
	for _, keys := range [][]gguf.KV{nil, {{Key: "adapter.lora.alpha", Value: float32(0)}}} {
		back, _, err := model.ReadAdapter(foreignAdapter(t, keys, "blk.1.ffn_up.weight", "blk.1.attn_q.weight"), tinyBase)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range back.Factors {
			if f.Scale != 1 {
				t.Errorf("%s has scale %v, want 1", f.Name(), f.Scale)
			}
		}
	}
}

// foreignAdapter is an adapter GGUF on weights of the tiny base, the n-th with
// rank n+1.
func foreignAdapter(t testing.TB, keys []gguf.KV, names ...string) string {
	t.Helper()
	keys = append([]gguf.KV{
		{Key: "general.architecture", Value: "llama"}, {Key: "general.type", Value: "adapter"}, {Key: "adapter.type", Value: "lora"},
	}, keys...)
	var list []gguf.Tensor
	for i, name := range names {
		for _, side := range []struct {
			suffix string
			shape  []int
		}{{".lora_a", []int{12, i + 1}}, {".lora_b", []int{i + 1, map[string]int{"blk.1.ffn_up.weight": 20}[name]}}} {
			shape := side.shape
			if shape[1] == 0 {
				shape[1] = 12
			}
			data := make([]byte, 4*shape[0]*shape[1])
			list = append(list, gguf.Tensor{Name: name + side.suffix, Type: gguf.F32, Shape: shape, Data: func(w io.Writer) error { _, err := w.Write(data); return err }})
		}
	}
	path := filepath.Join(t.TempDir(), "foreign.gguf")
	write(t, path, func(w io.Writer) error { return gguf.Write(w, keys, list) })
	return path
}

// What an adapter does elsewhere must not be left out here.
func TestAForeignAdapterIsReadWholeOrRefused(t *testing.T) {
	for _, name := range []string{"output.weight", "token_embd.weight", "blk.2.attn_q.weight", "blk.0.attn_norm.weight"} {
		path := foreignAdapter(t, []gguf.KV{{Key: "adapter.lora.alpha", Value: float32(4)}}, "blk.0.attn_q.weight", name)
		_, _, err := model.ReadAdapter(path, tinyBase)
		if !errors.Is(err, model.ErrAdapterMisfit) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	path := foreignAdapter(t, []gguf.KV{{Key: "adapter.lora.alpha", Value: float32(math.Inf(1))}}, "blk.0.attn_q.weight")
	if _, _, err := model.ReadAdapter(path, tinyBase); err == nil {
		t.Error("an infinite alpha is read")
	}
}

// scaledConfigs are adapters whose factors get their scales in every way.
var scaledConfigs = []struct {
	name   string
	config model.LoRAConfig
}{
	{"plain", model.LoRAConfig{Rank: 4, Alpha: 8, Targets: []string{"q_proj", "down_proj"}}},
	{"rsLoRA", model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules, RSLoRA: true}},
	{"rsLoRA of an odd rank", model.LoRAConfig{Rank: 3, Alpha: 7, Targets: model.Modules, RSLoRA: true}},
	{"patterns", model.LoRAConfig{
		Rank: 4, Alpha: 8, Targets: []string{"q_proj", "up_proj"},
		RankPattern:  map[string]int{"model.layers.1.mlp.up_proj": 2},
		AlphaPattern: map[string]float64{"model.layers.0.self_attn.q_proj": 3},
	}},
}

// llama.cpp computes alpha/rank from the file; whatever gave a factor its scale,
// that must be what it finds, B's folding included.
func TestEveryScaleSurvivesTheExport(t *testing.T) {
	for _, c := range scaledConfigs {
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
	write(t, filepath.Join(dir, model.AdapterWeightsFile), func(w io.Writer) error { return a.WriteWeights(w, model.InMemory(flat)) })
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

func write(t testing.TB, path string, f func(io.Writer) error) {
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
	write(t, filepath.Join(dir, model.AdapterWeightsFile), func(w io.Writer) error { return a.WriteWeights(w, model.InMemory(a.Initial(1))) })
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
