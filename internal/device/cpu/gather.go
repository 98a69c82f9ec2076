package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// gather is y[N,C] = x[rows[n]].
type gather[E float] struct {
	kernel string
	y, x   []E
	rows   []int32
	cols   int
}

func (g *gather[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", g.kernel)
	if k.Arity(c, 1, 2) {
		y, x, index := c.Out[0], c.In[0], c.In[1]
		k.Overwrites(c)
		k.Matrix("x", x, typeOf[E](), x.Rows, x.Cols)
		k.Vector("rows", index, device.I32, index.Len())
		k.Output("y", y, typeOf[E](), index.Len(), x.Cols)
		g.y, g.x, g.rows = device.Slice[E](y), device.Slice[E](x), device.Slice[int32](index)
		g.cols = x.Cols
		checkIndices(&k, "rows", g.rows, 0, x.Rows)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return len(g.rows), rowGrain(g.cols), nil
}

func (g *gather[E]) compute(lo, hi int) {
	for n := lo; n < hi; n++ {
		copy(g.y[n*g.cols:][:g.cols], g.x[int(g.rows[n])*g.cols:][:g.cols])
	}
}

// scatter is y[T,C] = sum over n, ascending, of dy[n] at rows[n]. It is split
// over columns, which keeps that order.
type scatter[E float] struct {
	kernel string
	y, dy  []E
	rows   []int32
	cols   int
}

func (s *scatter[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", s.kernel)
	if k.Arity(c, 1, 3) {
		y, dy, index, like := c.Out[0], c.In[0], c.In[1], c.In[2]
		k.Overwrites(c)
		k.Matrix("dy", dy, typeOf[E](), index.Len(), like.Cols)
		k.Vector("rows", index, device.I32, dy.Rows)
		k.Output("y", y, typeOf[E](), like.Rows, dy.Cols)
		s.y, s.dy, s.rows = device.Slice[E](y), device.Slice[E](dy), device.Slice[int32](index)
		s.cols = dy.Cols
		checkIndices(&k, "rows", s.rows, 0, like.Rows)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return s.cols, columnGrain, nil
}

func (s *scatter[E]) compute(lo, hi int) {
	for at := 0; at < len(s.y); at += s.cols {
		clear(s.y[at+lo : at+hi])
	}
	for n, t := range s.rows {
		addTo(s.y[int(t)*s.cols:][lo:hi], s.dy[n*s.cols:][lo:hi])
	}
}
