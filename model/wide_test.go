package model_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"align/internal/safetensors"
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
// type: 256 columns, head dimension 64, 64 tokens, each one byte.
func wideModel(t testing.TB) string {
	t.Helper()
	const hidden, ffn, kv, vocab = 256, 512, 128, 64
	dir := t.TempDir()
	writeJSON(t, filepath.Join(dir, "config.json"), map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_size": hidden, "intermediate_size": ffn,
		"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": vocab, "rms_norm_eps": 1e-5,
		"rope_theta": 10000, "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32",
	})
	tokens := map[string]int{}
	for i := range vocab {
		tokens[string(rune('!'+i))] = i
	}
	writeJSON(t, filepath.Join(dir, "tokenizer.json"), map[string]any{
		"model":         map[string]any{"type": "BPE", "vocab": tokens, "merges": []string{}},
		"pre_tokenizer": map[string]any{"type": "Sequence", "pretokenizers": []any{map[string]any{"type": "Split", "pattern": map[string]string{"Regex": llama3Split}}}},
	})
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

// llama3Split is Llama 3's pattern as its tokenizer.json has it.
const llama3Split = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
