package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"align/internal/gguf"
)

// maxLayers is llama.cpp's limit on block_count (llama-hparams.h,
// LLAMA_MAX_LAYERS), for every format: a layer takes memory before its weights are
// read.
const maxLayers = 512

// configOf reads the shape of a Llama model from a GGUF's keys and tensors.
func configOf(f *gguf.File) (Config, error) {
	if err := isModel(&f.Metadata); err != nil {
		return Config{}, err
	}
	k := ggufKeys{Metadata: &f.Metadata}
	c := Config{
		Architecture:     "LlamaForCausalLM",
		NumLayers:        k.int("llama.block_count"),
		ContextLength:    k.int("llama.context_length"),
		HiddenSize:       k.int("llama.embedding_length"),
		IntermediateSize: k.int("llama.feed_forward_length"),
		NumHeads:         k.int("llama.attention.head_count"),
		RMSNormEps:       k.float("llama.attention.layer_norm_rms_epsilon"),
		BOS:              -1,
	}
	if len(k.errs) > 0 {
		return Config{}, errors.Join(k.errs...)
	}
	if c.NumLayers < 1 || c.NumLayers > maxLayers {
		return Config{}, fmt.Errorf("llama.block_count must lie in [1, %d], got %d", maxLayers, c.NumLayers)
	}
	c.NumKVHeads = k.intOr("llama.attention.head_count_kv", c.NumHeads)
	c.HeadDim = k.intOr("llama.attention.key_length", c.HiddenSize/max(c.NumHeads, 1))
	c.RopeTheta = k.floatOr("llama.rope.freq_base", 10000) // as llama.cpp takes it
	_, output := f.Tensor(ggufHead)
	c.TieWordEmbeddings = !output
	k.vocabulary(f, &c)
	k.unsupported(c)
	k.stopIDs(&c)
	k.rope(f, &c)
	return c, errors.Join(errors.Join(k.errs...), c.validate())
}

// isModel refuses other architectures and files that are no model.
func isModel(m *gguf.Metadata) error {
	architecture, err := m.String("general.architecture")
	if err != nil {
		return err
	}
	if architecture != "llama" {
		return fmt.Errorf("general.architecture is %q: only llama is supported", architecture)
	}
	if kind, err := m.String("general.type"); err == nil && kind != "model" {
		return fmt.Errorf("general.type is %q: want a model", kind)
	}
	return nil
}

// ggufKeys gathers what is wrong with the keys of a file.
type ggufKeys struct {
	*gguf.Metadata
	errs []error
}

func (k *ggufKeys) note(err error) {
	if err != nil {
		k.errs = append(k.errs, err)
	}
}

func (k *ggufKeys) int(key string) int {
	n, err := k.Int(key)
	k.note(err)
	return n
}

func (k *ggufKeys) intOr(key string, absent int) int {
	n, err := k.Int(key)
	if errors.Is(err, gguf.ErrMissing) {
		return absent
	}
	k.note(err)
	return n
}

// float is a key whose writer had a short decimal and rounded it to float32:
// the shortest decimal of that float32 is the number that was meant.
func (k *ggufKeys) float(key string) float64 {
	v, err := k.Float(key)
	k.note(err)
	if float64(float32(v)) != v {
		return v
	}
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
	if err != nil {
		return v
	}
	return short
}

func (k *ggufKeys) floatOr(key string, absent float64) float64 {
	if _, ok := k.Get(key); !ok {
		return absent
	}
	return k.float(key)
}

// vocabulary takes the number of tokens from the key or, without it, from the
// embedding, and holds the tokenizer to it.
func (k *ggufKeys) vocabulary(f *gguf.File, c *Config) {
	embed, ok := f.Tensor(ggufEmbed)
	if ok && len(embed.Shape) == 2 {
		c.VocabSize = embed.Shape[1]
	}
	c.DType = embed.Type.String()
	c.VocabSize = k.intOr("llama.vocab_size", c.VocabSize)
	if tokens, err := k.Strings(keyTokens); err == nil && len(tokens) != c.VocabSize {
		k.note(fmt.Errorf("%s lists %d tokens, the model has %d", keyTokens, len(tokens), c.VocabSize))
	}
}

