package align_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"align/internal/fixture"
	"align/internal/safetensors"
	"align/internal/tokenizer"
)

// wideModel is a random model whose rows are whole blocks of every type.
func wideModel(t *testing.T) string {
	t.Helper()
	const hidden, ffn, kv, vocab = 256, 512, 128, 264
	dir := t.TempDir()
	config, err := json.Marshal(map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_size": hidden, "intermediate_size": ffn,
		"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": vocab, "rms_norm_eps": 1e-5,
		"rope_theta": 10000, "max_position_embeddings": 256, "bos_token_id": 256, "eos_token_id": 257, "torch_dtype": "float32",
	})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := tokenizer.Train(slices.Values([]string{"a"}), vocab)
	if err != nil {
		t.Fatal(err)
	}
	words, err := spec.JSON()
	if err != nil {
		t.Fatal(err)
	}
	fixture.Write(t, string(config), dir, "config.json")
	fixture.Write(t, string(words), dir, "tokenizer.json")
	rng := rand.New(rand.NewPCG(3, 5))
	var tensors []safetensors.Tensor
	add := func(name string, rows, cols int) {
		values, shape := make([]float32, rows*cols), []int{rows, cols}
		for i := range values {
			values[i] = float32(rng.NormFloat64()) / 16 // 1/sqrt(hidden)
		}
		if cols == 1 {
			shape = shape[:1]
			for i := range values {
				values[i]++
			}
		}
		tensors = append(tensors, safetensors.FromFloats(name, safetensors.F32, shape, values))
	}
	layer := "model.layers.0."
	add("model.embed_tokens.weight", vocab, hidden)
	add("model.norm.weight", hidden, 1)
	add("lm_head.weight", vocab, hidden)
	add(layer+"input_layernorm.weight", hidden, 1)
	add(layer+"post_attention_layernorm.weight", hidden, 1)
	add(layer+"self_attn.q_proj.weight", hidden, hidden)
	add(layer+"self_attn.k_proj.weight", kv, hidden)
	add(layer+"self_attn.v_proj.weight", kv, hidden)
	add(layer+"self_attn.o_proj.weight", hidden, hidden)
	add(layer+"mlp.gate_proj.weight", ffn, hidden)
	add(layer+"mlp.up_proj.weight", ffn, hidden)
	add(layer+"mlp.down_proj.weight", hidden, ffn)
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := safetensors.Write(f, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}
