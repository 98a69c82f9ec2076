package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// scaleRows is y[N,C] = s[n] x[n]; y may be x.
type scaleRows[E float] struct {
	kernel  string
	y, x, s []E
	cols    int
}

func (r *scaleRows[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", r.kernel)
	if k.Arity(c, 1, 2) {
		y, x, s := c.Out[0], c.In[0], c.In[1]
		k.Overwrites(c)
		k.Matrix("x", x, typeOf[E](), x.Rows, x.Cols)
		k.Vector("s", s, typeOf[E](), x.Rows)
		k.Output("y", y, typeOf[E](), x.Rows, x.Cols)
		r.y, r.x, r.s, r.cols = device.Slice[E](y), device.Slice[E](x), device.Slice[E](s), x.Cols
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return c.In[0].Rows, rowGrain(r.cols), nil
}

func (r *scaleRows[E]) compute(lo, hi int) {
	for i := lo; i < hi; i++ {
		y, s := r.y[i*r.cols:][:r.cols], r.s[i]
		for j, x := range r.x[i*r.cols:][:r.cols] {
			y[j] = s * x
		}
	}
}
