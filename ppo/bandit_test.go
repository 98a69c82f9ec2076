package ppo

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"align/datasets"
	"align/internal/rollout"
	"align/internal/safetensors"
	"align/internal/score"
	"align/model"
)

// banditConfig is a model whose policy over its few tokens can be any.
const banditConfig = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":32,"intermediate_size":32,
"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":2,"head_dim":16,"vocab_size":8,"max_position_embeddings":64,
"rms_norm_eps":1e-5,"tie_word_embeddings":false,"torch_dtype":"float32"}`

// arms is the number of tokens.
const arms = 8

// banditModel writes a random model.
func banditModel(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(17, 0))
	var tensors []safetensors.Tensor
	add := func(name string, deviation float64, shape ...int) {
		n := 1
		for _, s := range shape {
			n *= s
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = 1
			if deviation > 0 {
				values[i] = float32(rng.NormFloat64() * deviation)
			}
		}
		tensors = append(tensors, safetensors.FromFloats(name, safetensors.F32, shape, values))
	}
	add("model.embed_tokens.weight", 1, arms, 32)
	add("lm_head.weight", 0.3, arms, 32)
	add("model.norm.weight", 0, 32)
	add("model.layers.0.input_layernorm.weight", 0, 32)
	add("model.layers.0.post_attention_layernorm.weight", 0, 32)
	for _, name := range []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"} {
		add("model.layers.0."+name+".weight", 0.2, 32, 32)
	}
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := safetensors.Write(f, tensors, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(banditConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// table is a Scorer with a score for each token.
type table [arms]float64

func (x table) Score(_ context.Context, items []score.Item) ([]float64, error) {
	scores := make([]float64, len(items))
	for i, item := range items {
		scores[i] = x[item.ResponseIDs[0]]
	}
	return scores, nil
}

// distribution is the policy after the prompt; a nil adapter is the reference.
func distribution(t testing.TB, m *model.Model, a *model.Adapter, prompt []int32) [arms]float64 {
	t.Helper()
	var p datasets.Pack
	var answers []datasets.Answer
	for id := range int32(arms) {
		answers = append(answers, datasets.Answer{IDs: []int32{id}})
	}
	p.AddGroup(prompt, 0, answers...)
	d, err := model.NewDecoder(m.Config, m.Activations(), model.DecoderOptions{Capacity: model.SizeOf(&p, 0), Adapter: a})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Compile(m, nil, d.SequenceLogProbs)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(&p, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	logProbs, err := s.Float64s(nil, d.SequenceLogProbs)
	if err != nil {
		t.Fatal(err)
	}
	var pi [arms]float64
	for i, l := range logProbs {
		pi[i] = math.Exp(l)
	}
	return pi
}

// optimum is π*(y) ∝ π_ref(y)·exp(r(y)/β).
func optimum(reference [arms]float64, r table, beta float64) [arms]float64 {
	total := 0.0
	for i := range reference {
		reference[i] *= math.Exp(r[i] / beta)
		total += reference[i]
	}
	for i := range reference {
		reference[i] /= total
	}
	return reference
}

// variation is the total variation distance.
func variation(a, b [arms]float64) float64 {
	d := 0.0
	for i := range a {
		d += math.Abs(a[i]-b[i]) / 2
	}
	return d
}

// maxVariation is what sampling leaves between a trained policy and π*.
const maxVariation = 0.02

func TestABanditConvergesToItsOptimum(t *testing.T) {
	dir := banditModel(t)
	rewards := table{1, -1, 0.5, 0, -0.5, 0.8, 0.2, -0.2}
	prompts := []Prompt{{IDs: []int32{3}}}
	for _, algorithm := range []string{PPO, RLOO, GRPO} {
		t.Run(algorithm, func(t *testing.T) {
			w := newWorld(t, dir, 8, algorithm == PPO, rollout.Limits{Prompt: 4, Answer: 2, Sequences: 64})
			c := DefaultConfig()
			c.Prompts, c.Scorer, c.Algorithm = "prompts.jsonl", "length", algorithm
			c.Rollout, c.K, c.MaxNew, c.Batch, c.Sequences = 1, 128, 1, 128, 64
			c.PPOEpochs, c.MiniBatches, c.LearningRate = 2, 1, 1e-2
			c.KLCoef, c.MissingEOSPenalty, c.VFCoef = 0.5, 0, 1
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			x := w.trainer(t, c, prompts, rewards)
			if _, err := w.run(t, x, t.TempDir(), 400, 0, false); err != nil {
				t.Fatal(err)
			}
			reference := distribution(t, w.model, nil, prompts[0].IDs)
			want := optimum(reference, rewards, c.KLCoef)
			got := distribution(t, w.model, w.subject.Policy, prompts[0].IDs)
			if d := variation(got, want); d > maxVariation || variation(reference, want) < 0.3 {
				t.Errorf("total variation %v from π*, want at most %v:\n got %.3f\nwant %.3f", d, maxVariation, got, want)
			}
		})
	}
}
