package model

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"

	"align/internal/device"
	"align/internal/safetensors"
)

// FullWeight is one weight of a model in the flat buffer of a Full, at an
// offset in elements. Cols 0 is a vector of Rows elements.
type FullWeight struct {
	Name               string // Hugging Face's
	Rows, Cols, Offset int
}

// shape is the weight's as a safetensors file has it.
func (w FullWeight) shape() []int {
	if w.Cols == 0 {
		return []int{w.Rows}
	}
	return []int{w.Rows, w.Cols}
}

// len is the number of elements.
func (w FullWeight) len() int { return w.Rows * max(w.Cols, 1) }

// view of the weight in a flat buffer.
func (w FullWeight) view(flat device.View) device.View {
	addr := flat.Addr + uintptr(w.Offset*flat.Type.Size())
	return device.View{Addr: addr, Rows: w.Rows, Cols: max(w.Cols, 1), Type: flat.Type}
}

// Full is every weight of a model in one flat buffer, of F32 or F64,
// with the gradient in another of the same layout: the masters of
// full-parameter training. The model computes with the buffer itself, so that
// an update needs no copy. A tied head is the embedding and stands once.
type Full struct {
	// Weights are in the order of the forward pass.
	Weights []FullWeight
	// Len is the length of the flat buffer in elements, gaps included.
	Len         int
	Value, Grad device.View
}

// NewFull lays out the weights of a model; views are zero.
func NewFull(c Config) *Full {
	f := &Full{}
	for _, w := range c.weights() {
		f.Weights = append(f.Weights, FullWeight{Name: w.name, Rows: w.rows, Cols: w.cols, Offset: f.Len})
		f.Len += (w.rows*max(w.cols, 1) + gapElements - 1) / gapElements * gapElements
	}
	return f
}

// Parameters is the number of trained values.
func (f *Full) Parameters() int {
	n := 0
	for _, w := range f.Weights {
		n += w.len()
	}
	return n
}

// Initial are the values of an untrained model, as Transformers makes them:
// matrices from N(0, deviation^2) (initializer_range, 0.02 where a config.json
// says nothing), norms 1, biases 0. Each weight has its own stream, so that its
// start does not depend on which others exist.
func (f *Full) Initial(seed uint64, deviation float64) []float32 {
	flat := make([]float32, f.Len)
	for _, w := range f.Weights {
		values := flat[w.Offset:][:w.len()]
		switch {
		case w.Cols > 0:
			h := fnv.New64a()
			h.Write([]byte(w.Name))
			r := rand.New(rand.NewPCG(seed, h.Sum64()))
			for i := range values {
				values[i] = float32(r.NormFloat64() * deviation)
			}
		case !isBias(w.Name):
			for i := range values {
				values[i] = 1
			}
		}
	}
	return flat
}

func isBias(name string) bool { return len(name) > 5 && name[len(name)-5:] == ".bias" }

// WriteWeights writes the flat buffer's values as a model.safetensors of the
// type: F32 for a checkpoint, BF16 for an export.
func (f *Full) WriteWeights(w io.Writer, values Values, t safetensors.DType) error {
	tensors := make([]safetensors.Tensor, len(f.Weights))
	for i, p := range f.Weights {
		tensors[i] = values.tensor(p.Name, t, p.shape(), p.Offset, p.len())
	}
	return safetensors.Write(w, tensors, nil)
}

// ReadWeights reads the values of a folder's weights into a flat buffer of the
// layout: what WriteWeights wrote, or any Hugging Face folder of the shapes. It ends
// with ctx.
func (f *Full) ReadWeights(ctx context.Context, dir string) ([]float32, error) {
	files, err := safetensors.OpenModel(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	flat := make([]float32, f.Len)
	for _, w := range f.Weights {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := w.read(files, flat[w.Offset:][:w.len()]); err != nil {
			return nil, fmt.Errorf("model: %s: %w", dir, err)
		}
	}
	return flat, nil
}

func (w FullWeight) read(files *safetensors.Model, into []float32) error {
	info, ok := files.Tensor(w.Name)
	if !ok {
		return fmt.Errorf("tensor %q is missing", w.Name)
	}
	if fmt.Sprint(info.Shape) != fmt.Sprint(w.shape()) {
		return fmt.Errorf("tensor %q is %v, the model wants %v", w.Name, info.Shape, w.shape())
	}
	data := make([]byte, info.Bytes)
	if err := files.ReadInto(w.Name, data); err != nil {
		return err
	}
	return safetensors.ToFloat32(into, data, info.DType)
}
