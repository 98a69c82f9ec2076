package model_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/fixture"
	"align/internal/gguf"
	"align/internal/safetensors"
	"align/model"
)

// counted counts what a backend holds of weights, by type.
type counted struct {
	device.Backend
	placed map[device.Type]int64
}

func (c *counted) Place(w device.Weight) (device.View, error) {
	v, err := c.Backend.Place(w)
	if c.placed == nil {
		c.placed = map[device.Type]int64{}
	}
	c.placed[v.Type] += v.Bytes()
	return v, err
}

func openCPU(t testing.TB, act device.Type) *cpu.Backend {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: act})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func load(t testing.TB, path string, b device.Backend, act device.Type, o model.LoadOptions) *model.Model {
	t.Helper()
	m, err := model.LoadWith(path, b, act, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// text is some token ids.
func text(vocab int) []int32 {
	var ids []int32
	for i := range 40 {
		ids = append(ids, int32((i*i*31+7*i)%vocab))
	}
	return ids
}

func logitsOf(t testing.TB, m *model.Model, a *model.Adapter) []float64 {
	t.Helper()
	out, err := model.Logits(m, a, text(m.Config.VocabSize))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// asGGUF writes a model without an adapter as a GGUF of the type.
func asGGUF(t testing.TB, base, typ string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), typ+".gguf")
	if err := model.MergeGGUF(path, model.Merge{Base: base}, model.GGUFOptions{Type: typ, GGUFNames: model.GGUFNames{Name: "test"}}); err != nil {
		t.Fatal(err)
	}
	return path
}

// ggufFolders are models in Hugging Face's layout: untied, tied, of BF16
// shards, with and without frequencies that are scaled, with their tokenizers.
var ggufFolders = []string{"golden/models/tiny", "golden/models/tied", "golden/models/tiny-bf16-sharded", "data/stories260K", "data/stories260K-chat"}

func TestAGGUFHasTheBitsOfItsFolder(t *testing.T) {
	dir := fixture.Path(t)
	for _, name := range ggufFolders {
		for _, act := range []device.Type{device.F32, device.F64} {
			t.Run(fmt.Sprintf("%s/%v", name, act), func(t *testing.T) {
				base, b := filepath.Join(dir, name), openCPU(t, act)
				want := load(t, base, b, act, model.LoadOptions{})
				got := load(t, asGGUF(t, base, "f32"), b, act, model.LoadOptions{})
				equalConfigs(t, got.Config, want.Config)
				if want.Config.DType == "float32" && got.Hash != want.Hash {
					t.Error("the weights' hashes differ")
				}
				x, y := logitsOf(t, got, nil), logitsOf(t, want, nil)
				for i := range x {
					if x[i] != y[i] {
						t.Fatalf("logit %d is %v, the folder's %v", i, x[i], y[i])
					}
				}
			})
		}
	}
}

func equalConfigs(t *testing.T, got, want model.Config) {
	t.Helper()
	got.DType, want.DType = "", ""
	got.EOS, want.EOS = nil, nil // GGUF names some of them
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("config is %+v, the folder's %+v", got, want)
	}
}

// blockTolerance is what is asked of a quantised base against float32 weights
// of the same values: only the order of rounding could differ.
const blockTolerance = 1e-5

func TestAQuantisedGGUFEqualsItsDequantisedWeights(t *testing.T) {
	notUnderRaces(t)
	for _, c := range []struct {
		base  string
		types []string
	}{
		{fixture.Path(t, "golden/models/tiny"), []string{"f16", "bf16", "q8_0", "q4_0"}},
		{fixture.Path(t, "data/stories260K"), []string{"q8_0", "q4_0"}}, // 172 columns: some weights stay f16
		{wideModel(t), []string{"q8_0", "q4_0", "q4_k", "q6_k"}},
	} {
		for _, typ := range c.types {
			t.Run(filepath.Base(c.base)+"/"+typ, func(t *testing.T) {
				b := &counted{Backend: openCPU(t, device.F32)}
				path := asGGUF(t, c.base, typ)
				m := load(t, path, b, device.F32, model.LoadOptions{})
				if want := matrixBytes(t, path); sum(b.placed) != want {
					t.Errorf("weights take %v bytes, the file's %d", b.placed, want)
				}
				wide := load(t, dequantised(t, path), openCPU(t, device.F32), device.F32, model.LoadOptions{})
				want := logitsOf(t, wide, nil)
				within(t, "logits", difference(t, logitsOf(t, m, nil), want)/largest(want), blockTolerance)
			})
		}
	}
}

