package model

import (
	"fmt"
	"slices"
	"strings"
)

// ShapeNames lists the shapes that Shape knows, from the smallest.
var ShapeNames = []string{"tiny", "small", "1b", "8b"}

// Shape is the config of a model that measurements are made on: "tiny" (256
// wide, 4 layers), "small" (768 wide, 12 layers, 110M), "1b" (Llama 3.2 1B) and
// "8b" (Llama 3.1 8B). Rotations are not scaled: they cost the same.
func Shape(name string) (Config, error) {
	c := Config{RMSNormEps: 1e-5, RopeTheta: 500000, ContextLength: 131072, BOS: -1} // Llama 3, config.json
	switch name {
	case "tiny":
		c.HiddenSize, c.NumLayers, c.NumHeads, c.NumKVHeads, c.IntermediateSize, c.VocabSize = 256, 4, 8, 4, 688, 4096
	case "small":
		c.HiddenSize, c.NumLayers, c.NumHeads, c.NumKVHeads, c.IntermediateSize, c.VocabSize = 768, 12, 12, 4, 2048, 32000
	case "1b":
		c.HiddenSize, c.NumLayers, c.NumHeads, c.NumKVHeads, c.IntermediateSize, c.VocabSize = 2048, 16, 32, 8, 8192, 128256
		c.TieWordEmbeddings = true
	case "8b":
		c.HiddenSize, c.NumLayers, c.NumHeads, c.NumKVHeads, c.IntermediateSize, c.VocabSize = 4096, 32, 32, 8, 14336, 128256
	default:
		return Config{}, fmt.Errorf("model: shape %q: want one of %s", name, strings.Join(ShapeNames, ", "))
	}
	c.HeadDim = c.HiddenSize / c.NumHeads
	return c, nil
}

// IsShape says whether Shape knows the name.
func IsShape(name string) bool { return slices.Contains(ShapeNames, name) }
