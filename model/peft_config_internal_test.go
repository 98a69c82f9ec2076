package model

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// Ensure that an adapter_config.json is taken where its numbers are ours, and
// else refused by the key that makes them others.
func TestPEFTConfig(t *testing.T) {
	for _, tt := range []struct{ name, rest, fails string }{
		{"as PEFT writes it", `"init_lora_weights":true,"bias":"none"`, ""},
		{"gaussian", `"init_lora_weights":"gaussian"`, ""},
		{"eva", `"init_lora_weights":"eva"`, ""},
		{"none", `"init_lora_weights":null`, ""},
		{"pissa", `"init_lora_weights":"pissa_niter_16"`, `init_lora_weights "pissa_niter_16" changes the base model`},
		{"olora", `"init_lora_weights":"olora"`, `init_lora_weights "olora" changes the base model`},
		{"head", `"target_modules":["q_proj","lm_head"]`, `target_modules "lm_head": its factors are not supported; modules_to_save trains it whole`},
		{"regular expression", `"target_modules":".*\\.(q|v)_proj"`, ""},
		{"bias", `"bias":"lora_only"`, `bias "lora_only": only none is supported`},
		{"whole norm", `"modules_to_save":["norm"]`, `modules_to_save "norm": only embed_tokens and lm_head`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), AdapterConfigFile)
			if err := os.WriteFile(path, []byte(`{"peft_type":"LORA",`+tt.rest+`}`), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readPEFTConfig(path)
			if tt.fails == "" && err != nil || tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
				t.Errorf("got error %v, want %q", err, tt.fails)
			}
		})
	}
}

// Ensure that alpha_pattern says what it says to PEFT: whole parts of a name
// between dots, the first of several.
func TestAlphaPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          float64 // 0: none
	}{
		{`{"q_proj":3}`, "model.layers.10.self_attn.q_proj", 3},
		{`{"proj":3}`, "model.layers.10.self_attn.q_proj", 0},
		{`{"layers.0.self_attn.q_proj":3}`, "model.layers.0.self_attn.q_proj", 3},
		{`{"0.self_attn.q_proj":3}`, "model.layers.10.self_attn.q_proj", 0},
		{`{"model.layers.[02].self_attn.k_proj":3.5}`, "model.layers.2.self_attn.k_proj", 3.5},
		{`{"layers.1.mlp.up_proj":3,"up_proj":4}`, "model.layers.1.mlp.up_proj", 3},
		{`{"up_proj":4,"layers.1.mlp.up_proj":3}`, "model.layers.1.mlp.up_proj", 4},
		{`{}`, "model.layers.1.mlp.up_proj", 0},
		{`null`, "model.layers.1.mlp.up_proj", 0},
	} {
		list, err := readPatterns(jsontext.Value(tt.pattern))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := matchPattern(list, tt.name); got != tt.want || ok != (tt.want != 0) {
			t.Errorf("%s of %s: got %v, %v, want %v", tt.pattern, tt.name, got, ok, tt.want)
		}
	}
	for _, bad := range []string{`[]`, `{"(?!q)":1}`, `{"q":"x"}`} {
		if _, err := readPatterns(jsontext.Value(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

// Ensure that no alpha_pattern ends the process.
func FuzzAlphaPattern(f *testing.F) {
	for _, seed := range []string{`{"q_proj":3}`, `{"a":1,"a":2}`, `{"(":1}`, `{"q":"x"}`, `[1]`, `{`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := readPatterns(jsontext.Value(raw))
		if err == nil {
			matchPattern(list, "model.layers.1.mlp.up_proj")
		}
	})
}
