package model

import (
	"fmt"
	"slices"
	"strings"

	"align/internal/gguf"
)

// ggufSource is a GGUF file of a Llama model, or several that were split.
type ggufSource struct {
	*gguf.File
	config Config
}

func openGGUF(path string) (source, Config, error) {
	f, err := gguf.OpenSplit(path)
	if err != nil {
		return nil, Config{}, err
	}
	config, err := configOf(f)
	if err == nil {
		err = knownTensors(f, config)
	}
	if err != nil {
		f.Close()
		return nil, Config{}, fmt.Errorf("model: %s: %w", path, err)
	}
	return ggufSource{f, config}, config, nil
}

func readGGUFConfig(path string) (Config, error) {
	s, config, err := openGGUF(path)
	if err != nil {
		return Config{}, err
	}
	return config, s.Close()
}

// Names of the weights outside the layers, in GGUF.
const (
	ggufEmbed = "token_embd.weight"
	ggufNorm  = "output_norm.weight"
	ggufHead  = "output.weight"
	ggufFreqs = "rope_freqs.weight"
)

// ggufWeight is the GGUF name of a weight.
func (w weightInfo) ggufWeight() string {
	switch w.name {
	case embedName:
		return ggufEmbed
	case normName:
		return ggufNorm
	case headName:
		return ggufHead
	}
	if layer, module := w.module(); module != "" {
		return strings.TrimSuffix(ggufName(layer, module), "weight") + w.name[strings.LastIndexByte(w.name, '.')+1:]
	}
	var layer int
	var norm string
	if n, _ := fmt.Sscanf(w.name, "model.layers.%d.%s", &layer, &norm); n != 2 {
		return w.name
	}
	switch norm {
	case "input_layernorm.weight":
		norm = "attn_norm.weight"
	case "post_attention_layernorm.weight":
		norm = "ffn_norm.weight"
	}
	return fmt.Sprintf("blk.%d.%s", layer, norm)
}

// knownTensors refuses tensors that would change the model's numbers and that
// the decoder would leave out: biases, experts, norms of heads.
func knownTensors(f *gguf.File, c Config) error {
	known := map[string]bool{ggufFreqs: true}
	for _, w := range c.weights() {
		known[w.ggufWeight()] = true
	}
	var others []string
	for _, t := range f.Tensors() {
		if !known[t.Name] && !strings.Contains(t.Name, "rot_embd") { // a table of angles in old files
			others = append(others, t.Name)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		return fmt.Errorf("%d tensors are not those of a Llama model of %d layers, %q is the first", len(others), c.NumLayers, others[0])
	}
	return nil
}

func (s ggufSource) check(w weightInfo) (int64, error) {
	t, err := s.tensor(w)
	return t.bytes(), err
}

func (s ggufSource) tensor(w weightInfo) (stored, error) {
	name := w.ggufWeight()
	info, ok := s.Tensor(name)
	if !ok {
		return stored{}, fmt.Errorf("tensor %q is missing", name)
	}
	shape := slices.Clone(info.Shape)
	slices.Reverse(shape)
	if err := w.fits(shape); err != nil {
		return stored{}, fmt.Errorf("tensor %q: %w", name, err)
	}
	typ, ok := ggufTypes[info.Type]
	if !ok {
		return stored{}, fmt.Errorf("tensor %q is %v: only F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K can be loaded", name, info.Type)
	}
	section, err := s.Reader(name)
	if err != nil {
		return stored{}, err
	}
	t := w.inRows(typ, section)
	if _, module := w.module(); permuted(module) {
		width := t.rowBytes()
		t.read = func(dst []byte, row, n int) error {
			for i := range n {
				at := int64(s.config.rowInGGUF(module, row+i)) * int64(width)
				if _, err := section.ReadAt(dst[i*width:][:width], at); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return t, nil
}

// permuted says whether GGUF stores the module's rows in another order.
func permuted(module string) bool { return module == "q_proj" || module == "k_proj" }

// rowInGGUF is the inverse of ggufRow: where a row of Hugging Face's weight
// stands in GGUF.
func (c Config) rowInGGUF(module string, row int) int {
	if !permuted(module) {
		return row
	}
	head, i := row/c.HeadDim, row%c.HeadDim
	half := c.HeadDim / 2
	return head*c.HeadDim + i%half*2 + i/half
}
