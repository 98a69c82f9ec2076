package model

import "fmt"

// Modules are the linear layers of a decoder layer that an adapter can target,
// in the order in which the forward pass meets them.
var Modules = []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}

// modulePath is a module's place inside a layer in Hugging Face's names.
func modulePath(module string) string {
	switch module {
	case "gate_proj", "up_proj", "down_proj":
		return "mlp." + module
	}
	return "self_attn." + module
}

// moduleName is a module's full Hugging Face name, without ".weight".
func moduleName(layer int, module string) string {
	return fmt.Sprintf("model.layers.%d.%s", layer, modulePath(module))
}

// moduleSize is the module's rows (out) and columns (in).
func (c Config) moduleSize(module string) (out, in int) {
	switch module {
	case "q_proj":
		return c.NumHeads * c.HeadDim, c.HiddenSize
	case "k_proj", "v_proj":
		return c.NumKVHeads * c.HeadDim, c.HiddenSize
	case "o_proj":
		return c.HiddenSize, c.NumHeads * c.HeadDim
	case "down_proj":
		return c.HiddenSize, c.IntermediateSize
	}
	return c.IntermediateSize, c.HiddenSize
}

func (c Config) hasBias(module string) bool {
	switch module {
	case "gate_proj", "up_proj", "down_proj":
		return c.MLPBias
	}
	return c.AttentionBias
}

// Names of the weights outside the layers.
const (
	embedName = "model.embed_tokens.weight"
	normName  = "model.norm.weight"
	headName  = "lm_head.weight"
)

// weightInfo is a tensor that the model must have; cols 0 is a vector.
type weightInfo struct {
	name       string
	rows, cols int
}

// weights lists every tensor of the base model in the order of the forward pass.
func (c Config) weights() []weightInfo {
	list := []weightInfo{{embedName, c.VocabSize, c.HiddenSize}}
	for layer := range c.NumLayers {
		list = append(list, c.layerWeights(layer)...)
	}
	list = append(list, weightInfo{normName, c.HiddenSize, 0})
	if !c.TieWordEmbeddings && !c.classifier() {
		list = append(list, weightInfo{headName, c.VocabSize, c.HiddenSize})
	}
	return list
}

func (c Config) layerWeights(layer int) []weightInfo {
	prefix := fmt.Sprintf("model.layers.%d.", layer)
	list := []weightInfo{
		{prefix + "input_layernorm.weight", c.HiddenSize, 0},
		{prefix + "post_attention_layernorm.weight", c.HiddenSize, 0},
	}
	if c.QKNorm {
		list = append(list, weightInfo{prefix + "self_attn.q_norm.weight", c.HeadDim, 0}, weightInfo{prefix + "self_attn.k_norm.weight", c.HeadDim, 0})
	}
	for _, m := range Modules {
		out, in := c.moduleSize(m)
		list = append(list, weightInfo{moduleName(layer, m) + ".weight", out, in})
		if c.hasBias(m) {
			list = append(list, weightInfo{moduleName(layer, m) + ".bias", out, 0})
		}
	}
	return list
}
