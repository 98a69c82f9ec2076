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
	"align/internal/device"
	"align/internal/device/cuda/driver"
	"align/internal/exec"
	"align/internal/plan"
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

// What is held in these plans at most, in bytes: a card of 24 GB takes 8B held as NF4
// for DPO on pairs as long as UltraFeedback's are cut (1024 tokens with 512 of a
// prompt), and all weights of 1B, whose values, gradients and moments in float32
// alone take 19.8 GB; 8B as NF4 learns from 2 x 2048 tokens in 8.0 GiB, and where
// the head is of 4 bits in 7.2; in bf16 from 4096 with everything kept in a card of
// 40 GB.
func TestPlansOfCards(t *testing.T) {
	driver.StandIn(func() (*driver.Library, error) { return nil, driver.ErrNoDriver })
	defer driver.StandIn(nil)
	dir := t.TempDir()
	// The template adds 25 tokens to an example.
	data := func(tokens int) string {
		path := filepath.Join(dir, fmt.Sprint(tokens, ".jsonl"))
		writeFile(t, path, strings.Repeat(fmt.Sprintf("{\"prompt\": \"a\", \"completion\": %q}\n", strings.Repeat("a", tokens-25)), 40))
		return path
	}
	half := strings.Repeat("a", 480)
	pairs := filepath.Join(dir, "pairs.jsonl")
	writeFile(t, pairs, strings.Repeat(fmt.Sprintf("{\"prompt\": %q, \"chosen\": %q, \"rejected\": %q}\n", half, half+"b", half+"c"), 40))
	ctx, env := context.Background(), Environment{CacheDir: dir}
	learn := func(shape, quantize string, tokens, batch int, save exec.SavePolicy, full bool) func() (*plan.Plan, error) {
		return func() (*plan.Plan, error) {
			c := sft.DefaultConfig()
			c.Model, c.Quantize, c.Device, c.Memory, c.Data, c.MaxLength = shapeFolder(t, shape), quantize, "cuda", "139GiB", data(tokens), tokens
			c.Batch, c.SavePolicy, c.Full, c.Dropout = batch, string(save), full, 0
			return PlanSFT(ctx, c, nil, env)
		}
	}
	prefer := func() (*plan.Plan, error) {
		c := dpo.DefaultConfig()
		c.Model, c.Quantize, c.Device, c.Memory, c.Pairs, c.MaxLength, c.Batch = shapeFolder(t, "8b"), "nf4", "cuda", "24GB", pairs, 1024, 2
		return PlanDPO(ctx, c, nil, env)
	}
	gib := func(n float64) int64 { return int64(n * (1 << 30)) }
	head := device.View{Rows: 128256, Cols: 4096, Type: device.BF16}
	narrow := head
	narrow.Type = device.Q4_0
	for _, tc := range []struct {
		name string
		most int64
		plan func() (*plan.Plan, error)
	}{
		{"dpo of 8B as NF4", 24e9, prefer},
		{"sft of 8B as NF4, 2 x 2048", min(gib(8.0), gib(7.2)+head.Bytes()-narrow.Bytes()), learn("8b", "nf4", 2048, 2, exec.SaveTiled, false)},
		{"sft of 8B in bf16, 4096", gib(34), learn("8b", "", 4096, 1, exec.SaveAll, false)},
		{"sft of all weights of 1B", 24e9, learn("1b", "", 1024, 1, exec.SaveAll, true)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := tc.plan()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d tokens: %.2f GiB of at most %.2f; %d weights, %d trained, %d optimizer, %d evaluation, %d workspace",
				p.LargestPack, float64(p.Total)/(1<<30), float64(tc.most)/(1<<30), p.Weights, p.Adapter, p.Optimizer, p.Evaluation, p.Workspace)
			for _, x := range p.Policies {
				t.Logf("%+v", x)
			}
			if p.Total > tc.most {
				t.Errorf("%d bytes in all: want at most %d", p.Total, tc.most)
			}
		})
	}
}
