package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	"align/internal/device"
)

// Model is a base model on a device: its config and frozen weights.
type Model struct {
	Config Config
	// Hash is the SHA-256 of all weights by name, for caches and lineage.
	Hash string
	// Kept are the linear weights that LoadOptions.Quantize left as they were,
	// because their rows are not whole blocks of its type.
	Kept []string

	backend device.Backend
	act     device.Type
	weights map[string]device.View
	memory  []device.Memory
}

// Backend is the device that holds the model.
func (m *Model) Backend() device.Backend { return m.backend }

// Activations is the type of the activations that the weights were loaded for.
func (m *Model) Activations() device.Type { return m.act }

// Rounded is the type that the device's products round their sides to, 0 where
// it does not tell.
func (m *Model) Rounded() device.Type { return roundedOn(m.backend) }

// roundedOn is Rounded of a model on the device.
func roundedOn(b device.Backend) device.Type {
	if r, is := b.(device.Rounder); is {
		return r.Rounded()
	}
	return 0
}

// roundedColsOn is what the width of a value in that type is a multiple of.
func roundedColsOn(b device.Backend) int {
	if r, is := b.(device.Rounder); is {
		return r.RoundedCols()
	}
	return 0
}

// slopesOn says whether the device gives the slopes of log-probabilities.
func slopesOn(b device.Backend) bool {
	s, is := b.(device.Sloper)
	return is && s.Slopes()
}

// joinsOn says which steps the device joins.
func joinsOn(b device.Backend) func(kernel string) bool {
	return func(kernel string) bool { return device.Joins(b, kernel) }
}

// LoadOptions say how to load a base model.
type LoadOptions struct {
	// Quantize is the type that the decoder layers' linear weights are held
	// in: one of Quantizations, or "" for the types that are stored.
	Quantize string
	// DoubleQuant makes the scales of nf4 those that double quantisation
	// gives, so that results of QLoRA carry over. It saves no memory here.
	DoubleQuant bool
	// Progress, if not nil, is called with the bytes read so far and in all.
	Progress func(done, total int64)
	// Stopped, if not nil, says between parts of the weights whether to end with
	// [ErrStopped].
	Stopped func() bool
}

// ErrStopped is returned by LoadWith when it was asked to end.
var ErrStopped = errors.New("stopped while the model was loaded")

// Load is LoadWith for a model in the types that it stores.
func Load(path string, b device.Backend, act device.Type, progress func(done, total int64)) (*Model, error) {
	return LoadWith(path, b, act, LoadOptions{Progress: progress})
}

// LoadWith streams a Hugging Face folder or a GGUF file (the first one, if it is
// split) onto the device, tensor by tensor and in rows, so that at no time is
// there more than the weights as the device holds them and some rows. Blocks of
// quantised files stay as they are.
func LoadWith(path string, b device.Backend, act device.Type, o LoadOptions) (*Model, error) {
	l := loader{options: o, sums: sha256.New(), model: &Model{backend: b, act: act, weights: map[string]device.View{}}}
	if o.Quantize != "" {
		var err error
		if l.quantize, err = parseQuantize(o.Quantize); err != nil {
			return nil, err
		}
	}
	if o.DoubleQuant && o.Quantize != "nf4" {
		return nil, fmt.Errorf("model: double quantisation is for nf4, not for quantize %q", o.Quantize)
	}
	files, config, err := openSource(path)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	l.files, l.model.Config = files, config
	if l.total, err = checkWeights(files, config.weights()); err != nil {
		return nil, fmt.Errorf("model: %s: config and weights do not fit: %w", path, err)
	}
	if err := l.reserve(files.tensor); err != nil {
		return nil, fmt.Errorf("model: %s: %w", path, err)
	}
	for _, w := range config.weights() {
		if err := l.load(w); err != nil {
			l.model.Close()
			return nil, fmt.Errorf("model: %s: %q: %w", path, w.name, err)
		}
	}
	l.model.Hash = hex.EncodeToString(l.sums.Sum(nil))
	return l.model, nil
}

type loader struct {
	options     LoadOptions
	quantize    device.Type // 0: as stored
	files       source
	model       *Model
	reserved    bool // the matrices' memory is taken
	done, total int64
	sums        hash.Hash
}

// reserve tells a device that lays weights side by side which are to come.
func (l *loader) reserve(of func(weightInfo) (stored, error)) error {
	r, is := l.model.backend.(device.Reserver)
	if !is {
		return nil
	}
	var matrices []device.Weight
	for _, w := range l.model.Config.weights() {
		if w.cols == 0 {
			continue
		}
		t, err := of(w)
		if err != nil {
			return fmt.Errorf("%q: %w", w.name, err)
		}
		matrices = append(matrices, device.Weight{Name: w.name, Type: heldAs(w, t, l.quantize), Rows: w.rows, Cols: w.cols})
	}
	memory, err := r.Reserve(matrices)
	if err == nil {
		l.reserved = true
		l.hold(memory)
	}
	return err
}

