package model_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/safetensors"
	"align/model"
)

// shape is a small random model, with the options of a layer that no golden has.
type shape struct {
	Heads, KVHeads, HeadDim int
	Bias, QKNorm, Tied      bool
}

const (
	shapeHidden, shapeFF, shapeLayers, shapeVocab = 24, 20, 2, 40
)

// folder writes the model as a Hugging Face folder.
func (s shape) folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	config, err := json.Marshal(map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_size": shapeHidden, "intermediate_size": shapeFF,
		"num_hidden_layers": shapeLayers, "num_attention_heads": s.Heads, "num_key_value_heads": s.KVHeads, "head_dim": s.HeadDim,
		"vocab_size": shapeVocab, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
		"attention_bias": s.Bias, "mlp_bias": s.Bias, "qk_norm": s.QKNorm, "tie_word_embeddings": s.Tied,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var tensors []safetensors.Tensor
	add := func(name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(rng.NormFloat64() * 0.3)
			if len(shape) == 1 {
				values[i]++
			}
		}
		data := make([]byte, 4*n)
		if err := safetensors.FromFloat32(data, values, safetensors.F32); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, safetensors.FromBytes(name, safetensors.F32, shape, data))
	}
	s.declare(add)
	var buf bytes.Buffer
	if err := safetensors.Write(&buf, tensors, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s shape) declare(add func(name string, shape ...int)) {
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	add("model.embed_tokens.weight", shapeVocab, shapeHidden)
	for l := range shapeLayers {
		p := fmt.Sprintf("model.layers.%d.", l)
		linear := func(name string, out, in int) {
			add(p+name+".weight", out, in)
			if s.Bias {
				add(p+name+".bias", out)
			}
		}
		add(p+"input_layernorm.weight", shapeHidden)
		add(p+"post_attention_layernorm.weight", shapeHidden)
		linear("self_attn.q_proj", q, shapeHidden)
		linear("self_attn.k_proj", kv, shapeHidden)
		linear("self_attn.v_proj", kv, shapeHidden)
		linear("self_attn.o_proj", shapeHidden, q)
		linear("mlp.gate_proj", shapeFF, shapeHidden)
		linear("mlp.up_proj", shapeFF, shapeHidden)
		linear("mlp.down_proj", shapeHidden, shapeFF)
		if s.QKNorm {
			add(p+"self_attn.q_norm.weight", s.HeadDim)
			add(p+"self_attn.k_norm.weight", s.HeadDim)
		}
	}
	add("model.norm.weight", shapeHidden)
	if !s.Tied {
		add("lm_head.weight", shapeVocab, shapeHidden)
	}
}

var shapes = map[string]shape{
	"grouped heads":             {Heads: 4, KVHeads: 2, HeadDim: 6},
	"heads wider than hidden":   {Heads: 3, KVHeads: 1, HeadDim: 16, Tied: true},
	"biases":                    {Heads: 4, KVHeads: 4, HeadDim: 6, Bias: true},
	"norms of queries and keys": {Heads: 4, KVHeads: 2, HeadDim: 6, QKNorm: true},
	"everything":                {Heads: 4, KVHeads: 2, HeadDim: 8, Bias: true, QKNorm: true, Tied: true},
}

// subject is a loaded random model with a random adapter on every module.
func (s shape) open(t testing.TB, act device.Type, threads int, dropout float64) *golden {
	t.Helper()
	return s.openOn(t, cpu.Options{Threads: threads, Activations: act}, dropout)
}

// openOn is open on a backend of the options.
func (s shape) openOn(t testing.TB, o cpu.Options, dropout float64) *golden {
	t.Helper()
	act := o.Activations
	b, err := cpu.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	g := &golden{act: act, backend: b}
	if g.model, err = model.Load(s.folder(t), b, act, nil); err != nil {
		t.Fatal(err)
	}
	if g.adapter, err = model.NewAdapter(g.model.Config, model.LoRAConfig{Rank: 3, Alpha: 6, Dropout: dropout, Targets: model.Modules}); err != nil {
		t.Fatal(err)
	}
	g.values = make([]float32, g.adapter.Len)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range g.values {
		g.values[i] = float32(rng.NormFloat64() * 0.2)
	}
	if err := g.model.AllocAdapter(g.adapter, g.values); err != nil {
		t.Fatal(err)
	}
	return g
}

// words are n ids of the small vocabulary.
func words(seed, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32((seed*17 + i*i*5 + i*3) % shapeVocab)
	}
	return ids
}

func sameBits(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			t.Errorf("%s: value %d is %v, want %v", what, i, got[i], want[i])
			return
		}
	}
}

// A document has the same bits alone, anywhere in a pack and beside anything.
func TestADocumentsBitsDoNotDependOnItsPlace(t *testing.T) {
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) {
			g := s.open(t, device.F32, 2, 0)
			subject := words(1, 90)
			alone := &datasets.Pack{}
			document(alone, subject)
			want := g.logProbs(t, alone, g.adapter)
			for _, before := range []int{1, 13, 64, 100} {
				p := &datasets.Pack{}
				document(p, words(2, before))
				from := len(p.Rows)
				document(p, subject)
				document(p, words(before, 30))
				sameBits(t, fmt.Sprintf("after %d tokens", before), g.logProbs(t, p, g.adapter)[from:][:len(want)], want)
			}
		})
	}
}

