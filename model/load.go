package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"align/internal/device"
	"align/internal/safetensors"
)

// Model is a base model on a device: its config and frozen weights.
type Model struct {
	Config Config
	// Hash is the SHA-256 of all weights by name, for caches and lineage.
	Hash string

	backend device.Backend
	act     device.Type
	weights map[string]device.View
	memory  []device.Memory
}

// Backend is the device that holds the model.
func (m *Model) Backend() device.Backend { return m.backend }

// Activations is the type of the activations that the weights were loaded for.
func (m *Model) Activations() device.Type { return m.act }

// ErrNoWeights is returned when a model folder holds no safetensors.
var ErrNoWeights = errors.New("no weights")

// Load streams a Hugging Face folder onto the device, tensor by tensor, in the
// types that it stores. progress, if not nil, is called with bytes read so far
// and in all.
func Load(dir string, b device.Backend, act device.Type, progress func(done, total int64)) (*Model, error) {
	config, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	files, err := safetensors.OpenModel(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	l := loader{files: files, progress: progress, sums: sha256.New(),
		model: &Model{Config: config, backend: b, act: act, weights: map[string]device.View{}}}
	if err := l.check(dir); err != nil {
		return nil, err
	}
	for _, w := range config.weights() {
		if err := l.load(w); err != nil {
			return nil, fmt.Errorf("model: %s: %q: %w", dir, w.name, err)
		}
	}
	l.model.Hash = hex.EncodeToString(l.sums.Sum(nil))
	return l.model, nil
}

type loader struct {
	files       *safetensors.Model
	model       *Model
	progress    func(done, total int64)
	done, total int64
	sums        hash.Hash
}

// check holds names and shapes to the config before anything is read.
func (l *loader) check(dir string) error {
	var errs []error
	for _, w := range l.model.Config.weights() {
		info, ok := l.files.Tensor(w.name)
		if !ok {
			errs = append(errs, fmt.Errorf("tensor %q is missing", w.name))
			continue
		}
		l.total += info.Bytes
		if err := w.fits(info); err != nil {
			errs = append(errs, err)
		}
		if len(errs) == 8 {
			errs = append(errs, errors.New("and more"))
			break
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("model: %s: config.json and weights do not fit: %w", dir, err)
	}
	return nil
}

func (w weightInfo) fits(info safetensors.Info) error {
	want := []int{w.rows}
	if w.cols > 0 {
		want = append(want, w.cols)
	}
	if fmt.Sprint(info.Shape) != fmt.Sprint(want) {
		return fmt.Errorf("tensor %q is %v, config.json wants %v", w.name, info.Shape, want)
	}
	if _, ok := elementTypes[info.DType]; !ok {
		return fmt.Errorf("tensor %q is %v: only F64, F32, F16 and BF16 weights can be loaded", w.name, info.DType)
	}
	return nil
}

var elementTypes = map[safetensors.DType]device.Type{
	safetensors.F64: device.F64, safetensors.F32: device.F32, safetensors.F16: device.F16, safetensors.BF16: device.BF16,
}

func (l *loader) load(w weightInfo) error {
	info, _ := l.files.Tensor(w.name)
	section, err := l.files.Reader(w.name)
	if err != nil {
		return err
	}
	sum := sha256.New()
	r := io.TeeReader(section, sum)
	if w.cols == 0 {
		err = l.vector(w, info, r)
	} else {
		err = l.matrix(w, info, r)
	}
	fmt.Fprintf(l.sums, "%s %x\n", w.name, sum.Sum(nil))
	l.done += info.Bytes
	if l.progress != nil {
		l.progress(l.done, l.total)
	}
	return err
}

// matrix hands the rows to the backend in order, once.
func (l *loader) matrix(w weightInfo, info safetensors.Info, r io.Reader) error {
	next := 0
	t := elementTypes[info.DType]
	view, err := l.model.backend.Place(device.Weight{
		Name: w.name, Type: t, Rows: w.rows, Cols: w.cols,
		Read: func(dst []byte, row, n int) error {
			if row != next {
				return fmt.Errorf("row %d read out of order, want %d", row, next)
			}
			next += n
			_, err := io.ReadFull(r, dst[:n*w.cols*t.Size()])
			return err
		},
	})
	l.model.weights[w.name] = view
	return err
}

// vector uploads a norm's weight or a bias in the activation type.
func (l *loader) vector(w weightInfo, info safetensors.Info, r io.Reader) error {
	data := make([]byte, info.Bytes)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	values := make([]float32, w.rows)
	if err := safetensors.ToFloat32(values, data, info.DType); err != nil {
		return err
	}
	view, err := l.model.alloc(w.rows)
	if err != nil {
		return err
	}
	l.model.weights[w.name] = view
	return WriteFloats(l.model.backend, view, values)
}

// alloc reserves a vector of the activation type that lives with the model.
func (m *Model) alloc(n int) (device.View, error) {
	mem, err := m.backend.Alloc(int64(n) * int64(m.act.Size()))
	if err != nil {
		return device.View{}, err
	}
	m.memory = append(m.memory, mem)
	return mem.At(0, m.act, n, 1), nil
}

// AllocAdapter gives the adapter its buffers on the model's device and fills
// the values.
func (m *Model) AllocAdapter(a *Adapter, values []float32) (err error) {
	if a.Value, err = m.alloc(a.Len); err != nil {
		return err
	}
	if a.Grad, err = m.alloc(a.Len); err != nil {
		return err
	}
	return WriteFloats(m.backend, a.Value, values)
}
