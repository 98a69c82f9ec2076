package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// swiGLU is y = silu(g)*u (https://arxiv.org/abs/2002.05202, equation 6), with
// silu(g) = g*sigmoid(g). It is split over elements.
type swiGLU[E float] struct {
	kernel  string
	y, g, u []E
}

// expensive is how many cheap operations an exponential and a division cost.
const expensive = 8

func (s *swiGLU[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", s.kernel)
	if k.Arity(c, 1, 2) {
		y, g, u := c.Out[0], c.In[0], c.In[1]
		k.Overwrites(c)
		k.Matrix("g", g, typeOf[E](), g.Rows, g.Cols)
		k.Matrix("u", u, typeOf[E](), g.Rows, g.Cols)
		k.Output("y", y, typeOf[E](), g.Rows, g.Cols)
		s.y, s.g, s.u = device.Slice[E](y), device.Slice[E](g), device.Slice[E](u)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return len(s.g), rowGrain(expensive), nil
}

func (s *swiGLU[E]) compute(lo, hi int) {
	y, g, u := s.y[lo:hi], s.g[lo:hi], s.u[lo:hi]
	for i, x := range g {
		y[i] = x * sigmoid(x) * u[i]
	}
}

// swiGLUGrad is, with a = sigmoid(g),
//
//	dg = dy*u*a*(1 + g*(1-a))
//	du = dy*g*a
//
// and, where it is wanted, swiglu's y. dg may overwrite g, and du may overwrite u.
type swiGLUGrad[E float] struct {
	kernel             string
	dg, du, y, g, u, d []E
}

func (s *swiGLUGrad[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", s.kernel)
	if k.Arity(c, 3, 3) {
		g, u, dy := c.In[0], c.In[1], c.In[2]
		k.Overwrites(c)
		k.Matrix("g", g, typeOf[E](), g.Rows, g.Cols)
		k.Matrix("u", u, typeOf[E](), g.Rows, g.Cols)
		k.Matrix("dy", dy, typeOf[E](), g.Rows, g.Cols)
		k.Output("dg", c.Out[0], typeOf[E](), g.Rows, g.Cols)
		k.Output("du", c.Out[1], typeOf[E](), g.Rows, g.Cols)
		k.Output("y", c.Out[2], typeOf[E](), g.Rows, g.Cols)
		s.dg, s.du, s.y = device.Slice[E](c.Out[0]), device.Slice[E](c.Out[1]), device.Slice[E](c.Out[2])
		s.g, s.u, s.d = device.Slice[E](g), device.Slice[E](u), device.Slice[E](dy)
	}
	if k.Err != nil {
		return 0, 0, k.Err
	}
	return len(s.g), rowGrain(expensive), nil
}

func (s *swiGLUGrad[E]) compute(lo, hi int) {
	for i := lo; i < hi; i++ {
		g, u, d := s.g[i], s.u[i], s.d[i]
		a := sigmoid(g)
		if s.y != nil {
			s.y[i] = g * a * u
		}
		if s.dg != nil {
			s.dg[i] = d * u * a * (1 + g*(1-a))
		}
		if s.du != nil {
			s.du[i] = d * g * a
		}
	}
}

func sigmoid[E float](x E) E { return 1 / (1 + exp(-x)) }
