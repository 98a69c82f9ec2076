package model

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"align/internal/device"
)

// LoRAConfig describes a low-rank adapter (https://arxiv.org/abs/2106.09685).
type LoRAConfig struct {
	Rank    int
	Alpha   float64
	Dropout float64
	// Targets are module names out of Modules.
	Targets []string
	// Layers are the adapted layers, ascending; nil means all.
	Layers []int
	// RSLoRA scales by Alpha/sqrt(Rank) instead of Alpha/Rank.
	RSLoRA bool
	// DoRA trains the length of each row of a weight beside its direction
	// (https://arxiv.org/abs/2402.09353).
	DoRA bool
	// Only, if not nil, are the adapted modules by full name, ascending, where
	// they are not all Targets of all Layers.
	Only []string
	// Save are the SavedModules that are trained whole beside the factors.
	Save []string
	// RankPattern and AlphaPattern overrule Rank and Alpha by full module name
	// ("model.layers.0.self_attn.q_proj").
	RankPattern  map[string]int
	AlphaPattern map[string]float64
}

func (c LoRAConfig) validate() error {
	var errs []error
	if c.Rank < 1 {
		errs = append(errs, fmt.Errorf("model: rank must be at least 1, got %d", c.Rank))
	}
	if !(c.Alpha > 0) {
		errs = append(errs, fmt.Errorf("model: alpha must be positive, got %v", c.Alpha))
	}
	if err := (device.Dropout{P: c.Dropout}).Check(); err != nil {
		errs = append(errs, fmt.Errorf("model: %w", err))
	}
	if len(c.Targets) == 0 {
		errs = append(errs, errors.New("model: adapter has no targets"))
	}
	for _, name := range c.Save {
		if !slices.Contains(SavedModules, name) {
			errs = append(errs, fmt.Errorf("model: modules_to_save %q: want some of %s", name, strings.Join(SavedModules, ", ")))
		}
	}
	return errors.Join(errs...)
}

// Factor is the adapter of one linear layer: A[R,in], B[out,R] and, of DoRA, the
// magnitudes M[out], each at an offset, in elements, of the adapter's flat
// buffer.
type Factor struct {
	Layer                     int
	Module                    string
	Rank                      int
	Scale                     float64
	Out, In                   int
	DoRA                      bool
	OffsetA, OffsetB, OffsetM int
}

// Name is the full name of the adapted module.
func (f Factor) Name() string { return moduleName(f.Layer, f.Module) }

// Adapter is a set of LoRA factors in one flat buffer of the activation type,
// with the gradient in another of the same layout. Views are zero until Alloc.
type Adapter struct {
	Config  LoRAConfig
	Factors []Factor
	// Len is the length of the flat buffer in elements, gaps included.
	Len         int
	Value, Grad device.View
	// Saved are the weights that are trained whole; they stand behind the factors.
	Saved []FullWeight
	// Head is the trained head that stands behind all of these, if any.
	Head Head
	// squares[out] are, of each factor of DoRA, the squared lengths of the base
	// weight's rows in float64.
	squares []device.View
}

// gapElements aligns every factor, so that kernels may use wide loads.
const gapElements = 64

// NewAdapter lays out the factors for a base model.
func NewAdapter(base Config, c LoRAConfig) (*Adapter, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	a := &Adapter{Config: c}
	for layer := range base.NumLayers {
		if c.Layers != nil && !slices.Contains(c.Layers, layer) {
			continue
		}
		for _, module := range Modules {
			if slices.Contains(c.Targets, module) && c.adapts(moduleName(layer, module)) {
				a.add(base, layer, module)
			}
		}
	}
	a.addSaved(base)
	if len(a.Factors) == 0 {
		return nil, fmt.Errorf("model: adapter has no layers: targets %v, layers %v", c.Targets, c.Layers)
	}
	return a, nil
}

func (c LoRAConfig) adapts(name string) bool { return c.Only == nil || slices.Contains(c.Only, name) }

