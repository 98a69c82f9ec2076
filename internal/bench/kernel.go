package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"align/internal/device"
	"align/model"
)

// kernelTime is about how long a kernel is measured, in kernelRuns runs at
// least.
const (
	kernelTime = 300 * time.Millisecond
	kernelRuns = 3
)

// gemm measures the products of the model's layers and head on a batch, weights
// placed as the model's are: y = x W' and, for the gradient, dx = dy W.
func (b *bench) gemm(ctx context.Context) error {
	c, rows := b.config, b.options.Batch*b.options.Length
	heads, keys := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	var total timing
	var flops float64
	for _, p := range []struct {
		name    string
		out, in int
	}{
		{"q_proj", heads, c.HiddenSize}, {"k_proj", keys, c.HiddenSize}, {"gate_proj", c.IntermediateSize, c.HiddenSize},
		{"down_proj", c.HiddenSize, c.IntermediateSize}, {"lm_head", c.VocabSize, c.HiddenSize},
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, err := b.product(p.name, rows, p.out, p.in)
		if err != nil {
			return err
		}
		total.wall, total.core = append(total.wall, t.bestWall()), append(total.core, t.bestCore())
		flops += 2 * float64(rows) * float64(p.out) * float64(p.in)
	}
	return b.reportKernels("all forward", rows, flops, &total)
}

// reportKernels gives the sum of kernels that were measured one by one.
func (b *bench) reportKernels(name string, tokens int, flops float64, total *timing) error {
	wall, core := sum(total.wall), sum(total.core)
	t := Throughput{TokensPerCore: rate(float64(tokens), core), TokensPerSecond: float64(tokens) / wall, MedianTokensPerSecond: float64(tokens) / wall}
	b.rates.measureArithmetic()
	return b.last(b.figureOf(name, "TFLOP/s", flops/wall/1e12, b.rates.flops/1e12), t, b.peak())
}

func sum(list []float64) (s float64) {
	for _, x := range list {
		s += x
	}
	return s
}

// product measures one weight in both directions and returns the forward times.
func (b *bench) product(name string, rows, out, in int) (*timing, error) {
	w, err := b.placeRandom(name, out, in)
	if err != nil {
		return nil, err
	}
	defer b.backend.Free(device.Memory{Addr: w.Addr, Bytes: w.Bytes()})
	x, err := b.random(b.act, rows, in)
	if err != nil {
		return nil, err
	}
	defer b.free(x)
	y, err := b.random(b.act, rows, out)
	if err != nil {
		return nil, err
	}
	defer b.free(y)
	flops := 2 * float64(rows) * float64(out) * float64(in)
	label := fmt.Sprintf("%s %dx%dx%d", name, rows, out, in)
	// The gradient first: the forward pass then writes over its input.
	if _, err := b.kernel(label+" gradient", "linear_dx", nil, flops, device.Call{Out: []device.View{x}, In: []device.View{y, w}}); err != nil {
		return nil, err
	}
	return b.kernel(label, "linear", nil, flops, device.Call{Out: []device.View{y}, In: []device.View{x, w}})
}

// kernel measures one kernel and emits its rate.
func (b *bench) kernel(label, name string, attr any, flops float64, call device.Call) (*timing, error) {
	t, err := b.timed(name, attr, call)
	if err != nil {
		return nil, err
	}
	return t, b.rated(label, flops, t)
}

// rated emits a kernel's rate.
func (b *bench) rated(label string, flops float64, t *timing) error {
	b.rates.measureArithmetic()
	return b.figure(label, "TFLOP/s", flops/t.bestWall()/1e12, b.rates.flops/1e12)
}

// timed measures one kernel.
func (b *bench) timed(name string, attr any, call device.Call) (*timing, error) {
	run, err := b.backend.Bind(name, attr)
	if err != nil {
		return nil, err
	}
	if p, is := b.backend.(*profiled); is {
		times, err := p.runs(cardRuns, run, &call)
		return &timing{wall: times, core: make([]float64, len(times))}, err
	}
	if err := run(&call); err != nil { // reserves what the kernel keeps
		return nil, err
	}
	t := &timing{}
	for start := time.Now(); len(t.wall) < kernelRuns || time.Since(start) < kernelTime; {
		if err := t.add(func() error { return errors.Join(run(&call), b.backend.Sync()) }); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// random is a matrix of activations between -1 and 1.
func (b *bench) random(act device.Type, rows, cols int) (device.View, error) {
	m, err := b.backend.Alloc(int64(rows) * int64(cols) * int64(act.Size()))
	if err != nil {
		return device.View{}, err
	}
	v := m.At(0, act, rows, cols)
	return v, model.WriteFloats(b.backend, v, uniform(rows*cols, uint64(cols)))
}

func (b *bench) free(v device.View) { b.backend.Free(device.Memory{Addr: v.Addr, Bytes: v.Bytes()}) }

// placeRandom places a weight of values between -1 and 1 as the model's are.
func (b *bench) placeRandom(name string, rows, cols int) (device.View, error) {
	size := b.stored().Size()
	return b.backend.Place(device.Weight{Name: name, Type: b.stored(), Rows: rows, Cols: cols, Read: func(dst []byte, row, n int) error {
		r := rand.New(rand.NewPCG(seed, uint64(row)))
		for i := range n * cols {
			x := math.Float32bits(2*r.Float32() - 1)
			if size == 2 {
				dst[2*i], dst[2*i+1] = byte(x>>16), byte(x>>24)
				continue
			}
			binary.LittleEndian.PutUint32(dst[4*i:], x)
		}
		return nil
	}})
}
