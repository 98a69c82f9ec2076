package model

import (
	"errors"
	"fmt"
	"io"

	"align/internal/atomicfile"
	"align/internal/gguf"
)

// GGUFTypes are the types that MergeGGUF writes the weights in.
var GGUFTypes = []string{"f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q6_k"}

// GGUFNames are what a GGUF says of itself: general.name and, where they are not
// "", the name of the base and the SPDX or hub name of its licence.
type GGUFNames struct{ Name, BaseModel, License string }

// origin are the keys of licence and base.
func (n GGUFNames) origin() []gguf.KV {
	var list []gguf.KV
	if n.License != "" {
		list = append(list, gguf.KV{Key: "general.license", Value: n.License})
	}
	if n.BaseModel != "" {
		list = append(list, gguf.KV{Key: "general.base_model.count", Value: uint32(1)}, gguf.KV{Key: "general.base_model.0.name", Value: n.BaseModel})
	}
	return list
}

// GGUFOptions say how to write a merged GGUF.
type GGUFOptions struct {
	// Type is one of GGUFTypes. Norms stay F32; the head, or an embedding that
	// serves as one, is q6_k where Type has four bits, as llama-quantize does
	// it; rows that are not whole blocks are q8_0 or f16.
	Type string
	GGUFNames
	// Tokenizer is the tokenizer's keys; nil takes the base's own.
	Tokenizer *TokenizerSpec
	// ChatTemplate is Jinja source to take the place of the tokenizer's; ""
	// keeps that.
	ChatTemplate string
}

// ggufFormat is a type that a GGUF is written in, with its general.file_type
// (llama.h, enum llama_ftype).
type ggufFormat struct {
	name     string
	typ      gguf.Type
	fileType uint32
}

func parseGGUFType(name string) (ggufFormat, error) {
	for _, f := range []ggufFormat{
		{"f32", gguf.F32, 0}, {"f16", gguf.F16, 1}, {"bf16", gguf.BF16, 32}, {"q8_0", gguf.Q8_0, 7},
		{"q4_0", gguf.Q4_0, 2}, {"q4_k", gguf.Q4_K, 15}, {"q6_k", gguf.Q6_K, 18},
	} {
		if f.name == name {
			return f, nil
		}
	}
	return ggufFormat{}, fmt.Errorf("model: GGUF type %q: want one of %v", name, GGUFTypes)
}

// MergeGGUF writes a model with its adapter merged as one GGUF file that
// llama.cpp and Ollama run.
func MergeGGUF(path string, m Merge, o GGUFOptions) error {
	format, err := parseGGUFType(o.Type)
	if err != nil {
		return err
	}
	g, err := m.open()
	if err != nil {
		return err
	}
	defer g.files.Close()
	if m.scores() {
		return errors.New("model: a GGUF file has no place for a score head: this model cannot be written there")
	}
	if c := g.config; c.QKNorm || c.AttentionBias || c.MLPBias {
		return errors.New("model: GGUF's llama architecture has no biases or per-head norms: this model cannot be written there")
	}
	tokenizer, err := g.tokenizer(o)
	if err != nil {
		return err
	}
	pairs := append(g.config.ggufPairs(o, format), tokenizer.pairs()...)
	tensors := g.ggufTensors(format)
	return atomicfile.WriteFile(path, func(w io.Writer) error { return gguf.Write(w, pairs, tensors) })
}

// tokenizer is the one given, or the base's.
func (m *merger) tokenizer(o GGUFOptions) (TokenizerSpec, error) {
	var spec TokenizerSpec
	var err error
	switch {
	case o.Tokenizer != nil:
		spec = *o.Tokenizer
	case IsGGUF(m.Base):
		spec, err = GGUFTokenizer(m.Base)
	default:
		spec, err = FolderTokenizer(m.Base)
	}
	if o.ChatTemplate != "" {
		spec.ChatTemplate = o.ChatTemplate
	}
	if err == nil && len(spec.Tokens) != m.config.VocabSize {
		err = fmt.Errorf("model: the tokenizer has %d tokens, the model %d", len(spec.Tokens), m.config.VocabSize)
	}
	return spec, err
}