// setOnly keeps to the modules that are present, where they are not all targets
// of all layers of the config.
func (c *LoRAConfig) setOnly(present map[string]bool) {
	if len(present) < len(c.Targets)*len(c.Layers) {
		c.Only = slices.Sorted(maps.Keys(present))
	}
}

func (a *Adapter) add(base Config, layer int, module string) {
	f := Factor{Layer: layer, Module: module, Rank: a.Config.Rank, DoRA: a.Config.DoRA}
	f.Out, f.In = base.moduleSize(module)
	alpha := a.Config.Alpha
	if r, ok := a.Config.RankPattern[f.Name()]; ok {
		f.Rank = r
	}
	if v, ok := a.Config.AlphaPattern[f.Name()]; ok {
		alpha = v
	}
	f.Scale = alpha / float64(f.Rank)
	if a.Config.RSLoRA {
		f.Scale = alpha / math.Sqrt(float64(f.Rank))
	}
	f.OffsetA = a.reserve(f.Rank * f.In)
	f.OffsetB = a.reserve(f.Out * f.Rank)
	if f.DoRA {
		f.OffsetM = a.reserve(f.Out)
	}
	a.Factors = append(a.Factors, f)
}

func (a *Adapter) reserve(n int) int {
	offset := a.Len
	a.Len += (n + gapElements - 1) / gapElements * gapElements
	return offset
}

// Parameters is the number of trained values.
func (a *Adapter) Parameters() int {
	n := 0
	for _, f := range a.Factors {
		for _, t := range f.tensors() {
			n += t.rows * max(t.cols, 1)
		}
	}
	for _, w := range a.Saved {
		n += w.len()
	}
	return n
}

// At is the factor of a module, if it has one.
func (a *Adapter) At(layer int, module string) (Factor, bool) {
	if a == nil {
		return Factor{}, false
	}
	for _, f := range a.Factors {
		if f.Layer == layer && f.Module == module {
			return f, true
		}
	}
	return Factor{}, false
}

// End is the offset behind the factor's last value.
func (f Factor) End() int {
	list := f.tensors()
	last := list[len(list)-1]
	return last.offset + last.rows*max(last.cols, 1)
}

// factorTensor is one of a factor's tensors: PEFT's ending of its name, its
// shape (cols 0 is a vector) and its offset in a flat buffer.
type factorTensor struct {
	suffix             string
	rows, cols, offset int
}

// tensors are A, B and, of DoRA, the magnitudes.
func (f Factor) tensors() []factorTensor {
	list := []factorTensor{
		{".lora_A.weight", f.Rank, f.In, f.OffsetA},
		{".lora_B.weight", f.Out, f.Rank, f.OffsetB},
	}
	if f.DoRA {
		list = append(list, factorTensor{".lora_magnitude_vector", f.Out, 0, f.OffsetM})
	}
	return list
}

// views of a factor's tensors in a flat buffer.
func (f Factor) views(flat device.View) []device.View {
	size := uintptr(flat.Type.Size())
	var views []device.View
	for _, t := range f.tensors() {
		addr := flat.Addr + uintptr(t.offset)*size
		views = append(views, device.View{Addr: addr, Rows: t.rows, Cols: max(t.cols, 1), Type: flat.Type})
	}
	return views
}

// Initial are the values of a fresh adapter, as PEFT makes them: A uniform in
// +-1/sqrt(in) (kaiming_uniform with a = sqrt 5), B zero, so that the policy
// starts as the base model. Each factor has its own stream, so that a factor's
// start does not depend on which others exist. What starts from the base's
// weights is left 0: Model.InitialAdapter fills it.
func (a *Adapter) Initial(seed uint64) []float32 {
	flat := make([]float32, a.Len)
	for _, f := range a.Factors {
		h := fnv.New64a()
		h.Write([]byte(f.Name()))
		r := rand.New(rand.NewPCG(seed, h.Sum64()))
		bound := 1 / math.Sqrt(float64(f.In))
		for i := range f.Rank * f.In {
			flat[f.OffsetA+i] = float32((2*r.Float64() - 1) * bound)
		}
	}
	return flat
}
