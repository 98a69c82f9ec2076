package bench

import (
	"context"
	"fmt"
	"math"

	"align/internal/device"
)

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
