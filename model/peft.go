package model

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"align/internal/safetensors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Files of an adapter folder in PEFT's layout.
const (
	AdapterConfigFile  = "adapter_config.json"
	AdapterWeightsFile = "adapter_model.safetensors"
	peftPrefix         = "base_model.model."
)

// PEFTConfig is the adapter_config.json of an adapter; base is what PEFT shall
// load as the base model.
func (a *Adapter) PEFTConfig(base string) ([]byte, error) {
	return a.peftJSON(base, "CAUSAL_LM", a.Config.Save)
}

// peftJSON is PEFTConfig for a task, with the modules that are in the weights whole.
func (a *Adapter) peftJSON(base, task string, saved []string) ([]byte, error) {
	c := a.Config
	alpha, err := json.Marshal(c.Alpha)
	if err != nil {
		return nil, err
	}
	if c.Alpha == math.Trunc(c.Alpha) {
		alpha = fmt.Appendf(nil, "%d", int64(c.Alpha)) // Ollama reads an unsigned integer
	}
	layers, names := jsontext.Value("null"), c.Targets
	if c.Only != nil {
		names = c.Only
	} else if c.Layers != nil {
		if layers, err = json.Marshal(c.Layers); err != nil {
			return nil, err
		}
	}
	targets, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	pattern, err := json.Marshal(orEmpty(c.AlphaPattern), json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(peftConfig{
		AlphaPattern: pattern, BaseModel: base, Bias: "none", InferenceMode: true, InitLoRAWeights: jsontext.Value("true"),
		LayersToTransform: layers, LoRAAlpha: alpha, LoRADropout: c.Dropout, PeftType: "LORA", Rank: c.Rank,
		RankPattern: orEmpty(c.RankPattern), TargetModules: targets, TaskType: task, UseRSLoRA: c.RSLoRA,
		UseDoRA: c.DoRA, ModulesToSave: saved,
	}, jsontext.WithIndent("  "), json.Deterministic(true), json.FormatNilSliceAsNull(true))
	return append(data, '\n'), err
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// WriteWeights writes the flat buffer's values as adapter_model.safetensors.
func (a *Adapter) WriteWeights(w io.Writer, values Values) error {
	return safetensors.Write(w, a.peftTensors(values), map[string]string{"format": "pt"})
}

func (a *Adapter) peftTensors(values Values) []safetensors.Tensor {
	var tensors []safetensors.Tensor
	for _, t := range a.Tensors() {
		tensors = append(tensors, values.tensor(t.Name, safetensors.F32, t.shape(), t.Offset, t.len()))
	}
	return tensors
}

// Tensors lists the adapter's tensors in the flat buffer under PEFT's names:
// those of the factors, then the modules that are trained whole.
func (a *Adapter) Tensors() []FullWeight {
	var list []FullWeight
	for _, f := range a.Factors {
		for _, t := range f.tensors() {
			list = append(list, FullWeight{Name: peftPrefix + f.Name() + t.suffix, Rows: t.rows, Cols: t.cols, Offset: t.offset})
		}
	}
	for _, w := range a.Saved {
		w.Name = peftPrefix + w.Name
		list = append(list, w)
	}
	return list
}

// ErrAdapterMisfit is returned when an adapter's names or shapes are not the
// base model's.
var ErrAdapterMisfit = errors.New("adapter does not fit the base model")

// ReadAdapter reads a PEFT folder or an adapter GGUF for a base model: the
// layout and the flat values. Whether it fits is decided by names and shapes alone.
func ReadAdapter(dir string, base Config) (*Adapter, []float32, error) {
	if IsGGUF(dir) {
		return ReadAdapterGGUF(dir, base)
	}
	config, err := readPEFTConfig(filepath.Join(dir, AdapterConfigFile))
	if err != nil {
		return nil, nil, err
	}
	if config.scores() {
		return nil, nil, fmt.Errorf("model: %s is a reward model (task_type %s): it scores answers and gives none", dir, sequenceClassifier)
	}
	return config.read(dir, base)
}

// read reads the folder's factors and modules; a score head is none of them.
func (c peftConfig) read(dir string, base Config) (*Adapter, []float32, error) {
	f, err := openWeights(dir)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	a, err := c.layout(f.Tensors(), base)
	if err != nil {
		return nil, nil, fmt.Errorf("model: %s: %w", dir, err)
	}
	flat := make([]float32, a.Len)
	for _, t := range a.Tensors() {
		err = errors.Join(err, readFloats(f, t.Name, flat[t.Offset:][:t.len()]))
	}
	if err == nil {
		err = prefixed(dir, a.finite(flat))
	}
	return a, flat, err
}

// finite refuses values that are no numbers: whatever saved them had diverged, and
// every answer would be nonsense.
func (a *Adapter) finite(flat []float32) error {
	for _, t := range a.Tensors() {
		for _, x := range flat[t.Offset:][:t.len()] {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return fmt.Errorf("tensor %q holds %v: the training that wrote it had diverged", t.Name, x)
			}
		}
	}
	return nil
}

func prefixed(dir string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("model: %s: %w", dir, err)
}

// openWeights opens an adapter's weights; pickled ones get a hint.
func openWeights(dir string) (*safetensors.File, error) {
	f, err := safetensors.Open(filepath.Join(dir, AdapterWeightsFile))
	if _, pickled := os.Stat(filepath.Join(dir, "adapter_model.bin")); errors.Is(err, fs.ErrNotExist) && pickled == nil {
		return nil, fmt.Errorf("model: %s holds adapter_model.bin, a pickle that can run code and is not read: save it as safetensors", dir)
	}
	return f, err
}

// AdapterBase is the base model that an adapter folder names; "" for none.
func AdapterBase(dir string) (string, error) {
	if IsGGUF(dir) {
		return "", nil
	}
	c, err := readPEFTConfig(filepath.Join(dir, AdapterConfigFile))
	return c.BaseModel, err
}

// factorName splits a tensor's name into the module's place and its kind.
var factorName = regexp.MustCompile(`^base_model\.model\.model\.layers\.(\d+)\.(?:self_attn|mlp)\.([a-z_]+)\.lora_([AB]\.weight|magnitude_vector)$`)

// layout derives the factors from the tensors that are there: their names say
// which modules are adapted, their shapes the ranks.
func (c peftConfig) layout(tensors []safetensors.Info, base Config) (*Adapter, error) {
	alpha, err := c.alpha()
	if err != nil {
		return nil, err
	}
	patterns, err := readPatterns(c.AlphaPattern)
	if err != nil {
		return nil, err
	}
	config := LoRAConfig{
		Rank: c.Rank, Alpha: alpha, Dropout: c.LoRADropout, RSLoRA: c.UseRSLoRA, DoRA: c.UseDoRA,
		RankPattern: map[string]int{}, AlphaPattern: map[string]float64{},
	}
	shapes := map[string][]int{}
	present := map[string]bool{}
	for _, t := range tensors {
		if c.scores() && t.Name == peftPrefix+ScoreHead {
			continue
		}
		if name, ok := savedModule(t.Name); ok {
			shapes[t.Name] = t.Shape
			config.Save = append(config.Save, name)
			continue
		}
		m := factorName.FindStringSubmatch(t.Name)
		if m == nil {
			return nil, fmt.Errorf("%w: tensor %q names no linear layer of a decoder", ErrAdapterMisfit, t.Name)
		}
		layer := 0
		fmt.Sscan(m[1], &layer)
		if layer >= base.NumLayers || !slices.Contains(Modules, m[2]) {
			return nil, fmt.Errorf("%w: tensor %q: the base has layers 0-%d and modules %s", ErrAdapterMisfit, t.Name, base.NumLayers-1, strings.Join(Modules, ", "))
		}
		shapes[t.Name] = t.Shape
		present[moduleName(layer, m[2])] = true
		config.include(layer, m[2])
	}
	for name := range present {
		if v, ok := matchPattern(patterns, name); ok {
			config.AlphaPattern[name] = v
		}
	}
	return c.checked(config, base, shapes, present)
}

func (c *LoRAConfig) include(layer int, module string) {
	if !slices.Contains(c.Targets, module) {
		c.Targets = append(c.Targets, module)
	}
	if !slices.Contains(c.Layers, layer) {
		c.Layers = append(c.Layers, layer)
	}
}

func (c peftConfig) checked(config LoRAConfig, base Config, shapes map[string][]int, present map[string]bool) (*Adapter, error) {
	slices.SortFunc(config.Targets, func(a, b string) int { return slices.Index(Modules, a) - slices.Index(Modules, b) })
	slices.SortFunc(config.Save, func(a, b string) int { return slices.Index(SavedModules, a) - slices.Index(SavedModules, b) })
	slices.Sort(config.Layers)
	config.setOnly(present)
	if len(config.Layers) == base.NumLayers {
		config.Layers = nil
	}
	for name := range present {
		if shape := shapes[peftPrefix+name+".lora_A.weight"]; len(shape) == 2 && shape[0] != config.Rank {
			config.RankPattern[name] = shape[0]
			if len(c.RankPattern) == 0 {
				return nil, fmt.Errorf("%w: %s has rank %d, and adapter_config.json says r %d and no rank_pattern", ErrAdapterMisfit, name, shape[0], c.Rank)
			}
		}
	}
	a, err := NewAdapter(base, config)
	if err != nil {
		return nil, err
	}
	for _, name := range c.saved() {
		if !slices.Contains(config.Save, name) {
			return nil, fmt.Errorf("%w: modules_to_save names %s, and its tensor is missing", ErrAdapterMisfit, name)
		}
	}
	return a, a.fits(shapes)
}

// fits holds the tensors of a file to the layout.
func (a *Adapter) fits(shapes map[string][]int) error {
	for _, want := range a.Tensors() {
		got, ok := shapes[want.Name]
		if !ok {
			return fmt.Errorf("%w: tensor %q is missing", ErrAdapterMisfit, want.Name)
		}
		if !slices.Equal(got, want.shape()) {
			return fmt.Errorf("%w: tensor %q is %v, the base wants %v", ErrAdapterMisfit, want.Name, got, want.shape())
		}
	}
	return nil
}

func readFloats(f *safetensors.File, name string, dst []float32) error {
	info, ok := f.Tensor(name)
	if !ok {
		return fmt.Errorf("model: tensor %q is missing", name)
	}
	data := make([]byte, info.Bytes)
	if err := f.ReadInto(name, data); err != nil {
		return err
	}
	return safetensors.ToFloat32(dst, data, info.DType)
}
