package align

import (
	"errors"
	"fmt"
	"slices"

	"align/internal/config"
	"align/model"
	"align/sft"
)

// PretrainConfig is everything that a run from random weights is asked to do.
type PretrainConfig struct {
	sft.Config `yaml:",inline"`
	// Tokenizer is the folder of a tokenizer, as TrainTokenizer writes it, or the
	// name of a model that has one.
	Tokenizer string `yaml:"tokenizer"`
	Shape     `yaml:",inline"`
}

// Shape is that of the model to make, in the names of a config.json.
type Shape struct {
	HiddenSize       int `yaml:"hidden_size"`
	IntermediateSize int `yaml:"intermediate_size"`
	NumLayers        int `yaml:"num_hidden_layers"`
	NumHeads         int `yaml:"num_attention_heads"`
	// NumKVHeads 0 takes NumHeads, HeadDim 0 HiddenSize / NumHeads, VocabSize 0
	// the tokenizer's.
	NumKVHeads        int     `yaml:"num_key_value_heads,omitempty"`
	HeadDim           int     `yaml:"head_dim,omitempty"`
	VocabSize         int     `yaml:"vocab_size,omitempty"`
	ContextLength     int     `yaml:"max_position_embeddings"`
	RMSNormEps        float64 `yaml:"rms_norm_eps"`
	RopeTheta         float64 `yaml:"rope_theta"`
	TieWordEmbeddings bool    `yaml:"tie_word_embeddings"`
	// InitializerRange is the standard deviation of the matrices at the start.
	InitializerRange float64 `yaml:"initializer_range"`
}

// DefaultPretrainConfig is a model of about a million weights, and the learning
// rate, decay and warm-up that suit one of that size.
func DefaultPretrainConfig() PretrainConfig {
	c := PretrainConfig{Config: sft.DefaultConfig(), Shape: Shape{
		HiddenSize: 128, IntermediateSize: 384, NumLayers: 6, NumHeads: 4, NumKVHeads: 2, ContextLength: 512,
		RMSNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: true, InitializerRange: 0.02,
	}}
	c.Full, c.Dropout = true, 0
	c.Batch, c.LearningRate, c.WeightDecay, c.Warmup = 16, 1e-3, 0.1, 0.05
	c.AdamBeta2 = pretrainBeta2
	return c
}

// pretrainBeta2 of AdamW is what large models are trained from nothing with
// (https://arxiv.org/abs/2005.14165, appendix B).
const pretrainBeta2 = 0.95

// notPretrained are the settings of the others that a model from nothing has no
// use for: those of a base, of an adapter, and of what is too long, which is cut
// into pieces. A loss that passes over what is unlikely would learn nothing from
// nothing.
var notPretrained = []string{
	"model", "quantize", "full", "adapter", "rank", "alpha", "dropout", "targets", "layers", "rslora", "overlong", "neftune_noise_alpha", "loss",
}

// Fields are the settings of the config.
func (c *PretrainConfig) Fields() []config.Field {
	return slices.DeleteFunc(config.Fields(c), func(f config.Field) bool { return slices.Contains(notPretrained, f.Key) })
}

// Validate returns all faults of the config at once.
func (c PretrainConfig) Validate() error {
	errs := []error{c.Config.Validate(), c.Shape.validate()}
	if c.Tokenizer == "" {
		errs = append(errs, errors.New("tokenizer is missing: the folder that align tokenizer train writes"))
	}
	return errors.Join(errs...)
}

// validate looks at what does not follow from the tokenizer; model.NewRandom
// checks the rest.
func (s Shape) validate() error {
	var errs []error
	for _, d := range []struct {
		key      string
		n, least int
	}{
		{"hidden_size", s.HiddenSize, 1}, {"intermediate_size", s.IntermediateSize, 1}, {"num_hidden_layers", s.NumLayers, 1},
		{"num_attention_heads", s.NumHeads, 1}, {"num_key_value_heads", s.NumKVHeads, 0}, {"head_dim", s.HeadDim, 0},
		{"vocab_size", s.VocabSize, 0}, {"max_position_embeddings", s.ContextLength, 2},
	} {
		if d.n < d.least {
			errs = append(errs, fmt.Errorf("%s must be at least %d, got %d", d.key, d.least, d.n))
		}
	}
	if s.NumHeads > 0 && s.HeadDim == 0 && s.HiddenSize%s.NumHeads != 0 {
		errs = append(errs, fmt.Errorf("hidden_size (%d) must be divisible by num_attention_heads (%d), or head_dim be given", s.HiddenSize, s.NumHeads))
	}
	if !(s.InitializerRange > 0 && s.InitializerRange <= 1) {
		errs = append(errs, fmt.Errorf("initializer_range must lie above 0 and up to 1, got %v", s.InitializerRange))
	}
	return errors.Join(errs...)
}

// model is the config of a model of the shape, with a tokenizer's vocabulary and
// the tokens that begin and end a text.
func (s Shape) model(vocab int, bos int32, eos []int32) (model.Config, error) {
	c := model.Config{
		Architecture: "LlamaForCausalLM", HiddenSize: s.HiddenSize, IntermediateSize: s.IntermediateSize, NumLayers: s.NumLayers,
		NumHeads: s.NumHeads, NumKVHeads: s.NumKVHeads, HeadDim: s.HeadDim, VocabSize: max(s.VocabSize, vocab), ContextLength: s.ContextLength,
		RMSNormEps: s.RMSNormEps, RopeTheta: s.RopeTheta, TieWordEmbeddings: s.TieWordEmbeddings, BOS: bos, EOS: eos, DType: "float32",
	}
	if s.VocabSize > 0 && s.VocabSize < vocab {
		return c, fmt.Errorf("vocab_size: %d, but the tokenizer has %d tokens", s.VocabSize, vocab)
	}
	if c.NumKVHeads == 0 {
		c.NumKVHeads = c.NumHeads
	}
	if c.HeadDim == 0 {
		c.HeadDim = c.HiddenSize / c.NumHeads
	}
	_, err := c.JSON(c.DType) // which refuses what no decoder can be made of
	return c, err
}
