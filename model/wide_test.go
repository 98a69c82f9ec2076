package model_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"align/internal/safetensors"
	"align/internal/tokenizer"
)

type writer = io.Writer

func writeFile(t testing.TB, path string, write func(writer) error) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t testing.TB, path string, v any) {
	t.Helper()
	writeFile(t, path, func(w writer) error { return json.NewEncoder(w).Encode(v) })
}

// wideModel is a random model of one layer whose rows are whole blocks of every
// type: 256 columns, head dimension 64, the 256 bytes and eight special tokens.
func wideModel(t testing.TB) string {
	t.Helper()
	const hidden, ffn, kv, vocab = 256, 512, 128, 264
	dir := t.TempDir()
	writeJSON(t, filepath.Join(dir, "config.json"), map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_size": hidden, "intermediate_size": ffn,
		"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": vocab, "rms_norm_eps": 1e-5,
		"rope_theta": 10000, "max_position_embeddings": 128, "bos_token_id": 256, "eos_token_id": 257, "torch_dtype": "float32",
	})
	spec, err := tokenizer.Train(slices.Values([]string{"a"}), vocab)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := spec.JSON()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "tokenizer.json"), func(w writer) error { _, err := w.Write(tokens); return err })
	rng := rand.New(rand.NewPCG(3, 5))
	var tensors []safetensors.Tensor
	add := func(name string, shape ...int) {
		n := shape[0]
		if len(shape) == 2 {
			n *= shape[1]
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(rng.NormFloat64()) / 16
			if len(shape) == 1 {
				values[i]++
			}
		}
		tensors = append(tensors, safetensors.FromFloats(name, safetensors.F32, shape, values))
	}
	add("model.embed_tokens.weight", vocab, hidden)
	add("lm_head.weight", vocab, hidden)
	add("model.norm.weight", hidden)
	for _, name := range []string{"input_layernorm", "post_attention_layernorm"} {
		add(fmt.Sprintf("model.layers.0.%s.weight", name), hidden)
	}
	for _, m := range []struct {
		name    string
		out, in int
	}{
		{"self_attn.q_proj", hidden, hidden}, {"self_attn.k_proj", kv, hidden}, {"self_attn.v_proj", kv, hidden}, {"self_attn.o_proj", hidden, hidden},
		{"mlp.gate_proj", ffn, hidden}, {"mlp.up_proj", ffn, hidden}, {"mlp.down_proj", hidden, ffn},
	} {
		add("model.layers.0."+m.name+".weight", m.out, m.in)
	}
	writeFile(t, filepath.Join(dir, "model.safetensors"), func(w writer) error { return safetensors.Write(w, tensors, nil) })
	return dir
}
