package model_test

import (
	"encoding/binary"
	"math"
	"testing"

	"align/internal/device"
	"align/internal/fixture"
	"align/internal/gguf"
	"align/internal/safetensors"
	"align/model"
)

// ggufValues are a tensor's elements.
func ggufValues(t testing.TB, f *gguf.File, name string) []float32 {
	t.Helper()
	info, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("tensor %q is missing", name)
	}
	raw := make([]byte, info.Size)
	if err := f.ReadTensor(info, raw); err != nil {
		t.Fatal(err)
	}
	values := make([]float32, len(raw)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return values
}

// Ensure that a file's layout is llama.cpp's, not only what the loader undoes:
// row 2i+s of a head of queries and keys is Hugging Face's row s*D/2+i.
func TestRowsOfQueriesAndKeysAreInterleaved(t *testing.T) {
	base := fixture.Path(t, "golden/models/tiny")
	f, err := gguf.Open(asGGUF(t, base, "f32"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files, err := safetensors.OpenModel(base)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	const hidden, dim = 64, 16
	for _, c := range []struct {
		name, gguf string
		heads      int
		permuted   bool
	}{{"q_proj", "attn_q", 4, true}, {"k_proj", "attn_k", 2, true}, {"v_proj", "attn_v", 2, false}} {
		raw := make([]byte, 4*c.heads*dim*hidden)
		if err := files.ReadInto("model.layers.1.self_attn."+c.name+".weight", raw); err != nil {
			t.Fatal(err)
		}
		want := make([]float32, len(raw)/4)
		if err := safetensors.ToFloat32(want, raw, safetensors.F32); err != nil {
			t.Fatal(err)
		}
		got := ggufValues(t, f, "blk.1."+c.gguf+".weight")
		for row := range c.heads * dim {
			from := row
			if c.permuted {
				head, i, s := row/dim, row%dim/2, row%2
				from = head*dim + s*dim/2 + i
			}
			for j := range hidden {
				if got[row*hidden+j] != want[from*hidden+j] {
					t.Fatalf("%s: row %d is not row %d", c.gguf, row, from)
				}
			}
		}
	}
}

// rope_freqs of the 3.1 models: head dimension 128, base 500000, factor 8. The
// values are of the rule in https://arxiv.org/abs/2407.21783's code: 1 for
// short waves, 8 for long ones, 1/((1-s)/8+s) between.
func TestFrequenciesOfLlama31(t *testing.T) {
	c := model.Config{HeadDim: 128, RopeTheta: 500000, RopeScaling: model.RopeScaling{
		Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalContextLength: 8192}}
	got := c.RopeDivisors()
	for i, d := range got {
		wave := 2 * math.Pi * math.Pow(500000, float64(i)/64)
		want := 1.0
		switch s := (8192/wave - 1) / 3; {
		case wave > 8192:
			want = 8
		case wave >= 2048:
			want = 1 / ((1-s)/8 + s)
		}
		if math.Abs(d-want) > 1e-12*want {
			t.Errorf("divisor %d is %v, want %v", i, d, want)
		}
	}
	if got[0] != 1 || got[63] != 8 {
		t.Errorf("first %v, last %v", got[0], got[63])
	}
}

func TestTheKeysOfAMergedGGUF(t *testing.T) {
	f, err := gguf.Open(asGGUF(t, fixture.Path(t, "golden/models/tiny"), "q4_0"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for key, want := range map[string]any{
		"general.architecture": "llama", "general.type": "model", "general.file_type": uint32(2), "general.quantization_version": uint32(2),
		"llama.block_count": uint32(2), "llama.context_length": uint32(131072), "llama.attention.head_count_kv": uint32(2),
		"llama.attention.key_length": uint32(16), "llama.rope.freq_base": float32(500000), "llama.attention.layer_norm_rms_epsilon": float32(1e-5),
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.bos_token_id": uint32(256), "tokenizer.ggml.add_bos_token": true,
		"tokenizer.ggml.eot_token_id": uint32(265), "tokenizer.ggml.eom_token_id": uint32(264),
	} {
		if got, _ := f.Metadata.Get(key); got != want {
			t.Errorf("%s is %v (%T), want %v", key, got, got, want)
		}
	}
	for name, want := range map[string]gguf.Type{
		"blk.0.attn_q.weight": gguf.Q4_0, "token_embd.weight": gguf.Q4_0, "blk.0.attn_norm.weight": gguf.F32, "output_norm.weight": gguf.F32,
		"rope_freqs.weight": gguf.F32,
		"output.weight":     gguf.Q8_0, // 64 columns are no block of q6_k
	} {
		if info, _ := f.Tensor(name); info.Type != want {
			t.Errorf("%s is %v, want %v", name, info.Type, want)
		}
	}
}

// Ensure that a loaded model gives everything back.
func TestCloseFreesTheWeights(t *testing.T) {
	b := &balance{Backend: openCPU(t, device.F32), held: map[uintptr]bool{}}
	m := load(t, wideModel(t), b, device.F32, model.LoadOptions{Quantize: "nf4"})
	if len(b.held) == 0 {
		t.Fatal("nothing was held")
	}
	m.Close()
	if len(b.held) != 0 {
		t.Errorf("%d reservations are still held", len(b.held))
	}
}

// balance notes what is held of a backend.
type balance struct {
	device.Backend
	held map[uintptr]bool
}

func (b *balance) Alloc(n int64) (device.Memory, error) {
	m, err := b.Backend.Alloc(n)
	b.held[m.Addr] = true
	return m, err
}

func (b *balance) Place(w device.Weight) (device.View, error) {
	v, err := b.Backend.Place(w)
	b.held[v.Addr] = true
	return v, err
}

func (b *balance) Free(m device.Memory) {
	delete(b.held, m.Addr)
	b.Backend.Free(m)
}