// A pair that shares its prompt has the same bits wherever it stands, and the
// numbers of two separate sequences.
func TestAPairsBitsDoNotDependOnItsPlace(t *testing.T) {
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) {
			g := s.open(t, device.F32, 2, 0)
			pair := datasets.Pair{Prompt: words(1, 70), Chosen: words(2, 40), Rejected: words(3, 66)}
			alone := &datasets.Pack{}
			alone.AddPair(pair, 0)
			want := g.logProbs(t, alone, g.adapter)
			for _, before := range []int{1, 30, 65} {
				p := &datasets.Pack{}
				p.AddPair(datasets.Pair{Prompt: words(4, before), Chosen: words(5, 3), Rejected: words(6, 9)}, 0)
				from := len(p.Rows)
				p.AddPair(pair, 0)
				p.AddPair(datasets.Pair{Prompt: words(7, 5), Chosen: words(8, 3), Rejected: words(9, 2)}, 0)
				sameBits(t, fmt.Sprintf("after %d tokens", before), g.logProbs(t, p, g.adapter)[from:][:len(want)], want)
			}
			separate := &datasets.Pack{}
			separate.AddSeparate(pair.Prompt, 0, datasets.Answer{IDs: pair.Chosen}, datasets.Answer{IDs: pair.Rejected})
			if d := difference(t, g.logProbs(t, separate, g.adapter), want); d > 1e-5 {
				t.Errorf("separate sequences differ by %.3g", d)
			}
		})
	}
}

// notUnderRaces leaves a test out with -short, which is for the race detector: it is
// slow there, and its goroutines are the backend's, which
// TestThreadsAndPoliciesMoveNoBitOfAGradient and the references' losses start too.
func notUnderRaces(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("slow with the race detector, which has other steps of training")
	}
}

// Training's loss and gradients are the same under any number of threads and
// any save policy, with dropout drawn from tokens and not from places.
func TestThreadsAndPoliciesMoveNoBitOfAGradient(t *testing.T) {
	for _, dropout := range []float64{0, 0.3} {
		var want []float64
		for _, c := range []struct {
			threads int
			save    exec.SavePolicy
		}{{1, exec.SaveNone}, {2, exec.SaveNone}, {3, exec.SaveAll}, {2, exec.SaveAttention}, {1, exec.SaveProducts}} {
			g := shapes["everything"].open(t, device.F32, c.threads, dropout)
			p := &datasets.Pack{}
			document(p, words(1, 50))
			document(p, words(2, 33))
			loss := g.train(t, p, c.save, 0, weighted, map[string][]float64{"weights": {0.01, 0.02}})
			grads, err := model.ReadFloats(g.backend, nil, g.adapter.Grad)
			if err != nil {
				t.Fatal(err)
			}
			got := append(grads, loss)
			if want == nil {
				want = got
			}
			sameBits(t, fmt.Sprintf("dropout %v, %d threads, policy %s", dropout, c.threads, c.save), got, want)
		}
	}
}

// differenceTolerance is for central differences of step 1e-5 in float64.
const differenceTolerance = 1e-6

func TestGradientsOfEveryLayerOptionAgreeWithFiniteDifferences(t *testing.T) {
	notUnderRaces(t)
	for name, s := range shapes {
		for _, dropout := range []float64{0, 0.3} {
			t.Run(fmt.Sprintf("%s, dropout %v", name, dropout), func(t *testing.T) {
				g := s.open(t, device.F64, 1, dropout)
				p := &datasets.Pack{}
				document(p, words(1, 9))
				p.AddPair(datasets.Pair{Prompt: words(4, 4), Chosen: words(5, 3), Rejected: words(6, 5)}, 7)
				weights := map[string][]float64{"weights": {0.3, -0.2, 0.5}}
				g.train(t, p, exec.SaveNone, 0, weighted, weights)
				grads, err := model.ReadFloats(g.backend, nil, g.adapter.Grad)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range g.adapter.Factors {
					for _, i := range []int{f.OffsetA + 5, f.OffsetB + 2} {
						numeric := g.central(t, p, i, weights)
						if d := math.Abs(grads[i] - numeric); d > differenceTolerance*max(1, math.Abs(numeric)) {
							t.Errorf("%s, element %d: gradient %v, differences %v", f.Name(), i, grads[i], numeric)
						}
					}
				}
			})
		}
	}
}

// central is the central difference of the loss by one value of the adapter.
func (g *golden) central(t *testing.T, p *datasets.Pack, i int, weights map[string][]float64) float64 {
	const h = 1e-5
	values := make([]float64, len(g.values))
	for k, x := range g.values {
		values[k] = float64(x)
	}
	at := func(d float64) float64 {
		values[i] += d
		defer func() { values[i] -= d }()
		raw := make([]byte, 0, 8*len(values))
		for _, x := range values {
			raw = appendFloat64(raw, x)
		}
		if err := g.backend.Upload(g.adapter.Value, raw); err != nil {
			t.Fatal(err)
		}
		return g.train(t, p, exec.SaveNone, 0, weighted, weights)
	}
	return (at(h) - at(-h)) / (2 * h)
}

func appendFloat64(raw []byte, x float64) []byte {
	bits := math.Float64bits(x)
	for k := range 8 {
		raw = append(raw, byte(bits>>(8*k)))
	}
	return raw
}
