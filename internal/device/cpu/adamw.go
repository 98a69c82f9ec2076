package cpu

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
)

// adamW updates parameters and moments in place, algorithm 2 of
// https://arxiv.org/abs/1711.05101 with the schedule in the learning rate:
//
//	m = b1 m + (1-b1) g,  v = b2 v + (1-b2) g^2
//	p = p (1 - lr wd) - lr m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps)
//
// g is the gradient times control[0]. An element is computed in float64 and
// rounded once for each of p, m and v.
type adamW[E float] struct {
	kernel     string
	attr       device.AdamW
	p, m, v, g []E
	clip, lr   float64
	bias1      float64 // 1-b1^t
	bias2      float64 // 1-b2^t
}

func newAdamW[E float](kernel string, attr device.AdamW) (*adamW[E], error) {
	if !(attr.Beta1 >= 0 && attr.Beta1 < 1 && attr.Beta2 >= 0 && attr.Beta2 < 1 && attr.Eps >= 0 && finite(attr.WeightDecay)) {
		return nil, fmt.Errorf("cpu: %s: %+v: want betas in [0,1), eps of at least 0 and a finite weight decay", kernel, attr)
	}
	return &adamW[E]{kernel: kernel, attr: attr}, nil
}

func (a *adamW[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", a.kernel)
	if k.Arity(c, 3, 2) {
		g, control := c.In[0], c.In[1]
		k.Overwrites(c)
		k.Vector("g", g, typeOf[E](), g.Len())
		k.Vector("control", control, device.F64, 4)
		k.Vector("p", c.Out[0], typeOf[E](), g.Len())
		k.Vector("m", c.Out[1], typeOf[E](), g.Len())
		k.Vector("v", c.Out[2], typeOf[E](), g.Len())
	}
	if k.Err != nil {
		return 0, 0, k.Err
	}
	control := device.Slice[float64](c.In[1])
	a.clip, a.lr, a.bias1, a.bias2 = control[0], control[1], control[2], control[3]
	if !finite(a.clip) {
		return 0, 0, nil
	}
	a.p, a.m, a.v = device.Slice[E](c.Out[0]), device.Slice[E](c.Out[1]), device.Slice[E](c.Out[2])
	a.g = device.Slice[E](c.In[0])
	return len(a.g), taskElements / 4, nil
}

func (a *adamW[E]) compute(lo, hi int) {
	b1, b2, eps := a.attr.Beta1, a.attr.Beta2, a.attr.Eps
	keep, step := 1-a.lr*a.attr.WeightDecay, a.lr/a.bias1
	for i := lo; i < hi; i++ {
		g := float64(a.g[i]) * a.clip
		m := b1*float64(a.m[i]) + (1-b1)*g
		v := b2*float64(a.v[i]) + (1-b2)*g*g
		a.m[i], a.v[i] = E(m), E(v)
		a.p[i] = E(float64(a.p[i])*keep - step*m/(math.Sqrt(v/a.bias2)+eps))
	}
}

// squaresBlock is the number of elements of one partial sum of sum_squares, as
// its contract states.
const squaresBlock = 4096

// sumSquares is y[1] (F64) = sum of x^2 by blocks, then of the blocks, ascending.
type sumSquares[E float] struct {
	ofBlock func(x []E) float64
	x       []E
	parts   []float64
}

func newSumSquares[E float](b *Backend, kernel string, ofBlock func([]E) float64) device.Kernel {
	s := &sumSquares[E]{ofBlock: ofBlock}
	j := &rowJob{kernel: phase(s.compute)}
	j.job = j
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 1) {
			k.Overwrites(c)
			k.Vector("x", c.In[0], typeOf[E](), c.In[0].Len())
			k.OutputVector("y", c.Out[0], device.F64, 1)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		s.x = device.Slice[E](c.In[0])
		blocks := (len(s.x) + squaresBlock - 1) / squaresBlock
		if err := b.spaces.reserve(0, blocks); err != nil {
			return err
		}
		space := b.spaces.carveShared()
		s.parts = take[float64](&space, blocks)
		if err := b.runRows(j, blocks, 4); err != nil {
			return err
		}
		device.Slice[float64](c.Out[0])[0] = total(s.parts)
		return nil
	}
}

func (s *sumSquares[E]) compute(lo, hi int) {
	for block := lo; block < hi; block++ {
		s.parts[block] = s.ofBlock(s.x[block*squaresBlock : min((block+1)*squaresBlock, len(s.x))])
	}
}

func squares[E float](x []E) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}

func total(parts []float64) float64 {
	var sum float64
	for _, x := range parts {
		sum += x
	}
	return sum
}
