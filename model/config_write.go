package model

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// configOut is config.json as Transformers 4 and 5 both read it.
type configOut struct {
	Architectures     []string `json:"architectures"`
	ModelType         string   `json:"model_type"`
	TorchDType        string   `json:"torch_dtype"`
	VocabSize         int      `json:"vocab_size"`
	HiddenSize        int      `json:"hidden_size"`
	IntermediateSize  int      `json:"intermediate_size"`
	NumLayers         int      `json:"num_hidden_layers"`
	NumHeads          int      `json:"num_attention_heads"`
	NumKVHeads        int      `json:"num_key_value_heads"`
	HeadDim           int      `json:"head_dim"`
	HiddenAct         string   `json:"hidden_act"`
	ContextLength     int      `json:"max_position_embeddings"`
	RMSNormEps        float64  `json:"rms_norm_eps"`
	RopeTheta         float64  `json:"rope_theta"`
	RopeScaling       *ropeOut `json:"rope_scaling"`
	TieWordEmbeddings bool     `json:"tie_word_embeddings"`
	AttentionBias     bool     `json:"attention_bias"`
	MLPBias           bool     `json:"mlp_bias"`
	QKNorm            bool     `json:"qk_norm,omitzero"`
	BOS               *int32   `json:"bos_token_id"`
	EOS               []int32  `json:"eos_token_id,omitempty"`
}

type ropeOut struct {
	RopeType       string  `json:"rope_type"`
	Factor         float64 `json:"factor"`
	LowFreqFactor  float64 `json:"low_freq_factor,omitzero"`
	HighFreqFactor float64 `json:"high_freq_factor,omitzero"`
	Original       int     `json:"original_max_position_embeddings,omitzero"`
}

// JSON is the config as a config.json, for weights of the named type
// ("float32", "bfloat16"). ParseConfig reads the same config back.
func (c Config) JSON(dtype string) ([]byte, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	o := configOut{
		Architectures: []string{"LlamaForCausalLM"}, ModelType: "llama", TorchDType: dtype,
		VocabSize: c.VocabSize, HiddenSize: c.HiddenSize, IntermediateSize: c.IntermediateSize,
		NumLayers: c.NumLayers, NumHeads: c.NumHeads, NumKVHeads: c.NumKVHeads, HeadDim: c.HeadDim,
		HiddenAct: "silu", ContextLength: c.ContextLength, RMSNormEps: c.RMSNormEps, RopeTheta: c.RopeTheta,
		TieWordEmbeddings: c.TieWordEmbeddings, AttentionBias: c.AttentionBias, MLPBias: c.MLPBias, QKNorm: c.QKNorm,
		EOS: c.EOS,
	}
	if c.Architecture != "" {
		o.Architectures[0] = c.Architecture
	}
	if c.BOS >= 0 {
		o.BOS = &c.BOS
	}
	if s := c.RopeScaling; s.Type != "" {
		o.RopeScaling = &ropeOut{s.Type, s.Factor, s.LowFreqFactor, s.HighFreqFactor, s.OriginalContextLength}
	}
	data, err := json.Marshal(o, jsontext.WithIndent("  "))
	return append(data, '\n'), err
}
