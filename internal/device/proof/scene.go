package proof

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"align/internal/device"
	"align/internal/half"
)

// scene is a few calls on tensors of its own.
type scene struct {
	rng     *rand.Rand
	tensors []*tensor
	calls   []call
	instead []call // of the reference, where it lacks a kernel
}

// tensor is a view's values. Those of floats are exact in BF16, so that what a card
// rounds on its way into a product is not rounded.
type tensor struct {
	index      int
	typ        device.Type // BF16: an activation, F32 on the reference, unless it is placed
	rows, cols int
	values     []float64 // before the calls; nil: not a number
	raw        []byte    // a frozen weight's bytes
	checked    bool      // an output that is compared
	inputs     float64   // rounded inputs of products in a row that lead to it
	want       []float64 // what comes out; nil: what the reference makes
}

type call struct {
	kernel     string
	attr       any
	out, in    []*tensor
	accumulate bool
}

func newScene() *scene { return &scene{rng: rand.New(rand.NewPCG(7, 11))} }

func (s *scene) add(t tensor) *tensor {
	t.index = len(s.tensors)
	s.tensors = append(s.tensors, &t)
	return &t
}

// normal draws elements of N(0, scale^2) that are exact in BF16.
func (s *scene) normal(typ device.Type, rows, cols int, scale float64) *tensor {
	values := make([]float64, rows*cols)
	for i := range values {
		values[i] = float64(half.FromBF16(half.ToBF16(float32(s.rng.NormFloat64() * scale))))
	}
	return s.add(tensor{typ: typ, rows: rows, cols: cols, values: values})
}

// act is an activation, wide what is not rounded.
func (s *scene) act(rows, cols int) *tensor  { return s.normal(device.BF16, rows, cols, 1) }
func (s *scene) wide(rows, cols int) *tensor { return s.normal(device.F32, rows, cols, 1) }

// positive draws elements of 0.5 and more.
func (s *scene) positive(typ device.Type, n int) *tensor {
	t := s.normal(typ, n, 1, 1)
	for i, x := range t.values {
		t.values[i] = 0.5 + math.Abs(x)
	}
	return t
}

func (s *scene) of(typ device.Type, values ...float64) *tensor {
	return s.add(tensor{typ: typ, rows: len(values), cols: 1, values: values})
}

func (s *scene) ints(values ...int) *tensor {
	f := make([]float64, len(values))
	for i, v := range values {
		f[i] = float64(v)
	}
	return s.of(device.I32, f...)
}

// out is an output that is compared, with so many rounded inputs behind it.
func (s *scene) out(typ device.Type, rows, cols int, inputs float64) *tensor {
	return s.add(tensor{typ: typ, rows: rows, cols: cols, checked: true, inputs: inputs})
}

// hidden is an output for later calls alone.
func (s *scene) hidden(typ device.Type, rows, cols int) *tensor {
	return s.add(tensor{typ: typ, rows: rows, cols: cols})
}

func list(t ...*tensor) []*tensor { return t }

func (s *scene) call(kernel string, attr any, out, in []*tensor) {
	s.calls = append(s.calls, call{kernel: kernel, attr: attr, out: out, in: in})
}

// adding is a call that adds to its output, which holds something.
func (s *scene) adding(kernel string, attr any, out, in []*tensor) {
	t := out[0]
	t.values = make([]float64, t.rows*t.cols)
	for i := range t.values {
		t.values[i] = float64(i % 7)
	}
	s.calls = append(s.calls, call{kernel: kernel, attr: attr, out: out, in: in, accumulate: true})
}

func (s *scene) expected() []call {
	if s.instead != nil {
		return s.instead
	}
	return s.calls
}

// gap is the alignment of tensors in a reservation.
const gap = 256

// on does the calls on a backend and returns all values behind them.
func (s *scene) on(b device.Backend, calls []call, reference bool) (after [][]float64, err error) {
	types := make([]device.Type, len(s.tensors))
	offsets := make([]int64, len(s.tensors))
	size := int64(0)
	for i, t := range s.tensors {
		types[i] = t.typ
		if reference && t.typ == device.BF16 {
			types[i] = device.F32
		}
		if t.raw == nil {
			offsets[i] = size
			size += (int64(t.rows)*types[i].RowBytes(t.cols) + gap - 1) / gap * gap
		}
	}
	memory, err := b.Alloc(max(size, gap))
	if err != nil {
		return nil, err
	}
	defer b.Free(memory)
	host := make([]byte, size)
	views := make([]device.View, len(s.tensors))
	for i, t := range s.tensors {
		if t.raw != nil {
			if views[i], err = b.Place(t.weight()); err != nil {
				return nil, err
			}
			defer b.Free(device.Memory{Addr: views[i].Addr})
			continue
		}
		views[i] = memory.At(offsets[i], types[i], t.rows, t.cols)
		t.write(host[offsets[i]:], types[i])
	}
	whole := memory.At(0, device.I32, int(size/4), 1)
	if err := b.Upload(whole, host); err != nil {
		return nil, err
	}
	for _, c := range calls {
		if err := c.on(b, views); err != nil {
			return nil, err
		}
	}
	if err := b.Sync(); err != nil {
		return nil, err
	}
	if err := b.Download(host, whole); err != nil {
		return nil, err
	}
	after = make([][]float64, len(s.tensors))
	for i, t := range s.tensors {
		if t.checked {
			after[i] = read(host[offsets[i]:], types[i], t.rows*t.cols)
		}
	}
	return after, nil
}

func (c *call) on(b device.Backend, views []device.View) error {
	kernel, err := b.Bind(c.kernel, c.attr)
	if err != nil {
		return err
	}
	of := func(tensors []*tensor) []device.View {
		list := make([]device.View, len(tensors))
		for i, t := range tensors {
			list[i] = views[t.index]
		}
		return list
	}
	return kernel(&device.Call{Out: of(c.out), In: of(c.in), Accumulate: c.accumulate})
}

// weight is the tensor as a frozen weight.
func (t *tensor) weight() device.Weight {
	width := int(t.typ.RowBytes(t.cols))
	return device.Weight{Name: "proof", Type: t.typ, Rows: t.rows, Cols: t.cols, Read: func(dst []byte, row, n int) error {
		if copy(dst, t.raw[row*width:(row+n)*width]) != n*width {
			return fmt.Errorf("proof: %d rows of a weight do not fit", n)
		}
		return nil
	}}
}

// write puts the values into raw; all bits set are not a number.
func (t *tensor) write(raw []byte, typ device.Type) {
	for i := range t.rows * t.cols {
		x := math.NaN()
		if t.values != nil {
			x = t.values[i]
		}
		switch typ {
		case device.F64:
			binary.LittleEndian.PutUint64(raw[8*i:], math.Float64bits(x))
		case device.BF16:
			binary.LittleEndian.PutUint16(raw[2*i:], half.ToBF16(float32(x)))
		case device.I32:
			n := int32(math.MinInt32)
			if t.values != nil {
				n = int32(uint32(int64(x)))
			}
			binary.LittleEndian.PutUint32(raw[4*i:], uint32(n))
		default:
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(float32(x)))
		}
	}
}

// read is the n numbers in raw.
func read(raw []byte, typ device.Type, n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		switch typ {
		case device.F64:
			values[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		case device.BF16:
			values[i] = float64(half.FromBF16(binary.LittleEndian.Uint16(raw[2*i:])))
		case device.I32:
			values[i] = float64(int32(binary.LittleEndian.Uint32(raw[4*i:])))
		default:
			values[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
		}
	}
	return values
}
