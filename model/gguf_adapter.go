package model

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"align/internal/gguf"
	"align/internal/safetensors"
)

// ggufModules are the modules' names in GGUF.
var ggufModules = map[string]string{
	"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
	"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
}

// ggufName is the GGUF name of a module's weight.
func ggufName(layer int, module string) string {
	return fmt.Sprintf("blk.%d.%s.weight", layer, ggufModules[module])
}

// WriteAdapterGGUF writes the adapter as llama.cpp loads it (--lora):
//
//	scale at run time = adapter.lora.alpha / rank of the tensor
//
// so rsLoRA's scale becomes alpha*sqrt(rank), and a factor whose scale differs
// from the first one's has the difference folded into B. Rows of q's and k's B
// are permuted as the base's rows are in GGUF.
func (a *Adapter) WriteAdapterGGUF(w io.Writer, base Config, names GGUFNames, values Values) error {
	if err := a.CheckGGUF(base); err != nil {
		return err
	}
	alpha := a.Factors[0].ggufAlpha()
	pairs := []gguf.KV{
		{Key: "general.architecture", Value: "llama"},
		{Key: "general.type", Value: "adapter"},
		{Key: "general.name", Value: names.Name},
		{Key: "general.file_type", Value: uint32(0)}, // all F32
		{Key: "adapter.type", Value: "lora"},
		{Key: "adapter.lora.alpha", Value: float32(alpha)}, // llama.cpp aborts on any other type
	}
	pairs = append(pairs, names.origin()...)
	var tensors []gguf.Tensor
	for _, f := range a.Factors {
		name := ggufName(f.Layer, f.Module)
		tensors = append(tensors,
			ggufTensor(name+".lora_a", f.In, f.Rank, func() ([]float32, error) { return values(f.OffsetA, f.Rank*f.In) }),
			ggufTensor(name+".lora_b", f.Rank, f.Out, func() ([]float32, error) { return f.ggufB(base, values, float64(float32(alpha))) }))
	}
	return gguf.Write(w, pairs, tensors)
}

// ErrNoGGUFAdapter is returned for an adapter that llama.cpp's format for
// adapters cannot hold.
var ErrNoGGUFAdapter = errors.New("no GGUF adapter can hold it")

// CheckGGUF names what an adapter GGUF cannot express.
func (a *Adapter) CheckGGUF(base Config) error {
	switch {
	case base.QKNorm || base.AttentionBias || base.MLPBias:
		return errors.New("model: GGUF's llama architecture has no biases or per-head norms: this base cannot be loaded there")
	case a.Config.DoRA:
		return fmt.Errorf("model: the adapter is a DoRA, and llama.cpp has no row magnitudes: %w", ErrNoGGUFAdapter)
	case len(a.Saved) > 0:
		return fmt.Errorf("model: the adapter has %s trained whole, and llama.cpp's adapters have no whole weights: %w", strings.Join(a.Config.Save, " and "), ErrNoGGUFAdapter)
	}
	return nil
}

// ggufAlpha is the alpha that gives the factor its scale.
func (f Factor) ggufAlpha() float64 { return f.Scale * float64(f.Rank) }

// ggufB is B with its rows in GGUF's order and the factor's own scale folded in
// where it is not alpha/rank.
func (f Factor) ggufB(base Config, values Values, alpha float64) ([]float32, error) {
	from, err := values(f.OffsetB, f.Out*f.Rank)
	if err != nil {
		return nil, err
	}
	b := make([]float32, f.Out*f.Rank)
	fold := float32(1)
	if own := f.ggufAlpha(); float32(own) != float32(alpha) {
		fold = float32(own / alpha)
	}
	for row := range f.Out {
		src := from[base.ggufRow(f.Module, row)*f.Rank:][:f.Rank]
		for i, x := range src {
			b[row*f.Rank+i] = x * fold
		}
	}
	return b, nil
}

// ggufRow is the Hugging Face row that stands in a row of the GGUF weight: q
// and k have the two halves of each head interleaved there.
func (c Config) ggufRow(module string, row int) int {
	if module != "q_proj" && module != "k_proj" {
		return row
	}
	head, i := row/c.HeadDim, row%c.HeadDim
	return head*c.HeadDim + i%2*(c.HeadDim/2) + i/2
}

// ggufTensor is a matrix of rows x cols, read when it is written; GGUF names the
// row length first.
func ggufTensor(name string, cols, rows int, read func() ([]float32, error)) gguf.Tensor {
	return gguf.Tensor{Name: name, Type: gguf.F32, Shape: []int{cols, rows}, Data: func(w io.Writer) error {
		values, err := read()
		if err != nil {
			return err
		}
		data := make([]byte, 4*len(values))
		if err := safetensors.FromFloat32(data, values, safetensors.F32); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}}
}

// ReadAdapterGGUF reads an adapter GGUF back for a base model.
func ReadAdapterGGUF(path string, base Config) (*Adapter, []float32, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	a, err := ggufLayout(f, base)
	if err != nil {
		return nil, nil, fmt.Errorf("model: %s: %w", path, err)
	}
	flat := make([]float32, a.Len)
	for _, factor := range a.Factors {
		if err := factor.readGGUF(f, base, flat); err != nil {
			return nil, nil, fmt.Errorf("model: %s: %w", path, err)
		}
	}
	return a, flat, prefixed(path, a.finite(flat))
}

