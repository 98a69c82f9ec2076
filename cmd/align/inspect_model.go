package main

import (
	"fmt"
	"maps"
	"slices"

	"align/internal/safetensors"
	"align/model"
)

// inspectModel reads the config and the headers of the weights, not the weights.
func inspectModel(dir string) ([]fact, error) {
	c, err := model.ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	weights, err := safetensors.OpenModel(dir)
	if err != nil {
		return nil, err
	}
	defer weights.Close()
	facts := []fact{
		{"kind", "model"},
		{"architecture", c.Architecture},
		{"parameters", c.Parameters()},
		{"hidden_size", c.HiddenSize},
		{"intermediate_size", c.IntermediateSize},
		{"layers", c.NumLayers},
		{"heads", c.NumHeads},
		{"kv_heads", c.NumKVHeads},
		{"head_dim", c.HeadDim},
		{"vocab_size", c.VocabSize},
		{"context_length", c.ContextLength},
		{"tied_embeddings", c.TieWordEmbeddings},
		{"rope", ropeText(c)},
		{"bos", c.BOS},
		{"eos", c.EOS},
	}
	return append(facts, weightFacts(weights)...), nil
}

func ropeText(c model.Config) string {
	text := fmt.Sprintf("theta %v", c.RopeTheta)
	switch s := c.RopeScaling; s.Type {
	case "":
		return text
	case "llama3":
		return fmt.Sprintf("%s, llama3: factor %v, low %v, high %v, original context %d",
			text, s.Factor, s.LowFreqFactor, s.HighFreqFactor, s.OriginalContextLength)
	default:
		return fmt.Sprintf("%s, %s: factor %v", text, s.Type, s.Factor)
	}
}

// weightFacts counts what the files hold, which need not be what the config says.
func weightFacts(m *safetensors.Model) []fact {
	elements := map[string]int64{}
	var bytes int64
	for _, t := range m.Tensors() {
		elements[string(t.DType)] += count(t.Shape)
		bytes += t.Bytes
	}
	var types []string
	for _, name := range slices.Sorted(maps.Keys(elements)) {
		types = append(types, fmt.Sprintf("%s: %d numbers", name, elements[name]))
	}
	return []fact{{"tensors", len(m.Tensors())}, {"dtypes", types}, {"bytes", bytes}, {"files", m.Files()}}
}

func count(shape []int) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= int64(d)
	}
	return n
}