func sum(m map[device.Type]int64) int64 {
	n := int64(0)
	for _, v := range m {
		n += v
	}
	return n
}

// matrixBytes are the bytes of the matrices of a file.
func matrixBytes(t testing.TB, path string) int64 {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := int64(0)
	for _, info := range f.Tensors() {
		if len(info.Shape) == 2 {
			n += info.Size
		}
	}
	return n
}

// dequantised is a GGUF with all tensors of another in F32, converted here.
func dequantised(t testing.TB, path string) string {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tensors []gguf.Tensor
	for _, info := range f.Tensors() {
		raw := make([]byte, info.Size)
		if err := f.ReadTensor(info, raw); err != nil {
			t.Fatal(err)
		}
		n := 1
		for _, d := range info.Shape {
			n *= d
		}
		values := make([]float32, n)
		if err := gguf.Dequantize(info.Type, values, raw); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 4*n)
		if err := safetensors.FromFloat32(data, values, safetensors.F32); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, gguf.FromBytes(info.Name, gguf.F32, info.Shape, data))
	}
	return writeGGUF(t, f.Metadata.All(), tensors)
}

func writeGGUF(t testing.TB, pairs []gguf.KV, tensors []gguf.Tensor) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	writeFile(t, path, func(w writer) error { return gguf.Write(w, pairs, tensors) })
	return path
}

