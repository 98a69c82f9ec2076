//go:build linux && (amd64 || arm64) && !nogpu

package align

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/dpo"
	"align/internal/device/cuda/driver"
	"align/internal/tokenizer"
	"align/model"
	"align/sft"
)

// shapeFolder is a model folder of one of the shapes whose weights are a hole in
// a file: plans read their sizes alone.
func shapeFolder(t *testing.T, shape string) string {
	t.Helper()
	c, err := model.Shape(shape)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c.Architecture, c.DType = "LlamaForCausalLM", "bfloat16"
	config, err := c.JSON("bfloat16")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := tokenizer.Train(slices.Values([]string{"a"}), 264)
	if err != nil {
		t.Fatal(err)
	}
	words, err := spec.JSON()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "config.json"), string(config))
	writeFile(t, filepath.Join(dir, "tokenizer.json"), string(words))
	writeHole(t, filepath.Join(dir, "model.safetensors"), tensorsOf(c))
	return dir
}

// tensorsOf are the shapes of a model's tensors, as Hugging Face names them.
func tensorsOf(c model.Config) map[string][]int {
	q, kv := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	list := map[string][]int{"model.embed_tokens.weight": {c.VocabSize, c.HiddenSize}, "model.norm.weight": {c.HiddenSize}}
	if !c.TieWordEmbeddings {
		list["lm_head.weight"] = []int{c.VocabSize, c.HiddenSize}
	}
	for i := range c.NumLayers {
		for name, shape := range map[string][]int{
			"input_layernorm": {c.HiddenSize}, "post_attention_layernorm": {c.HiddenSize},
			"self_attn.q_proj": {q, c.HiddenSize}, "self_attn.k_proj": {kv, c.HiddenSize}, "self_attn.v_proj": {kv, c.HiddenSize}, "self_attn.o_proj": {c.HiddenSize, q},
			"mlp.gate_proj": {c.IntermediateSize, c.HiddenSize}, "mlp.up_proj": {c.IntermediateSize, c.HiddenSize}, "mlp.down_proj": {c.HiddenSize, c.IntermediateSize},
		} {
			list[fmt.Sprintf("model.layers.%d.%s.weight", i, name)] = shape
		}
	}
	return list
}

func writeHole(t *testing.T, path string, tensors map[string][]int) {
	t.Helper()
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	header, at := map[string]entry{}, int64(0)
	for name, shape := range tensors {
		size := int64(2)
		for _, n := range shape {
			size *= int64(n)
		}
		header[name] = entry{"BF16", shape, [2]int64{at, at + size}}
		at += size
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))+string(text))
	if err := os.Truncate(path, int64(8+len(text))+at); err != nil {
		t.Fatal(err)
	}
}

// A card of 24 GB takes 8B held as NF4 for DPO on pairs as long as UltraFeedback's
// are cut (1024 tokens with 512 of a prompt), and all weights of 1B, whose
// values, gradients and moments in float32 alone take 19.8 GB.
func TestPlansOfACardOf24GB(t *testing.T) {
	driver.StandIn(func() (*driver.Library, error) { return nil, driver.ErrNoDriver })
	defer driver.StandIn(nil)
	half := strings.Repeat("a", 480)
	dir := t.TempDir()
	pairs, data := filepath.Join(dir, "pairs.jsonl"), filepath.Join(dir, "data.jsonl")
	writeFile(t, pairs, strings.Repeat(fmt.Sprintf("{\"prompt\": %q, \"chosen\": %q, \"rejected\": %q}\n", half, half+"b", half+"c"), 40))
	writeFile(t, data, strings.Repeat(fmt.Sprintf("{\"prompt\": %q, \"completion\": %q}\n", half, half), 40))
	ctx, env := context.Background(), Environment{CacheDir: dir}
	for _, tc := range []struct {
		name string
		plan func() (*Plan, error)
	}{
		{"dpo of 8B as NF4", func() (*Plan, error) {
			c := dpo.DefaultConfig()
			c.Model, c.Quantize, c.Device, c.Memory, c.Pairs, c.MaxLength, c.Batch = shapeFolder(t, "8b"), "nf4", "cuda", "24GB", pairs, 1024, 2
			return PlanDPO(ctx, c, nil, env)
		}},
		{"sft of all weights of 1B", func() (*Plan, error) {
			c := sft.DefaultConfig()
			c.Model, c.Full, c.Device, c.Memory, c.Data, c.MaxLength, c.Batch = shapeFolder(t, "1b"), true, "cuda", "24GB", data, 1024, 1
			return PlanSFT(ctx, c, nil, env)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := tc.plan()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d weights, %d trained, %d optimizer, %d evaluation, %d workspace", p.Weights, p.Adapter, p.Optimizer, p.Evaluation, p.Workspace)
			for _, x := range p.Policies {
				t.Logf("%+v", x)
			}
			if p.Total > 24e9 {
				t.Errorf("%d bytes in all: want at most 24 GB", p.Total)
			}
		})
	}
}
