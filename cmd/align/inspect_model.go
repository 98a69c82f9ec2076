package main

import (
	"fmt"
	"maps"
	"slices"

	"align/internal/gguf"
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
	return append(configFacts(c), weightFacts(weights)...), nil
}

// inspectGGUF reads the keys and the list of tensors of a GGUF model.
func inspectGGUF(path string) ([]fact, error) {
	if facts, err := inspectAdapterGGUF(path); facts != nil || err != nil {
		return facts, err
	}
	c, err := model.ReadConfig(path)
	if err != nil {
		return nil, err
	}
	file, err := gguf.OpenSplit(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	h := holdings{elements: map[string]int64{}}
	for _, t := range file.Tensors() {
		h.add(t.Type.String(), t.Shape, t.Size)
	}
	return append(configFacts(c), h.facts([]string{path})...), nil
}

func configFacts(c model.Config) []fact {
	return []fact{
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
	h := holdings{elements: map[string]int64{}}
	for _, t := range m.Tensors() {
		h.add(string(t.DType), t.Shape, t.Bytes)
	}
	return h.facts(m.Files())
}

// holdings are the tensors of a model's files, counted.
type holdings struct {
	tensors  int
	bytes    int64
	elements map[string]int64 // by type
}

func (h *holdings) add(dtype string, shape []int, bytes int64) {
	h.tensors++
	h.bytes += bytes
	h.elements[dtype] += count(shape)
}

func (h *holdings) facts(files []string) []fact {
	var types []string
	for _, name := range slices.Sorted(maps.Keys(h.elements)) {
		types = append(types, fmt.Sprintf("%s: %d numbers", name, h.elements[name]))
	}
	return []fact{{"tensors", h.tensors}, {"dtypes", types}, {"bytes", h.bytes}, {"files", files}}
}

func count(shape []int) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= int64(d)
	}
	return n
}
