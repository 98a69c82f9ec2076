package cpu

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
)

// ropeTable is y[T,D]: the cosines of the D/2 angles of a position, then the
// sines. Angle i is position * InvFreq[i] in float64
// (https://arxiv.org/abs/2104.09864, equation 34).
type ropeTable[E float] struct {
	kernel  string
	invFreq []float64
	y       []E
	pos     []int32
}

func bindRopeTable[E float](b *Backend) func(string, device.RopeTable) (device.Kernel, error) {
	return func(kernel string, attr device.RopeTable) (device.Kernel, error) {
		if len(attr.InvFreq) == 0 {
			return nil, fmt.Errorf("cpu: %s: no frequencies", kernel)
		}
		return b.overRows(&ropeTable[E]{kernel: kernel, invFreq: attr.InvFreq}), nil
	}
}

func (r *ropeTable[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", r.kernel)
	if k.Arity(c, 1, 1) {
		y, pos := c.Out[0], c.In[0]
		k.Overwrites(c)
		k.Vector("pos", pos, device.I32, pos.Len())
		k.Output("y", y, typeOf[E](), pos.Len(), 2*len(r.invFreq))
		r.y, r.pos = device.Slice[E](y), device.Slice[int32](pos)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return len(r.pos), rowGrain(16 * len(r.invFreq)), nil // a sine costs about 16 multiplications
}

func (r *ropeTable[E]) compute(lo, hi int) {
	half := len(r.invFreq)
	for t := lo; t < hi; t++ {
		cos, sin := r.y[2*half*t:][:half], r.y[2*half*t+half:][:half]
		for i, f := range r.invFreq {
			s, c := math.Sincos(float64(r.pos[t]) * f)
			cos[i], sin[i] = E(c), E(s)
		}
	}
}

// rope turns the pairs (i, i+D/2) of every head, as Hugging Face's
// rotate_half does. y may be x.
type rope[E float] struct {
	kernel      string
	headDim     int
	sign        E // -1 turns backwards
	y, x, table []E
	cols        int
}

func newRope[E float](kernel string, attr device.Rope) (*rope[E], error) {
	if attr.HeadDim <= 0 || attr.HeadDim%2 != 0 {
		return nil, fmt.Errorf("cpu: %s: head size %d: want a positive even number", kernel, attr.HeadDim)
	}
	r := &rope[E]{kernel: kernel, headDim: attr.HeadDim, sign: 1}
	if attr.Inverse {
		r.sign = -1
	}
	return r, nil
}

func (r *rope[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", r.kernel)
	if k.Arity(c, 1, 2) {
		y, x, table := c.Out[0], c.In[0], c.In[1]
		k.Overwrites(c)
		k.Matrix("x", x, typeOf[E](), x.Rows, x.Cols)
		k.Matrix("table", table, typeOf[E](), x.Rows, r.headDim)
		k.Output("y", y, typeOf[E](), x.Rows, x.Cols)
		if x.Cols%r.headDim != 0 {
			k.Failf("x has %d columns, not a multiple of head size %d", x.Cols, r.headDim)
		}
		r.y, r.x, r.table, r.cols = device.Slice[E](y), device.Slice[E](x), device.Slice[E](table), x.Cols
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return c.In[0].Rows, rowGrain(r.cols), nil
}

func (r *rope[E]) compute(lo, hi int) {
	half := r.headDim / 2
	for t := lo; t < hi; t++ {
		cos, sin := r.table[t*r.headDim:][:half], r.table[t*r.headDim+half:][:half]
		for at := t * r.cols; at < (t+1)*r.cols; at += r.headDim {
			x1, x2 := r.x[at:][:half], r.x[at+half:][:half]
			y1, y2 := r.y[at:][:half], r.y[at+half:][:half]
			for i := range cos {
				a, b, c, s := x1[i], x2[i], cos[i], r.sign*sin[i]
				y1[i], y2[i] = a*c-b*s, b*c+a*s
			}
		}
	}
}
