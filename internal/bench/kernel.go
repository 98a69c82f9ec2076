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
	"align/internal/graph"
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

// attention measures causal attention of a batch of sequences, forward and
// backward, by the useful operations: the square's lower half, and of the backward
// pass not the scores that it computes again, which are a quarter more.
func (b *bench) attention(ctx context.Context) error {
	c, o := b.config, b.options
	forward, backward, flops, err := b.attend(ctx)
	if err != nil {
		return err
	}
	label := fmt.Sprintf("T=%d H=%d KV=%d D=%d", o.Length, c.NumHeads, c.NumKVHeads, c.HeadDim)
	if err := b.rated(label, flops, forward); err != nil {
		return err
	}
	if err := b.rated(label+" gradient", 2*flops, backward); err != nil {
		return err
	}
	total := &timing{wall: []float64{forward.bestWall(), backward.bestWall()}, core: []float64{forward.bestCore(), backward.bestCore()}}
	return b.reportKernels("both", o.Batch*o.Length, 3*flops, total)
}

// attend times attention of a batch of sequences; flops are the forward pass's,
// of which the backward pass has twice as many.
func (b *bench) attend(ctx context.Context) (forward, backward *timing, flops float64, err error) {
	c, o := b.config, b.options
	rows, heads, keys := o.Batch*o.Length, c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	widths := map[string]int{"q": heads, "o": heads, "do": heads, "dq": heads, "k": keys, "v": keys, "dk": keys, "dv": keys, "lse": c.NumHeads}
	v := map[string]device.View{}
	for name, width := range widths {
		view, err := b.random(b.attends(name, width), rows, width)
		if err != nil {
			return nil, nil, 0, err
		}
		defer b.free(view)
		v[name] = view
	}
	start, err := b.segments()
	if err != nil {
		return nil, nil, 0, err
	}
	defer b.free(start)
	attr := device.Attention{Heads: c.NumHeads, KVHeads: c.NumKVHeads, HeadDim: c.HeadDim, Scale: 1 / math.Sqrt(float64(c.HeadDim))}
	pairs := float64(o.Batch) * float64(o.Length) * float64(o.Length+1) / 2
	flops = 4 * pairs * float64(heads)
	forward, err = b.timed("attention", attr, device.Call{
		Out: []device.View{v["o"], v["lse"]}, In: []device.View{v["q"], v["k"], v["v"], start, start, start},
	})
	if err != nil || ctx.Err() != nil {
		return nil, nil, 0, errors.Join(err, ctx.Err())
	}
	backward, err = b.timed("attention_grad", attr, device.Call{
		Out: []device.View{v["dq"], v["dk"], v["dv"]}, In: []device.View{v["q"], v["k"], v["v"], v["o"], v["lse"], v["do"], start, start, start},
	})
	return forward, backward, flops, err
}

// attends is the type of a value of so many columns that attention reads or writes: what
// products alone read is held rounded, as a training step holds it.
func (b *bench) attends(name string, cols int) device.Type {
	switch name {
	case "lse":
		return b.act.Wide()
	case "q", "k", "v", "o", "do":
		r, is := b.backend.(device.Rounder)
		if is && r.Rounded() != 0 && b.config.HeadDim%graph.HeadCols == 0 && cols%r.RoundedCols() == 0 {
			return r.Rounded()
		}
	}
	return b.act
}

// segments is each row's first row of its sequence: with an empty prefix there,
// all three vectors of attention.
func (b *bench) segments() (device.View, error) {
	rows := b.options.Batch * b.options.Length
	data := make([]byte, 4*rows)
	for i := range rows {
		start := i / b.options.Length * b.options.Length
		binary.LittleEndian.PutUint32(data[4*i:], uint32(start))
	}
	m, err := b.backend.Alloc(int64(len(data)))
	if err != nil {
		return device.View{}, err
	}
	v := m.At(0, device.I32, rows, 1)
	return v, b.backend.Upload(v, data)
}

// elementwise measures the kernels of a layer that memory bounds, on a batch: the
// norm, the rotation, the gate and the residual sum.
func (b *bench) elementwise(ctx context.Context) error {
	c, rows := b.config, b.options.Batch*b.options.Length
	b.rates.measureRead()
	list := []struct {
		name, kernel string
		attr         any
		out, in      []int // columns, a negative number of float32 ones; 0 is a norm's weight
	}{
		{"rmsnorm", "rmsnorm", device.Norm{Eps: c.RMSNormEps, Width: c.HiddenSize}, []int{c.HiddenSize}, []int{c.HiddenSize, 0}},
		{"rmsnorm gradient", "rmsnorm_dx", device.Norm{Eps: c.RMSNormEps, Width: c.HiddenSize}, []int{c.HiddenSize}, []int{c.HiddenSize, 0, c.HiddenSize}},
		{"rope", "rope", device.Rope{HeadDim: c.HeadDim}, []int{c.NumHeads * c.HeadDim}, []int{c.NumHeads * c.HeadDim, -c.HeadDim}},
		{"swiglu", "swiglu", nil, []int{c.IntermediateSize}, []int{c.IntermediateSize, c.IntermediateSize}},
		{"swiglu gradient", "swiglu_grad", nil, []int{c.IntermediateSize, c.IntermediateSize, unwanted}, []int{c.IntermediateSize, c.IntermediateSize, c.IntermediateSize}},
		{"add", "add", nil, []int{c.HiddenSize}, []int{c.HiddenSize, c.HiddenSize}},
	}
	var bytes, wall, core float64
	for _, k := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, t, err := b.moved(k.kernel, k.attr, rows, k.out, k.in)
		if err != nil {
			return err
		}
		if err := b.figure(fmt.Sprintf("%s %d rows", k.name, rows), "GB/s", n/t.bestWall()/1e9, b.rates.read/1e9); err != nil {
			return err
		}
		bytes, wall, core = bytes+n, wall+t.bestWall(), core+t.bestCore()
	}
	tokens := float64(rows)
	t := Throughput{TokensPerCore: rate(tokens, core), TokensPerSecond: tokens / wall, MedianTokensPerSecond: tokens / wall}
	return b.last(b.figureOf("all", "GB/s", bytes/wall/1e9, b.rates.read/1e9), t, b.peak())
}

// unwanted stands for the columns of an output that a call does not want.
const unwanted = math.MaxInt

// moved times a kernel on matrices of some columns and returns the bytes that it
// reads and writes.
func (b *bench) moved(kernel string, attr any, rows int, out, in []int) (bytes float64, t *timing, err error) {
	var call device.Call
	for _, views := range []struct {
		cols []int
		to   *[]device.View
	}{{out, &call.Out}, {in, &call.In}} {
		for _, cols := range views.cols {
			act, n := b.act, rows
			switch {
			case cols < 0:
				act, cols = act.Wide(), -cols
			case cols == unwanted:
				*views.to = append(*views.to, device.View{})
				continue
			case cols == 0:
				act, n, cols = act.Wide(), b.config.HiddenSize, 1
			}
			v, err := b.random(act, n, cols)
			if err != nil {
				return 0, nil, err
			}
			defer b.free(v)
			*views.to = append(*views.to, v)
		}
	}
	t, err = b.timed(kernel, attr, call)
	return kernelContext{}.bytes(kernel, &call), t, err
}