func TestKeysThatAreWrongAreNamed(t *testing.T) {
	notUnderRaces(t)
	path := asGGUF(t, wideModel(t), "f32")
	for _, c := range []struct {
		key   string
		value any // nil: the key is left out
		want  string
	}{
		{"general.architecture", nil, "general.architecture"},
		{"general.architecture", "qwen2", `"qwen2": only llama`},
		{"general.type", "adapter", `"adapter": want a model`},
		{"llama.block_count", nil, `"llama.block_count": key is missing`},
		{"llama.block_count", uint32(513), "[1, 512], got 513"},
		{"llama.context_length", nil, `"llama.context_length"`},
		{"llama.embedding_length", nil, `"llama.embedding_length"`},
		{"llama.feed_forward_length", nil, `"llama.feed_forward_length"`},
		{"llama.attention.head_count", nil, `"llama.attention.head_count"`},
		{"llama.attention.head_count", []int32{4, 4}, "llama.attention.head_count"},
		{"llama.attention.head_count_kv", uint32(3), "divisible"},
		{"llama.attention.layer_norm_rms_epsilon", nil, "layer_norm_rms_epsilon"},
		{"llama.attention.value_length", uint32(32), "value_length is 32"},
		{"llama.rope.dimension_count", uint32(32), "dimension_count is 32"},
		{"llama.expert_count", uint32(8), "expert_count is 8"},
		{"llama.rope.scaling.type", "yarn", `"yarn": only linear`},
		{"llama.embedding_length", uint32(128), "the config wants"},
		{"llama.vocab_size", uint32(265), "lists 264 tokens, the model has 265"},
		{"llama.block_count", uint32(2), `"blk.1.`},
		{"tokenizer.ggml.eos_token_id", uint32(264), "eos_token_id is 264"},
	} {
		t.Run(c.key+"/"+fmt.Sprint(c.value), func(t *testing.T) {
			_, err := model.Load(changed(t, path, c.key, c.value), openCPU(t, device.F32), device.F32, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// changed is a copy of a GGUF with one key changed or left out.
func changed(t testing.TB, path, key string, value any, more ...gguf.Tensor) string {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var pairs []gguf.KV
	for _, p := range f.Metadata.All() {
		if p.Key != key {
			pairs = append(pairs, p)
		}
	}
	if value != nil {
		pairs = append(pairs, gguf.KV{Key: key, Value: value})
	}
	var tensors []gguf.Tensor
	for _, info := range f.Tensors() {
		raw := make([]byte, info.Size)
		if err := f.ReadTensor(info, raw); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, gguf.FromBytes(info.Name, info.Type, info.Shape, raw))
	}
	return writeGGUF(t, pairs, append(tensors, more...))
}

func TestTensorsThatTheDecoderWouldLeaveOutAreRefused(t *testing.T) {
	bias := gguf.FromBytes("blk.0.attn_q.bias", gguf.F32, []int{256}, make([]byte, 1024))
	path := changed(t, asGGUF(t, wideModel(t), "f32"), "none", nil, bias)
	if _, err := model.ReadConfig(path); err == nil || !strings.Contains(err.Error(), `"blk.0.attn_q.bias"`) {
		t.Errorf("got %v", err)
	}
}

func TestFrequenciesOfNoRuleAreTakenAsTheyAre(t *testing.T) {
	factors := make([]float32, 32)
	for i := range factors {
		factors[i] = 1 + float32(i%5)
	}
	data := make([]byte, 128)
	if err := safetensors.FromFloat32(data, factors, safetensors.F32); err != nil {
		t.Fatal(err)
	}
	path := changed(t, asGGUF(t, wideModel(t), "f32"), "none", nil, gguf.FromBytes("rope_freqs.weight", gguf.F32, []int{32}, data))
	c, err := model.ReadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	plain := c
	plain.RopeFactors = nil
	got, base := c.InvFreq(), plain.InvFreq()
	for i, f := range got {
		if f != base[i]/float64(factors[i]) {
			t.Errorf("frequency %d is %v, want %v/%v", i, f, base[i], factors[i])
		}
	}
}

func TestLlama3FrequenciesAreRecognised(t *testing.T) {
	dir := fixture.Path(t)
	c, err := model.ReadConfig(asGGUF(t, filepath.Join(dir, "golden/models/tiny"), "f32"))
	if err != nil {
		t.Fatal(err)
	}
	want := model.RopeScaling{Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalContextLength: 8192}
	if c.RopeScaling != want {
		t.Errorf("got %+v", c.RopeScaling)
	}
}

func TestSplitFilesLoadAsOne(t *testing.T) {
	whole := asGGUF(t, wideModel(t), "q4_k")
	f, err := gguf.Open(whole)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir, all := t.TempDir(), f.Tensors()
	for i, part := range [][]gguf.TensorInfo{all[:4], all[4:]} {
		pairs := []gguf.KV{{Key: "split.no", Value: uint16(i)}, {Key: "split.count", Value: uint16(2)}, {Key: "split.tensors.count", Value: int32(len(all))}}
		if i == 0 {
			pairs = append(pairs, f.Metadata.All()...)
		}
		var tensors []gguf.Tensor
		for _, info := range part {
			raw := make([]byte, info.Size)
			if err := f.ReadTensor(info, raw); err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, gguf.FromBytes(info.Name, info.Type, info.Shape, raw))
		}
		writeFile(t, filepath.Join(dir, fmt.Sprintf("m-%05d-of-00002.gguf", i+1)), func(w writer) error { return gguf.Write(w, pairs, tensors) })
	}
	b := openCPU(t, device.F32)
	got := load(t, filepath.Join(dir, "m-00001-of-00002.gguf"), b, device.F32, model.LoadOptions{})
	if want := load(t, whole, b, device.F32, model.LoadOptions{}); got.Hash != want.Hash {
		t.Error("hashes differ")
	}
}