// unsupported names what would make the decoder's numbers wrong.
func (k *ggufKeys) unsupported(c Config) {
	for key, want := range map[string]int{
		"llama.attention.value_length": c.HeadDim, "llama.rope.dimension_count": c.HeadDim, "llama.expert_count": 0,
	} {
		if got := k.intOr(key, want); got != want {
			k.note(fmt.Errorf("%s is %d, only %d is supported", key, got, want))
		}
	}
	if window := k.intOr("llama.attention.sliding_window", 0); window != 0 {
		k.note(fmt.Errorf("llama.attention.sliding_window %d is not supported", window))
	}
}

// stopIDs are the ids that begin a text and that end an answer.
func (k *ggufKeys) stopIDs(c *Config) {
	id := func(key string) int32 {
		n := k.intOr(key, -1)
		if n < -1 || n >= max(c.VocabSize, 0) {
			k.note(fmt.Errorf("%s is %d, the model has %d tokens", key, n, c.VocabSize))
			return -1
		}
		return int32(n)
	}
	c.BOS = id(keyBOS)
	for _, key := range []string{keyEOS, keyEOM, keyEOT} {
		if n := id(key); n >= 0 && !slices.Contains(c.EOS, n) {
			c.EOS = append(c.EOS, n)
		}
	}
}

// rope reads the scaling of the rotary frequencies: keys for the linear one, a
// tensor of divisors for any other.
func (k *ggufKeys) rope(f *gguf.File, c *Config) {
	kind, err := k.String("llama.rope.scaling.type")
	if err != nil && !errors.Is(err, gguf.ErrMissing) {
		k.note(err)
	}
	switch kind {
	case "", "none":
	case "linear":
		c.RopeScaling = RopeScaling{Type: "linear", Factor: k.float("llama.rope.scaling.factor")}
		k.note(c.RopeScaling.validate())
	default:
		k.note(fmt.Errorf("llama.rope.scaling.type %q: only linear is supported", kind))
	}
	info, ok := f.Tensor(ggufFreqs)
	if !ok || c.HeadDim < 2 || len(k.errs) > 0 {
		return
	}
	if len(info.Shape) != 1 || info.Shape[0] != c.HeadDim/2 || info.Type != gguf.F32 {
		k.note(fmt.Errorf("tensor %q is %v of %v, want F32 of [%d]", ggufFreqs, info.Type, info.Shape, c.HeadDim/2))
		return
	}
	factors, err := readGGUFVector(f, info)
	k.note(err)
	if err == nil {
		k.note(c.takeFactors(factors))
	}
}

func readGGUFVector(f *gguf.File, info gguf.TensorInfo) ([]float32, error) {
	raw := make([]byte, info.Size)
	if err := f.ReadTensor(info, raw); err != nil {
		return nil, err
	}
	values := make([]float32, info.Shape[0])
	return values, gguf.Dequantize(info.Type, values, raw)
}

// llama3Tolerance is how far a file's divisors may be from Llama 3's rule to be
// taken for it: converters compute them in float32 from float32 frequencies.
const llama3Tolerance = 1e-5

// takeFactors sets the divisors of the frequencies. Where they are those of
// Llama 3's rule, rounded, the rule itself is taken, so that the numbers are
// those of the folder that the file was made from.
func (c *Config) takeFactors(factors []float32) error {
	most := float32(0)
	divisors := make([]float64, len(factors))
	for i, x := range factors {
		if !(x > 0) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("tensor %q: element %d is %v, want a positive number", ggufFreqs, i, x)
		}
		most = max(most, x)
		divisors[i] = float64(x)
	}
	if c.RopeScaling.Type != "" {
		return fmt.Errorf("tensor %q stands beside llama.rope.scaling.type %q: one of them is supported", ggufFreqs, c.RopeScaling.Type)
	}
	rule := RopeScaling{Type: "llama3", Factor: float64(most), LowFreqFactor: 1, HighFreqFactor: 4, OriginalContextLength: 8192}
	scaled := *c
	scaled.RopeScaling = rule
	for i, d := range scaled.RopeDivisors() {
		if math.Abs(d-divisors[i]) > llama3Tolerance*d {
			c.RopeFactors = divisors
			return nil
		}
	}
	c.RopeScaling = rule
	return nil
}