// ggufLayout derives the adapter from the file's keys and tensors.
func ggufLayout(f *gguf.File, base Config) (*Adapter, error) {
	for _, k := range []struct{ key, want string }{{"general.type", "adapter"}, {"general.architecture", "llama"}, {"adapter.type", "lora"}} {
		got, err := f.Metadata.String(k.key)
		if err != nil {
			return nil, err
		}
		if got != k.want {
			return nil, fmt.Errorf("%s is %q, want %q", k.key, got, k.want)
		}
	}
	alpha, err := ggufAdapterAlpha(f)
	if err != nil {
		return nil, err
	}
	config := LoRAConfig{Alpha: alpha, RankPattern: map[string]int{}, AlphaPattern: map[string]float64{}}
	present := map[string]bool{}
	for layer := range base.NumLayers {
		for _, module := range Modules {
			info, ok := f.Tensor(ggufName(layer, module) + ".lora_a")
			if !ok {
				continue
			}
			if len(info.Shape) != 2 {
				return nil, fmt.Errorf("%w: tensor %q has %d dimensions", ErrAdapterMisfit, info.Name, len(info.Shape))
			}
			present[moduleName(layer, module)] = true
			config.includeGGUF(layer, module, info.Shape[1])
		}
	}
	if config.Rank == 0 {
		return nil, fmt.Errorf("%w: it has no factors", ErrAdapterMisfit)
	}
	if err := onlyFactors(f, base, 2*len(present)); err != nil {
		return nil, err
	}
	config.setOnly(present)
	if alpha == 0 {
		config.Alpha = float64(config.Rank)
	}
	if len(config.Layers) == base.NumLayers {
		config.Layers = nil
	}
	for name, rank := range config.RankPattern {
		if rank == config.Rank {
			delete(config.RankPattern, name)
		}
	}
	return NewAdapter(base, config)
}

// ggufAdapterAlpha is adapter.lora.alpha; 0 or none means a scale of 1
// (llama.cpp, llama-adapter.h, get_scale).
func ggufAdapterAlpha(f *gguf.File) (float64, error) {
	if _, ok := f.Metadata.Get("adapter.lora.alpha"); !ok {
		return 0, nil
	}
	alpha, err := f.Metadata.Float("adapter.lora.alpha")
	if err == nil && !(alpha >= 0 && alpha <= math.MaxFloat32) {
		err = fmt.Errorf("adapter.lora.alpha is %v: want a finite number of 0 or more", alpha)
	}
	return alpha, err
}

// includeGGUF adds a module of the rank. The first one's is the adapter's;
// where alpha is 0, each module's alpha is its rank.
func (c *LoRAConfig) includeGGUF(layer int, module string, rank int) {
	c.include(layer, module)
	if c.Rank == 0 {
		c.Rank = rank
	}
	c.RankPattern[moduleName(layer, module)] = rank
	if c.Alpha == 0 && rank != c.Rank {
		c.AlphaPattern[moduleName(layer, module)] = float64(rank)
	}
}

// onlyFactors refuses a file with tensors beside the factors of linear layers:
// leaving them out would change what the adapter does.
func onlyFactors(f *gguf.File, base Config, known int) error {
	if len(f.Tensors()) <= known {
		return nil
	}
	expected := map[string]bool{}
	for layer := range base.NumLayers {
		for _, module := range Modules {
			expected[ggufName(layer, module)+".lora_a"], expected[ggufName(layer, module)+".lora_b"] = true, true
		}
	}
	for _, t := range f.Tensors() {
		if !expected[t.Name] {
			return fmt.Errorf("%w: tensor %q names no linear layer of a decoder of %d layers", ErrAdapterMisfit, t.Name, base.NumLayers)
		}
	}
	return nil
}

func (f Factor) readGGUF(file *gguf.File, base Config, flat []float32) error {
	a, err := readGGUFTensor(file, ggufName(f.Layer, f.Module)+".lora_a", f.In, f.Rank)
	if err != nil {
		return err
	}
	copy(flat[f.OffsetA:], a)
	b, err := readGGUFTensor(file, ggufName(f.Layer, f.Module)+".lora_b", f.Rank, f.Out)
	if err != nil {
		return err
	}
	for row := range f.Out {
		copy(flat[f.OffsetB+base.ggufRow(f.Module, row)*f.Rank:][:f.Rank], b[row*f.Rank:])
	}
	return nil
}

func readGGUFTensor(f *gguf.File, name string, cols, rows int) ([]float32, error) {
	info, ok := f.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("%w: tensor %q is missing", ErrAdapterMisfit, name)
	}
	if len(info.Shape) != 2 || info.Shape[0] != cols || info.Shape[1] != rows {
		return nil, fmt.Errorf("%w: tensor %q is %v, want [%d %d]", ErrAdapterMisfit, name, info.Shape, cols, rows)
	}
	data := make([]byte, info.Size)
	if err := f.ReadTensor(info, data); err != nil {
		return nil, err
	}
	values := make([]float32, cols*rows)
	return values, gguf.Dequantize(info.Type, values, data)
}
