package model_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/safetensors"
	"align/model"
)

// variant is an adapter that PEFT 0.21.2 wrote, with what PyTorch 2.15 computes
// of it in float64 (testdata/peft): dora is DoRA on all linear layers,
// "everything" DoRA with rsLoRA, patterns of rank and alpha, and embedding and
// head trained whole, "tied" a trained embedding on a base that ties its head.
type variant struct {
	IDs       []int32
	Tied      bool
	Loss      float64
	LogProbs  []float64            `json:"logprobs"`
	Last      []float64            `json:"logits_last"`
	Gradients map[string][]float64 // sum of magnitudes, first, last, and sum of i g_i

	dir, base string
	backend   device.Backend
	act       device.Type
	model     *model.Model
	adapter   *model.Adapter
	values    []float32
}

var variants = []string{"dora", "everything", "tied"}

// variantValue is element i of the base's weight that the generator of the
// values made too: exact in float32.
func variantValue(name string, i int) float32 {
	h := uint32(0)
	for _, c := range []byte(name) {
		h = h*31 + uint32(c)
	}
	x := uint32(i)*2654435761 + h*40503
	x = (x ^ x>>15) * 2246822519
	v := (float64(x>>12) - 1<<19) / (1 << 20)
	if strings.HasSuffix(name, "norm.weight") {
		return float32(v)*0.2 + 1
	}
	return float32(v)
}

// writeVariantBase writes the base model of the variants.
func writeVariantBase(t testing.TB, dir string, tied bool, dtype safetensors.DType) {
	t.Helper()
	config := fmt.Sprintf(`{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 24,
"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 32, "bos_token_id": 1, "eos_token_id": 2,
"max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": %v}`, tied)
	write(t, filepath.Join(dir, "config.json"), func(w io.Writer) error { _, err := io.WriteString(w, config); return err })
	c, err := model.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	full := model.NewFull(c)
	values := make([]float32, full.Len)
	for _, w := range full.Weights {
		for i := range w.Rows * max(w.Cols, 1) {
			values[w.Offset+i] = variantValue(w.Name, i)
		}
	}
	write(t, filepath.Join(dir, "model.safetensors"), func(w io.Writer) error { return full.WriteWeights(w, model.InMemory(values), dtype) })
}

func openVariant(t testing.TB, name string, act device.Type) *variant {
	t.Helper()
	v := &variant{dir: filepath.Join("testdata", "peft", name), base: t.TempDir(), act: act}
	data, err := os.ReadFile(filepath.Join(v.dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
	writeVariantBase(t, v.base, v.Tied, safetensors.F32)
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: act})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	v.backend = b
	if v.model, err = model.Load(v.base, b, act, nil); err != nil {
		t.Fatal(err)
	}
	if v.adapter, v.values, err = model.ReadAdapter(v.dir, v.model.Config); err != nil {
		t.Fatal(err)
	}
	if err := v.model.AllocAdapter(v.adapter, v.values); err != nil {
		t.Fatal(err)
	}
	return v
}

