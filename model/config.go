package model

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"align/internal/jsonfile"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Config is the shape of a Llama model, in the words of its config.json.
type Config struct {
	Architecture     string
	HiddenSize       int
	IntermediateSize int
	NumLayers        int
	NumHeads         int
	NumKVHeads       int
	HeadDim          int
	VocabSize        int
	ContextLength    int
	RMSNormEps       float64
	RopeTheta        float64
	RopeScaling      RopeScaling
	// RopeFactors, if not nil, divide the rotary frequencies [D/2]: a GGUF's
	// rope_freqs where they are not those of a RopeScaling.
	RopeFactors       []float64
	TieWordEmbeddings bool
	// AttentionBias and MLPBias: the linear layers have biases.
	AttentionBias, MLPBias bool
	// QKNorm: queries and keys are normalised per head before the rotation.
	QKNorm bool
	BOS    int32 // -1: none
	EOS    []int32
	DType  string
}

// file is config.json; pointers tell an absent key from a zero. Unknown keys
// are ignored: every version of Transformers adds some.
type file struct {
	Architectures     []string       `json:"architectures"`
	ModelType         string         `json:"model_type"`
	HiddenSize        int            `json:"hidden_size"`
	IntermediateSize  int            `json:"intermediate_size"`
	NumLayers         int            `json:"num_hidden_layers"`
	NumHeads          int            `json:"num_attention_heads"`
	NumKVHeads        *int           `json:"num_key_value_heads"`
	HeadDim           *int           `json:"head_dim"`
	VocabSize         int            `json:"vocab_size"`
	ContextLength     int            `json:"max_position_embeddings"`
	RMSNormEps        *float64       `json:"rms_norm_eps"`
	HiddenAct         string         `json:"hidden_act"`
	RopeTheta         *float64       `json:"rope_theta"`
	RopeScaling       *ropeFile      `json:"rope_scaling"`
	RopeParameters    *ropeFile      `json:"rope_parameters"`
	TieWordEmbeddings bool           `json:"tie_word_embeddings"`
	AttentionBias     bool           `json:"attention_bias"`
	MLPBias           bool           `json:"mlp_bias"`
	QKNorm            bool           `json:"qk_norm"`
	BOS               jsontext.Value `json:"bos_token_id"`
	EOS               jsontext.Value `json:"eos_token_id"`
	TorchDType        string         `json:"torch_dtype"`
	DType             string         `json:"dtype"`
	SlidingWindow     *int           `json:"sliding_window"`
	Quantization      struct {
		Method string `json:"quant_method"`
	} `json:"quantization_config"`
}

// ReadConfig reads config.json (and the stop ids of generation_config.json) of
// a model folder, or the keys of a GGUF file, and holds it to what the decoder
// can do.
func ReadConfig(dir string) (Config, error) {
	if IsGGUF(dir) {
		return readGGUFConfig(dir)
	}
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("model: %w", err)
	}
	c, err := ParseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("model: %s: %w", path, err)
	}
	return c, c.addStopIDs(filepath.Join(dir, "generation_config.json"))
}

// ParseConfig is ReadConfig on the bytes of a config.json.
func ParseConfig(data []byte) (Config, error) {
	f := file{HiddenAct: "silu"}
	if err := jsonfile.Unmarshal(data, &f); err != nil {
		return Config{}, err
	}
	c, err := f.config()
	if err != nil {
		return Config{}, err
	}
	return c, c.validate()
}

func (f file) config() (Config, error) {
	c := Config{
		HiddenSize: f.HiddenSize, IntermediateSize: f.IntermediateSize, NumLayers: f.NumLayers,
		NumHeads: f.NumHeads, NumKVHeads: f.NumHeads, VocabSize: f.VocabSize, ContextLength: f.ContextLength,
		RMSNormEps: 1e-6, RopeTheta: 10000, // Transformers' LlamaConfig defaults
		TieWordEmbeddings: f.TieWordEmbeddings, AttentionBias: f.AttentionBias, MLPBias: f.MLPBias, QKNorm: f.QKNorm,
		DType: f.TorchDType,
	}
	if len(f.Architectures) > 0 {
		c.Architecture = f.Architectures[0]
	}
	set(&c.NumKVHeads, f.NumKVHeads)
	set(&c.RMSNormEps, f.RMSNormEps)
	set(&c.RopeTheta, f.RopeTheta)
	if c.NumHeads > 0 {
		c.HeadDim = c.HiddenSize / c.NumHeads
	}
	set(&c.HeadDim, f.HeadDim)
	if c.DType == "" {
		c.DType = f.DType
	}
	if c.ContextLength == 0 {
		c.ContextLength = 2048 // Transformers' LlamaConfig default
	}
	return c, errors.Join(f.supported(), c.rope(f), c.ids(f))
}

