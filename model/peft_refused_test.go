package model

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusedAdapter writes an adapter of rank 4 whose values and config are changed.
func refusedAdapter(t *testing.T, change func(values []float32), old, new string) (dir string, base Config) {
	t.Helper()
	base = Config{HiddenSize: 16, IntermediateSize: 24, NumLayers: 1, NumHeads: 2, NumKVHeads: 2, HeadDim: 8, VocabSize: 32}
	a, err := NewAdapter(base, LoRAConfig{Rank: 4, Alpha: 8, Targets: []string{"q_proj"}})
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, a.Len)
	change(values)
	config, err := a.PEFTConfig("base")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(config), old) {
		t.Fatalf("%q is not in %s", old, config)
	}
	var weights bytes.Buffer
	if err := a.WriteWeights(&weights, InMemory(values)); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, data := range map[string][]byte{AdapterConfigFile: bytes.Replace(config, []byte(old), []byte(new), 1), AdapterWeightsFile: weights.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, base
}

func TestReadAdapterRefuses(t *testing.T) {
	same := func([]float32) {}
	for _, c := range []struct {
		name           string
		change         func([]float32)
		old, new, want string
	}{
		{"as it is", same, "{", "{", ""},
		{"NaN", func(v []float32) { v[7] = float32(math.NaN()) }, "{", "{", "holds NaN: the training that wrote it had diverged"},
		{"infinity", func(v []float32) { v[9] = float32(math.Inf(-1)) }, "{", "{", "holds -Inf"},
		{"another rank", same, `"r": 4`, `"r": 8`, "has rank 4, and adapter_config.json says r 8 and no rank_pattern"},
		{"rank as text", same, `"r": 4`, `"r": "4"`, "r is a string: want a whole number"},
		{"alpha as text", same, `"lora_alpha": 8`, `"lora_alpha": "8"`, `lora_alpha is "8": want a number`},
	} {
		dir, base := refusedAdapter(t, c.change, c.old, c.new)
		_, _, err := ReadAdapter(dir, base)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	dir, base := refusedAdapter(t, same, "{", "{")
	if err := os.Rename(filepath.Join(dir, AdapterWeightsFile), filepath.Join(dir, "adapter_model.bin")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadAdapter(dir, base); err == nil || !strings.Contains(err.Error(), "holds adapter_model.bin, a pickle") {
		t.Errorf("pickled: %v", err)
	}
}
