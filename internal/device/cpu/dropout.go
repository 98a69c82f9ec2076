package cpu

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cpu/kern"
)

// dropout is y = x*keep*Scale under the draws of device.Dropout.
type dropout[E float] struct {
	kernel string
	draw   kern.Draw
	scale  E
	stream uint32
	y, x   []E
	key    []int32
	cols   int
}

func newDropout[E float](kernel string, attr device.Dropout) (*dropout[E], error) {
	if err := attr.Check(); err != nil {
		return nil, fmt.Errorf("cpu: %s: %w", kernel, err)
	}
	draw := kern.Draw{Limit: attr.Limit(), Scale: float32(attr.Scale())}
	return &dropout[E]{kernel: kernel, draw: draw, scale: E(attr.Scale()), stream: attr.Stream}, nil
}

func (d *dropout[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", d.kernel)
	if k.Arity(c, 1, 3) {
		y, x, key, seed := c.Out[0], c.In[0], c.In[1], c.In[2]
		k.Overwrites(c)
		k.Matrix("x", x, typeOf[E](), x.Rows, x.Cols)
		k.Vector("key", key, device.I32, x.Rows)
		k.Vector("seed", seed, device.I32, 2)
		k.Output("y", y, typeOf[E](), x.Rows, x.Cols)
		d.y, d.x, d.cols = device.Slice[E](y), device.Slice[E](x), x.Cols
		d.key = device.Slice[int32](key)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	seed := device.Slice[int32](c.In[2])
	d.draw.SetKey([2]uint32{uint32(seed[0]), uint32(seed[1])})
	return len(d.key), rowGrain(expensive * d.cols), nil
}

// counter is that of row t's first draw.
func (d *dropout[E]) counter(t int) [4]uint32 { return [4]uint32{0, uint32(d.key[t]), d.stream, 0} }

func (d *dropout[E]) compute(lo, hi int) {
	for t := lo; t < hi; t++ {
		x, y := d.x[t*d.cols:][:d.cols], d.y[t*d.cols:][:d.cols]
		counter := d.counter(t)
		for j := 0; j < d.cols; j += kern.PerDraw {
			words := d.draw.Words(counter)
			counter[0]++
			for i := j; i < min(j+kern.PerDraw, d.cols); i++ {
				kept := E(0) // y may be x
				if d.draw.Keeps(words, i) {
					kept = x[i] * d.scale
				}
				y[i] = kept
			}
		}
	}
}

// fastDropout is dropout in vector instructions.
type fastDropout struct {
	*dropout[float32]
	set *kern.Set
}

func (d *fastDropout) compute(lo, hi int) {
	for t := lo; t < hi; t++ {
		x, y := d.x[t*d.cols:][:d.cols], d.y[t*d.cols:][:d.cols]
		d.set.Dropout(y, x, &d.draw, d.counter(t))
	}
}

func (d *fastDropout) row(y []float32, t int) {
	d.set.Dropout(y, d.x[t*d.cols:][:d.cols], &d.draw, d.counter(t))
}

// roundedRow is row in bfloat16.
func (d *fastDropout) roundedRow(y []uint16, wide []float32, t int) {
	d.set.DropoutHalf(y, d.x[t*d.cols:][:d.cols], wide, &d.draw, d.counter(t))
}