// ggufPairs are the keys of a Llama model (llama.cpp, conversion/llama.py).
func (c Config) ggufPairs(o GGUFOptions, format ggufFormat) []gguf.KV {
	number := func(n int) uint32 { return uint32(n) }
	list := []gguf.KV{
		{Key: "general.architecture", Value: "llama"},
		{Key: "general.type", Value: "model"},
		{Key: "general.name", Value: o.Name},
		{Key: "general.file_type", Value: format.fileType},
		{Key: "general.quantization_version", Value: uint32(2)},
		{Key: "llama.block_count", Value: number(c.NumLayers)},
		{Key: "llama.context_length", Value: number(c.ContextLength)},
		{Key: "llama.embedding_length", Value: number(c.HiddenSize)},
		{Key: "llama.feed_forward_length", Value: number(c.IntermediateSize)},
		{Key: "llama.attention.head_count", Value: number(c.NumHeads)},
		{Key: "llama.attention.head_count_kv", Value: number(c.NumKVHeads)},
		{Key: "llama.attention.key_length", Value: number(c.HeadDim)},
		{Key: "llama.attention.value_length", Value: number(c.HeadDim)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(c.RMSNormEps)},
		{Key: "llama.rope.dimension_count", Value: number(c.HeadDim)},
		{Key: "llama.rope.freq_base", Value: float32(c.RopeTheta)},
		{Key: "llama.vocab_size", Value: number(c.VocabSize)},
	}
	if c.RopeScaling.Type == "linear" {
		list = append(list, gguf.KV{Key: "llama.rope.scaling.type", Value: "linear"},
			gguf.KV{Key: "llama.rope.scaling.factor", Value: float32(c.RopeScaling.Factor)})
	}
	return append(list, o.origin()...)
}

// ggufTensors lists all tensors; each is merged when its turn comes.
func (m *merger) ggufTensors(format ggufFormat) []gguf.Tensor {
	var list []gguf.Tensor
	if c := m.config; c.RopeFactors != nil || c.RopeScaling.Type == "llama3" {
		var factors []float32
		for _, d := range c.RopeDivisors() {
			factors = append(factors, float32(d))
		}
		list = append(list, ggufVector(ggufFreqs, factors))
	}
	for _, w := range m.config.weights() {
		typ := m.config.ggufTypeOf(w, format.typ)
		rows, cols := w.shape()
		shape := []int{cols, rows}
		if w.cols == 0 {
			shape = shape[:1]
		}
		bytes, err := typ.Size(cols)
		form := rowForm{at: inOrder, bytes: int(bytes), put: func(dst []byte, x []float32) error { return gguf.Quantize(typ, dst, x) }}
		if _, module := w.module(); permuted(module) {
			form.at = func(row int) int { return m.config.ggufRow(module, row) }
		}
		list = append(list, gguf.Tensor{Name: w.ggufWeight(), Type: typ, Shape: shape, Data: func(out io.Writer) error {
			return errors.Join(err, m.write(out, w, form))
		}})
	}
	return list
}

func ggufVector(name string, values []float32) gguf.Tensor {
	t := ggufTensor(name, len(values), 1, func() ([]float32, error) { return values, nil })
	t.Shape = []int{len(values)}
	return t
}

// OtherGGUFTypes counts the matrices that a merged GGUF of the type (one of
// GGUFTypes) holds in another one, the embedding and the head aside.
func (c Config) OtherGGUFTypes(typ string) int {
	format, err := parseGGUFType(typ)
	if err != nil {
		return 0
	}
	n := 0
	for _, w := range c.weights() {
		if w.isLinear() && c.ggufTypeOf(w, format.typ) != format.typ {
			n++
		}
	}
	return n
}

// ggufTypeOf is the type that a weight gets in a file of a type.
func (c Config) ggufTypeOf(w weightInfo, typ gguf.Type) gguf.Type {
	if w.cols == 0 {
		return gguf.F32
	}
	isHead := w.name == headName || w.name == embedName && c.TieWordEmbeddings
	if isHead && (typ == gguf.Q4_0 || typ == gguf.Q4_K) {
		typ = gguf.Q6_K
	}
	for _, t := range []gguf.Type{typ, gguf.Q8_0} {
		if w.cols%t.BlockSize() == 0 {
			return t
		}
	}
	return gguf.F16
}
