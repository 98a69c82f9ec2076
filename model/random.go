package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"align/internal/device"
)

// initializerRange is the standard deviation of fresh weights: Llama's
// config.json, initializer_range.
const initializerRange = 0.02

// Random makes a model of the config with weights of its own: normal with a
// standard deviation of 0.02, norms 1 and biases 0, stored as F32 or BF16. It
// serves measurements, for which no file is needed; the same seed gives the
// same weights. No more than the weights and some rows exist at any time.
func Random(c Config, b device.Backend, act, stored device.Type, seed uint64) (*Model, error) {
	return RandomQuantised(c, b, act, stored, "", seed)
}

// RandomQuantised is Random with the linear layers held as quantize says, one of
// Quantizations or "" for the stored type. A layer whose rows are not whole
// blocks stays as it is and is listed in Kept.
func RandomQuantised(c Config, b device.Backend, act, typ device.Type, quantize string, seed uint64) (*Model, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if typ != device.F32 && typ != device.BF16 {
		return nil, fmt.Errorf("model: random weights are stored as f32 or bf16, not %s", typ)
	}
	m := &Model{Config: c, backend: b, act: act, weights: map[string]device.View{}}
	l := loader{model: m, options: LoadOptions{Quantize: quantize}}
	if quantize != "" {
		var err error
		if l.quantize, err = parseQuantize(quantize); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "random%s %+v %s %d", quantize, c, typ, seed))
	m.Hash = hex.EncodeToString(sum[:])
	bits := normalBits(typ)
	if err := l.reserve(func(w weightInfo) (stored, error) { return stored{typ: typ, rows: w.rows, cols: w.cols}, nil }); err != nil {
		return nil, err
	}
	for _, w := range c.weights() {
		if err := l.randomWeight(w, bits, typ, seed); err != nil {
			m.Close()
			return nil, err
		}
	}
	return m, nil
}

func (l *loader) randomWeight(w weightInfo, bits []uint32, typ device.Type, seed uint64) error {
	m := l.model
	if w.cols == 0 {
		return m.constantVector(w)
	}
	name := fnv.New64a()
	name.Write([]byte(w.name))
	width, named := int(typ.RowBytes(w.cols)), name.Sum64()
	t, err := l.convert(w, stored{typ: typ, rows: w.rows, cols: w.cols, read: func(dst []byte, row, n int) error {
		return overRows(n, func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				source := rand.NewPCG(seed^named, uint64(row+i))
				fillBits(dst[i*width:][:width], bits, typ.Size(), source)
			}
			return nil
		})
	}})
	if err != nil {
		return err
	}
	return l.place(w, t.typ, t.read)
}

// constantVector is a norm's weight, all ones, or a bias, all zeros.
func (m *Model) constantVector(w weightInfo) error {
	values := make([]float32, w.rows)
	if _, module := w.module(); module == "" {
		for i := range values {
			values[i] = 1
		}
	}
	view, err := m.alloc(w.rows)
	if err != nil {
		return err
	}
	m.weights[w.name] = view
	return WriteFloats(m.backend, view, values)
}

// quantiles is the number of values that the random weights take.
const quantiles = 1 << 16

// normalBits are the stored bits of the normal distribution's quantiles: a draw
// of 16 bits picks one, which is faster than any method that computes.
func normalBits(stored device.Type) []uint32 {
	bits := make([]uint32, quantiles)
	for i := range bits {
		x := initializerRange * math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/quantiles-1)
		bits[i] = math.Float32bits(float32(x))
		if stored == device.BF16 {
			bits[i] >>= 16
		}
	}
	return bits
}

// fillBits fills dst with draws of size bytes each.
func fillBits(dst []byte, bits []uint32, size int, source rand.Source) {
	var draw uint64
	for i := 0; i*size < len(dst); i++ {
		if i%4 == 0 {
			draw = source.Uint64()
		}
		x := bits[draw>>(16*(i%4))&(quantiles-1)]
		if size == 2 {
			binary.LittleEndian.PutUint16(dst[2*i:], uint16(x))
			continue
		}
		binary.LittleEndian.PutUint32(dst[4*i:], x)
	}
}
