package devicetest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"align/internal/device"
	"align/internal/half"
)

// tensor is host data of one view: its bytes, and the same decoded.
type tensor struct {
	typ        device.Type
	rows, cols int
	raw        []byte
	f          []float64
}

func (x tensor) at(i, j int) float64 { return x.f[i*x.cols+j] }

// id is element i of an I32 tensor.
func (x tensor) id(i int) int { return int(x.f[i]) }

// cut is rows [lo, hi).
func (x tensor) cut(lo, hi int) tensor {
	width := x.cols * x.typ.Size()
	x.raw, x.f = x.raw[lo*width:hi*width], x.f[lo*x.cols:hi*x.cols]
	x.rows = hi - lo
	return x
}

// newTensor rounds the values to the type.
func newTensor(typ device.Type, rows, cols int, values []float64) tensor {
	x := tensor{typ: typ, rows: rows, cols: cols}
	for _, v := range values {
		switch typ {
		case device.F32:
			x.raw = binary.LittleEndian.AppendUint32(x.raw, math.Float32bits(float32(v)))
		case device.F64:
			x.raw = binary.LittleEndian.AppendUint64(x.raw, math.Float64bits(v))
		case device.I32:
			x.raw = binary.LittleEndian.AppendUint32(x.raw, uint32(int32(v)))
		case device.BF16:
			x.raw = binary.LittleEndian.AppendUint16(x.raw, half.ToBF16(float32(v)))
		case device.F16:
			x.raw = binary.LittleEndian.AppendUint16(x.raw, halfBits(v))
		}
	}
	x.f = decode(typ, x.raw)
	return x
}

// decode is the numbers in raw.
func decode(typ device.Type, raw []byte) []float64 {
	out := make([]float64, len(raw)/typ.Size())
	for i := range out {
		at := raw[i*typ.Size():]
		switch typ {
		case device.F32:
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(at)))
		case device.F64:
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(at))
		case device.I32:
			out[i] = float64(int32(binary.LittleEndian.Uint32(at)))
		case device.BF16:
			out[i] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(at)) << 16))
		case device.F16:
			out[i] = halfValue(binary.LittleEndian.Uint16(at))
		}
	}
	return out
}

// set changes one element.
func (x *tensor) set(i int, v float64) {
	one := newTensor(x.typ, 1, 1, []float64{v})
	copy(x.raw[i*x.typ.Size():], one.raw)
	x.f[i] = one.f[0]
}

// halfValue is an IEEE 754 binary16, written as the standard states it.
func halfValue(h uint16) float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exponent, mantissa := int(h>>10&31), float64(h&1023)
	switch exponent {
	case 0:
		return sign * math.Ldexp(mantissa, -24)
	case 31:
		if mantissa != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+mantissa, exponent-25)
}

// halfBits is the binary16 whose magnitude is v's, cut off; subnormals stay.
func halfBits(v float64) uint16 {
	sign := uint16(0)
	if v < 0 {
		sign, v = 0x8000, -v
	}
	if v < math.Ldexp(1, -14) {
		return sign | uint16(math.Ldexp(v, 24))
	}
	fraction, exponent := math.Frexp(v) // v = fraction * 2^exponent, fraction in [1/2, 1)
	return sign | uint16(exponent+14)<<10 | uint16(math.Ldexp(fraction, 11))&1023
}

// gen draws tensors; its activations are of type act.
type gen struct {
	act device.Type
	rng *rand.Rand
}

func newGen(act device.Type) *gen { return &gen{act: act, rng: rand.New(rand.NewPCG(7, 11))} }

func (g *gen) normal(typ device.Type, rows, cols int, scale float64) tensor {
	values := make([]float64, rows*cols)
	for i := range values {
		values[i] = g.rng.NormFloat64() * scale
	}
	return newTensor(typ, rows, cols, values)
}

// a is an activation.
func (g *gen) a(rows, cols int) tensor { return g.normal(g.act, rows, cols, 1) }

// w is a statistic, a weight or its gradient.
func (g *gen) w(rows, cols int) tensor { return g.normal(g.wide(), rows, cols, 1) }

// wide is the type of what g.w draws.
func (g *gen) wide() device.Type { return g.act.Wide() }

// vec is a loss vector.
func (g *gen) vec(n int) tensor { return g.normal(device.F64, n, 1, 1) }

// ints are n numbers in [lo, hi).
func (g *gen) ints(n, lo, hi int) tensor {
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(lo + g.rng.IntN(hi-lo))
	}
	return newTensor(device.I32, n, 1, values)
}

func ints(values ...int) tensor {
	f := make([]float64, len(values))
	for i, v := range values {
		f[i] = float64(v)
	}
	return newTensor(device.I32, len(values), 1, f)
}

// empty is an output of the given shape.
func empty(typ device.Type, rows, cols int) tensor {
	return tensor{typ: typ, rows: rows, cols: cols}
}

// matrix is a float64 matrix of an oracle.
type matrix struct {
	rows, cols int
	f          []float64
}

func zeros(rows, cols int) matrix { return matrix{rows, cols, make([]float64, rows*cols)} }

func (m matrix) add(i, j int, v float64) { m.f[i*m.cols+j] += v }
func (m matrix) set(i, j int, v float64) { m.f[i*m.cols+j] = v }
func (m matrix) at(i, j int) float64     { return m.f[i*m.cols+j] }

// fill sets every element by its place.
func fill(rows, cols int, f func(i, j int) float64) []float64 {
	m := zeros(rows, cols)
	for i := range rows {
		for j := range cols {
			m.set(i, j, f(i, j))
		}
	}
	return m.f
}