// run is the loss, its log-probabilities and gradients over the ids.
func (v *variant) run(t testing.TB, flat bool) (loss float64, logProbs, grads []float64) {
	t.Helper()
	var p datasets.Pack
	document(&p, v.IDs)
	d, err := v.model.NewDecoder(model.DecoderOptions{Capacity: model.SizeOf(&p, 1), Adapter: v.adapter, Train: true, Save: "none", Flat: flat})
	if err != nil {
		t.Fatal(err)
	}
	sum := d.Scale(d.Sum(d.SequenceLogProbs), -1)
	s, err := d.Compile(v.model, sum, d.Prediction.LogProb)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := model.WriteFloats(v.backend, v.adapter.Grad, make([]float32, v.adapter.Len)); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(&p, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	losses, err := s.Float64s(nil, sum)
	if err != nil {
		t.Fatal(err)
	}
	if logProbs, err = s.Float64s(nil, d.Prediction.LogProb); err != nil {
		t.Fatal(err)
	}
	grads, err = model.ReadFloats(v.backend, nil, v.adapter.Grad)
	if err != nil {
		t.Fatal(err)
	}
	return losses[0], logProbs, grads
}

// variantTolerances bound relative errors: float64 against float64 of another
// order of sums, and the limits of the other golden values in float32.
var variantTolerances = map[device.Type]float64{device.F64: 1e-9, device.F32: 1e-4}

func TestVariantsAgreeWithPEFT(t *testing.T) {
	for _, name := range variants {
		for act, limit := range variantTolerances {
			t.Run(fmt.Sprintf("%s/%v", name, act), func(t *testing.T) {
				v := openVariant(t, name, act)
				loss, logProbs, grads := v.run(t, false)
				within(t, "loss", math.Abs(loss-v.Loss)/v.Loss, limit)
				within(t, "log-probabilities", difference(t, logProbs, v.LogProbs)/largest(v.LogProbs), limit)
				logits, err := model.Logits(v.model, v.adapter, v.IDs)
				if err != nil {
					t.Fatal(err)
				}
				last := logits[len(logits)-len(v.Last):]
				within(t, "logits", difference(t, last, v.Last)/largest(v.Last), limit)
				v.gradientsAgree(t, grads, limit)
			})
		}
	}
}

// gradientsAgree compares the gradient of every tensor by four numbers.
func (v *variant) gradientsAgree(t *testing.T, flat []float64, limit float64) {
	t.Helper()
	tensors := v.adapter.Tensors()
	if len(tensors) != len(v.Gradients) {
		t.Fatalf("%d trained tensors, PEFT has %d", len(tensors), len(v.Gradients))
	}
	for _, w := range tensors {
		want, ok := v.Gradients[w.Name]
		if !ok {
			want, ok = v.Gradients[w.Name+".weight"] // a module of its own in PEFT
		}
		if !ok {
			t.Fatalf("PEFT has no %s", w.Name)
		}
		g := flat[w.Offset:][:w.Rows*max(w.Cols, 1)]
		var size, weighted float64
		for i, x := range g {
			size += math.Abs(x)
			weighted += float64(i+1) * x
		}
		got := []float64{size, g[0], g[len(g)-1], weighted}
		for i := range got {
			scale := want[0] + 1e-12
			if i == 3 {
				scale *= float64(len(g))
			}
			within(t, fmt.Sprintf("gradient of %s, number %d", w.Name, i), math.Abs(got[i]-want[i])/scale, limit)
		}
	}
}

// Gradients through the layer programs are those of the flat graph to the bit.
func TestVariantsInPartsAndWhole(t *testing.T) {
	for _, name := range variants {
		v := openVariant(t, name, device.F32)
		loss, _, grads := v.run(t, false)
		flatLoss, _, flatGrads := v.run(t, true)
		if loss != flatLoss {
			t.Errorf("%s: loss %v in parts, %v whole", name, loss, flatLoss)
		}
		within(t, name+": gradients", difference(t, grads, flatGrads), 0)
	}
}

// What PEFT wrote is written again to the same values, and read back.
func TestVariantsRoundTrip(t *testing.T) {
	for _, name := range variants {
		v := openVariant(t, name, device.F32)
		dir := t.TempDir()
		conf, err := v.adapter.PEFTConfig("base")
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, model.AdapterConfigFile), func(w io.Writer) error { _, err := w.Write(conf); return err })
		write(t, filepath.Join(dir, model.AdapterWeightsFile), func(w io.Writer) error { return v.adapter.WriteWeights(w, model.InMemory(v.values)) })
		back, values, err := model.ReadAdapter(dir, v.model.Config)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(float32Bytes(values), float32Bytes(v.values)) {
			t.Errorf("%s: values changed", name)
		}
		if got, want := fmt.Sprintf("%+v %+v", back.Config, back.Factors), fmt.Sprintf("%+v %+v", v.adapter.Config, v.adapter.Factors); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func float32Bytes(v []float32) []byte {
	var b bytes.Buffer
	for _, x := range v {
		fmt.Fprintf(&b, "%x ", math.Float32bits(x))
	}
	return b.Bytes()
}

// An adapter on some modules of some layers, as a pattern of target_modules gives
// it, is read as it is and names its modules one by one when it is written.
func TestAnIrregularAdapterRoundTrips(t *testing.T) {
	dir, base := t.TempDir(), t.TempDir()
	writeVariantBase(t, base, false, safetensors.F32)
	c, err := model.ReadConfig(base)
	if err != nil {
		t.Fatal(err)
	}
	only := []string{"model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj", "model.layers.1.self_attn.q_proj"}
	a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 2, Alpha: 4, Targets: []string{"q_proj", "up_proj"}, Only: only})
	if err != nil || len(a.Factors) != 3 {
		t.Fatalf("%d factors, error %v", len(a.Factors), err)
	}
	conf, err := a.PEFTConfig("base")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, model.AdapterConfigFile), func(w io.Writer) error { _, err := w.Write(conf); return err })
	write(t, filepath.Join(dir, model.AdapterWeightsFile), func(w io.Writer) error { return a.WriteWeights(w, model.InMemory(a.Initial(1))) })
	write(t, filepath.Join(dir, "a.gguf"), func(w io.Writer) error {
		return a.WriteAdapterGGUF(w, c, model.GGUFNames{}, model.InMemory(a.Initial(1)))
	})
	for _, path := range []string{dir, filepath.Join(dir, "a.gguf")} {
		back, values, err := model.ReadAdapter(path, c)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(back.Factors) != fmt.Sprint(a.Factors) || !bytes.Equal(float32Bytes(values), float32Bytes(a.Initial(1))) {
			t.Errorf("%s: got %+v, want %+v", path, back.Factors, a.Factors)
		}
		again, err := back.PEFTConfig("base")
		if err != nil || !bytes.Contains(again, []byte(`"model.layers.1.mlp.up_proj"`)) || bytes.Contains(again, []byte("model.layers.0.mlp.up_proj")) {
			t.Errorf("%s: config %s (error %v)", path, again, err)
		}
	}
}