// hold leaves memory to the model.
func (l *loader) hold(m device.Memory) { l.model.memory = append(l.model.memory, m) }

// heldAs is the type in which a weight comes to the device, quantised to a type
// that is not 0 where it can be.
func heldAs(w weightInfo, t stored, quantize device.Type) device.Type {
	if quantize != 0 && w.isLinear() && t.cols%quantize.BlockSize() == 0 {
		return quantize
	}
	return t.typ
}

func (l *loader) load(w weightInfo) error {
	if l.stopped() {
		return ErrStopped
	}
	t, err := l.files.tensor(w)
	if err != nil {
		return err
	}
	if t, err = l.convert(w, t); err != nil {
		return err
	}
	sum := sha256.New()
	if w.cols == 0 {
		err = l.vector(w, t, sum)
	} else {
		err = l.matrix(w, t, sum)
	}
	fmt.Fprintf(l.sums, "%s %x\n", w.name, sum.Sum(nil))
	if bytes, _ := l.files.check(w); l.options.Progress != nil {
		l.done += bytes
		l.options.Progress(l.done, l.total)
	}
	return err
}

func (l *loader) stopped() bool { return l.options.Stopped != nil && l.options.Stopped() }

// convert quantises a linear weight where that is asked for.
func (l *loader) convert(w weightInfo, t stored) (stored, error) {
	switch {
	case l.quantize == 0 || !w.isLinear():
		return t, nil
	case t.typ.IsBlock():
		return t, fmt.Errorf("is quantised to %s already: it cannot be quantised to %s", t.typ, l.options.Quantize)
	case t.cols%l.quantize.BlockSize() != 0:
		l.model.Kept = append(l.model.Kept, w.name)
		return t, nil
	case l.options.DoubleQuant:
		scales, err := doubleScales(t)
		return quantised(t, l.quantize, scales), err
	}
	return quantised(t, l.quantize, nil), nil
}

// matrix hands the rows to the backend in order, once.
func (l *loader) matrix(w weightInfo, t stored, sum hash.Hash) error {
	next := 0
	return l.place(w, t.typ, func(dst []byte, row, n int) error {
		if row != next {
			return fmt.Errorf("row %d read out of order, want %d", row, next)
		}
		if next += n; l.stopped() {
			return ErrStopped
		}
		dst = dst[:n*t.rowBytes()]
		err := t.read(dst, row, n)
		sum.Write(dst)
		return err
	})
}

// place puts a matrix on the device, where its memory is reserved or by itself.
func (l *loader) place(w weightInfo, typ device.Type, read func(dst []byte, row, n int) error) error {
	view, err := l.model.backend.Place(device.Weight{Name: w.name, Type: typ, Rows: w.rows, Cols: w.cols, Read: read})
	if err != nil {
		return err
	}
	if !l.reserved {
		l.hold(device.Memory{Addr: view.Addr, Bytes: view.Bytes()})
	}
	l.model.weights[w.name] = view
	return nil
}

// vector uploads a norm's weight or a bias.
func (l *loader) vector(w weightInfo, t stored, sum hash.Hash) error {
	raw := make([]byte, t.rowBytes())
	if err := t.read(raw, 0, 1); err != nil {
		return err
	}
	sum.Write(raw)
	values := make([]float32, w.rows)
	if err := toFloats(values, t.typ, raw); err != nil {
		return err
	}
	view, err := l.model.alloc(w.rows)
	if err != nil {
		return err
	}
	l.model.weights[w.name] = view
	return WriteFloats(l.model.backend, view, values)
}

// Close gives back the device memory of the model and of the adapters that were
// allocated with it.
func (m *Model) Close() {
	for _, mem := range m.memory {
		m.backend.Free(mem)
	}
	m.memory, m.weights = nil, map[string]device.View{}
}

// Bytes is the device memory that the frozen weights take.
func (m *Model) Bytes() int64 {
	var n int64
	for _, v := range m.weights {
		n += v.Bytes()
	}
	return n
}

// EmbeddingBytes is the part of Bytes that the embedding takes.
func (m *Model) EmbeddingBytes() int64 { return m.weights[embedName].Bytes() }

// alloc reserves a vector of trained values or a weight's, which lives with the
// model: of the activation type, or F32 beside BF16.
func (m *Model) alloc(n int) (device.View, error) {
	t := m.act.Wide()
	mem, err := m.backend.Alloc(int64(n) * int64(t.Size()))
	if err != nil {
		return device.View{}, err
	}
	m.memory = append(m.memory, mem)
	return mem.At(0, t, n, 1), nil
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
	if err := m.measureRows(a); err != nil {
		return err
	}
	return WriteFloats(m.backend, a.Value, values)
}