func set[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

// supported names what would make the decoder's numbers wrong.
func (f file) supported() error {
	var errs []error
	if f.ModelType != "" && f.ModelType != "llama" {
		errs = append(errs, fmt.Errorf("model_type %q: only llama is supported", f.ModelType))
	}
	if len(f.Architectures) > 0 && !slices.Contains([]string{"LlamaForCausalLM", classifierArchitecture}, f.Architectures[0]) {
		errs = append(errs, fmt.Errorf("architecture %q: only LlamaForCausalLM is supported", f.Architectures[0]))
	}
	if f.HiddenAct != "silu" {
		errs = append(errs, fmt.Errorf("hidden_act %q: only silu is supported", f.HiddenAct))
	}
	if q := f.Quantization.Method; q != "" && q != "bitsandbytes" {
		errs = append(errs, fmt.Errorf("quantization_config: weights of %q are not read, bitsandbytes' nf4 is: take the model as it was before, and --quantize holds it in less", q))
	}
	if f.SlidingWindow != nil {
		errs = append(errs, fmt.Errorf("sliding_window %d is not supported", *f.SlidingWindow))
	}
	return errors.Join(errs...)
}

func (c *Config) ids(f file) error {
	bos, err := idList("bos_token_id", f.BOS)
	if err != nil {
		return err
	}
	c.BOS = -1
	if len(bos) > 0 {
		c.BOS = bos[0]
	}
	c.EOS, err = idList("eos_token_id", f.EOS)
	return err
}

// idList reads a token id that may be absent, null, a number or a list.
func idList(key string, v jsontext.Value) ([]int32, error) {
	switch v.Kind() {
	case 'n', 0:
		return nil, nil
	case '0':
		var id int32
		if err := json.Unmarshal(v, &id); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		return []int32{id}, nil
	}
	var ids []int32
	if err := json.Unmarshal(v, &ids); err != nil {
		return nil, fmt.Errorf("%s: want a number or a list of numbers: %w", key, err)
	}
	return ids, nil
}

// addStopIDs adds the stop ids of generation_config.json, where there is one.
func (c *Config) addStopIDs(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	var g struct {
		EOS jsontext.Value `json:"eos_token_id"`
	}
	if err := jsonfile.Unmarshal(data, &g); err != nil {
		return fmt.Errorf("model: %s: %w", path, err)
	}
	ids, err := idList("eos_token_id", g.EOS)
	if err != nil {
		return fmt.Errorf("model: %s: %w", path, err)
	}
	for _, id := range ids {
		if !slices.Contains(c.EOS, id) {
			c.EOS = append(c.EOS, id)
		}
	}
	return nil
}

// maxDim bounds every dimension of a config: larger ones are hostile or broken.
const maxDim = 1 << 24

func (c Config) validate() error {
	var errs []error
	for _, d := range []struct {
		key string
		n   int
	}{
		{"hidden_size", c.HiddenSize}, {"intermediate_size", c.IntermediateSize},
		{"num_attention_heads", c.NumHeads}, {"num_key_value_heads", c.NumKVHeads}, {"head_dim", c.HeadDim}, {"vocab_size", c.VocabSize},
	} {
		if d.n < 1 || d.n > maxDim {
			errs = append(errs, fmt.Errorf("%s must lie in [1, %d], got %d", d.key, maxDim, d.n))
		}
	}
	if c.NumLayers < 1 || c.NumLayers > maxLayers {
		errs = append(errs, fmt.Errorf("num_hidden_layers must lie in [1, %d], got %d", maxLayers, c.NumLayers))
	}
	if c.NumKVHeads > 0 && c.NumHeads%c.NumKVHeads != 0 {
		errs = append(errs, fmt.Errorf("num_attention_heads (%d) must be divisible by num_key_value_heads (%d)", c.NumHeads, c.NumKVHeads))
	}
	if c.HeadDim%2 != 0 {
		errs = append(errs, fmt.Errorf("head_dim must be even, got %d", c.HeadDim))
	}
	if !(c.RMSNormEps > 0) || !(c.RopeTheta > 0) {
		errs = append(errs, fmt.Errorf("rms_norm_eps (%v) and rope_theta (%v) must be positive", c.RMSNormEps, c.RopeTheta))
	}
	return errors.Join(errs...)
}

// Parameters is the number of weights of the base model.
func (c Config) Parameters() int64 {
	var n int64
	for _, w := range c.weights() {
		n += int64(w.rows) * int64(max(w.cols, 1))
	}
	return n
}