// A fresh adapter changes nothing: magnitudes are the rows' lengths and saved
// modules the base's.
func TestFreshVariantsAreTheBase(t *testing.T) {
	for _, name := range variants {
		v := openVariant(t, name, device.F32)
		fresh, err := model.NewAdapter(v.model.Config, v.adapter.Config)
		if err != nil {
			t.Fatal(err)
		}
		values, err := v.model.InitialAdapter(fresh, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.model.AllocAdapter(fresh, values); err != nil {
			t.Fatal(err)
		}
		got, err := model.Logits(v.model, fresh, v.IDs)
		if err != nil {
			t.Fatal(err)
		}
		want, err := model.Logits(v.model, nil, v.IDs)
		if err != nil {
			t.Fatal(err)
		}
		within(t, name, difference(t, got, want), 1e-6)
	}
}

// A merge has the adapter's logits, as a folder and as a GGUF, and where a tied
// base comes apart too.
func TestVariantsMerge(t *testing.T) {
	for _, name := range variants {
		v := openVariant(t, name, device.F32)
		want, err := model.Logits(v.model, v.adapter, v.IDs)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(t.TempDir(), "merged")
		if err := model.MergeFolder(folder, model.Merge{Base: v.base, Adapter: v.adapter, Values: v.values}, model.FolderOptions{}); err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(folder, v.backend, device.F32, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Config.TieWordEmbeddings {
			t.Errorf("%s: the merged model is tied", name)
		}
		got, err := model.Logits(m, nil, v.IDs)
		if err != nil {
			t.Fatal(err)
		}
		within(t, name, difference(t, got, want)/largest(want), mergeTolerance)
	}
}

// Frozen weights of any type give the lengths of their rows as they are held:
// against the merged model, which holds the same values in float32.
func TestDoRAOnBasesOfAnyType(t *testing.T) {
	notUnderRaces(t)
	folder, b := wideModel(t), openCPU(t, device.F32)
	for _, c := range []struct{ name, base, quantize string }{
		{"float32", folder, ""}, {"nf4", folder, "nf4"}, {"int8", folder, "int8"},
		{"q8_0 file", asGGUF(t, folder, "q8_0"), ""}, {"q4_k file", asGGUF(t, folder, "q4_k"), ""}, {"bf16 file", asGGUF(t, folder, "bf16"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, c.base, b, device.F32, model.LoadOptions{Quantize: c.quantize})
			a, err := model.NewAdapter(m.Config, model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules, DoRA: true})
			if err != nil {
				t.Fatal(err)
			}
			values, err := m.InitialAdapter(a, 1)
			if err != nil {
				t.Fatal(err)
			}
			want := logitsOf(t, m, nil)
			within(t, "fresh", difference(t, withAdapter(t, m, a, values), want)/largest(want), mergeTolerance)
			for i := range values { // moved, as in training
				values[i] += float32(math.Sin(float64(i))) * 0.02
			}
			moved := withAdapter(t, m, a, values)
			if difference(t, moved, want) < 1e-2*largest(want) {
				t.Error("the adapter changes nothing")
			}
			if c.quantize != "" {
				return // held in a type that no file has
			}
			file := mergedGGUF(t, model.Merge{Base: c.base, Adapter: a, Values: values}, "f32")
			got := logitsOf(t, load(t, file, b, device.F32, model.LoadOptions{}), nil)
			within(t, "merged", difference(t, got, moved)/largest(moved), mergeTolerance)
		})
	}
}

// llama.cpp's adapters hold neither magnitudes nor whole weights.
func TestVariantsAreNoGGUFAdapters(t *testing.T) {
	for _, name := range variants {
		v := openVariant(t, name, device.F32)
		err := v.adapter.WriteAdapterGGUF(io.Discard, v.model.Config, model.GGUFNames{Name: name}, model.InMemory(v.values))
		if !errors.Is(err, model.ErrNoGGUFAdapter) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
