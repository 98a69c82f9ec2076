package model

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// hostileBase is the shape that hostile adapters are held to.
func hostileBase() Config {
	return Config{
		HiddenSize: 8, IntermediateSize: 16, NumLayers: 2, NumHeads: 2, NumKVHeads: 1, HeadDim: 4, VocabSize: 11,
		ContextLength: 16, RMSNormEps: 1e-5, RopeTheta: 1e4, BOS: -1,
	}
}

// A config.json that is accepted has a shape that can be counted, in no time and
// memory to speak of.
func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{
		`{"hidden_size":8,"intermediate_size":16,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"vocab_size":11,"eos_token_id":[1,2]}`,
		`{"hidden_size":8,"intermediate_size":16,"num_hidden_layers":2,"num_attention_heads":2,"vocab_size":11,"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":8192}}`,
		`{"hidden_size":16777216,"intermediate_size":16777216,"num_hidden_layers":16777216,"num_attention_heads":1,"vocab_size":16777216}`,
		`{"rope_parameters":{"rope_type":"default","rope_theta":5e5},"bos_token_id":1e3}`, `null`, `{"head_dim":-1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		if n := c.Parameters(); n < 1 {
			t.Errorf("%d parameters of %+v", n, c)
		}
		for _, x := range c.InvFreq() {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Errorf("a frequency of %v of %+v", x, c)
			}
		}
	})
}

// An adapter_config.json beside an adapter's weights that is accepted gives an
// adapter whose scales are finite.
func FuzzAdapterConfig(f *testing.F) {
	a, err := NewAdapter(hostileBase(), LoRAConfig{Rank: 2, Alpha: 4, Targets: []string{"q_proj", "down_proj"}})
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	values := a.Initial(1)
	var weights bytes.Buffer
	if err := a.WriteWeights(&weights, InMemory(values)); err != nil {
		f.Fatal(err)
	}
	config, err := a.PEFTConfig("base")
	if err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "adapter_model.safetensors"), weights.Bytes(), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Add(config)
	for _, change := range [][2]string{
		{`"r": 2`, `"r": 0`}, {`"lora_alpha": 4`, `"lora_alpha": 1e308`}, {`"rank_pattern": {}`, `"rank_pattern": {"layers.0.self_attn.q_proj": -1}`},
		{`"alpha_pattern": {}`, `"alpha_pattern": {".*q_proj": 8, "(": 1}`}, {`"use_dora": false`, `"use_dora": true`},
	} {
		f.Add(bytes.Replace(config, []byte(change[0]), []byte(change[1]), 1))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, _, err := ReadAdapter(dir, hostileBase())
		if err != nil {
			return
		}
		for _, factor := range got.Factors {
			if !(factor.Scale > 0) || math.IsInf(factor.Scale, 0) || factor.Rank != 2 {
				t.Errorf("a factor of scale %v and rank %d", factor.Scale, factor.Rank)
			}
		}
	})
}
