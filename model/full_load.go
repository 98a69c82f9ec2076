package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"align/internal/device"
)

// LoadFull is Load for full-parameter training: the weights land in one flat
// buffer of the activation type, those of a quantised file widened, and the
// model computes from it. The model's hash is that of the weights as loaded;
// training does not change it.
func LoadFull(path string, b device.Backend, act device.Type, progress func(done, total int64)) (*Model, *Full, error) {
	files, config, err := openSource(path)
	if err != nil {
		return nil, nil, err
	}
	if err := files.Close(); err != nil {
		return nil, nil, err
	}
	f := NewFull(config)
	memory, err := f.alloc(b, act)
	if err != nil {
		return nil, nil, err
	}
	m, err := Load(path, &flattener{Backend: b, full: f}, act, progress)
	if err != nil {
		b.Free(memory)
		return nil, nil, err
	}
	m.backend, m.memory = b, append(m.memory, memory)
	return m, f, f.takeVectors(m)
}

// NewRandom is an untrained model: the Initial values of its weights, for
// training from nothing.
func NewRandom(c Config, b device.Backend, act device.Type, seed uint64, deviation float64) (*Model, *Full, error) {
	if err := c.validate(); err != nil {
		return nil, nil, fmt.Errorf("model: %w", err)
	}
	f := NewFull(c)
	memory, err := f.alloc(b, act)
	if err != nil {
		return nil, nil, err
	}
	m := &Model{Config: c, backend: b, act: act, weights: map[string]device.View{}, memory: []device.Memory{memory}}
	for _, w := range f.Weights {
		m.weights[w.Name] = w.view(f.Value)
	}
	values := f.Initial(seed, deviation)
	m.Hash = hashValues(values)
	return m, f, WriteFloats(b, f.Value, values)
}

func hashValues(values []float32) string {
	sum := sha256.New()
	var raw [4]byte
	for _, v := range values {
		binary.LittleEndian.PutUint32(raw[:], math.Float32bits(v))
		sum.Write(raw[:])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// alloc reserves both buffers.
func (f *Full) alloc(b device.Backend, act device.Type) (device.Memory, error) {
	act = act.Wide()
	size := padded(int64(f.Len) * int64(act.Size()))
	memory, err := b.Alloc(2 * size)
	if err != nil {
		return memory, err
	}
	f.Value, f.Grad = memory.At(0, act, f.Len, 1), memory.At(size, act, f.Len, 1)
	return memory, nil
}

// takeVectors moves the norms and biases, which the loader keeps apart from
// placed weights, into the flat buffer.
func (f *Full) takeVectors(m *Model) error {
	for _, w := range f.Weights {
		view := w.view(f.Value)
		if w.Cols == 0 {
			values, err := ReadFloat32s(m.backend, m.weights[w.Name])
			if err != nil {
				return err
			}
			if err := WriteFloats(m.backend, view, values); err != nil {
				return err
			}
		}
		m.weights[w.Name] = view
	}
	return nil
}

// flattener is a backend that places weights into a flat buffer instead of the
// layout of its own kernels, which nothing can be added to.
type flattener struct {
	device.Backend
	full *Full
}

// flattenRows is how many rows are widened at a time.
const flattenRows = 64

// Place widens the weight, some rows at a time, into its place.
func (p *flattener) Place(w device.Weight) (device.View, error) {
	into, err := p.full.find(w)
	if err != nil {
		return into, err
	}
	s := stored{typ: w.Type, rows: w.Rows, cols: w.Cols, read: w.Read}
	raw, values := make([]byte, flattenRows*s.rowBytes()), make([]float32, flattenRows*w.Cols)
	for row := 0; row < w.Rows; row += flattenRows {
		n := min(flattenRows, w.Rows-row)
		if err := s.floats(values[:n*w.Cols], raw, row, n); err != nil {
			return into, err
		}
		if err := WriteFloats(p.Backend, into.Row(row, n), values[:n*w.Cols]); err != nil {
			return into, err
		}
	}
	return into, nil
}

func (f *Full) find(w device.Weight) (device.View, error) {
	for _, p := range f.Weights {
		if p.Name == w.Name && p.Rows == w.Rows && p.Cols == w.Cols {
			return p.view(f.Value), nil
		}
	}
	return device.View{}, fmt.Errorf("weight %q of %dx%d is not one of the model's", w.Name, w.Rows, w.Cols)
}
