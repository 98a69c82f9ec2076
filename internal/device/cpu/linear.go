package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// newLinear is y[T,N] = x[T,C] W[N,C]' (+ bias[N]).
func newLinear[E float](p products[E], kernel string) device.Kernel {
	q := &product[E]{alpha: 1}
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		biased := len(c.In) == 3
		if k.Arity(c, 1, 2+count(biased)) {
			y, x, w := c.Out[0], c.In[0], c.In[1]
			k.Overwrites(c)
			k.Matrix("x", x, sideType(p, x), x.Rows, w.Cols)
			checkWeight(&k, "W", w, w.Rows, x.Cols)
			k.Output("y", y, sideType(p, y), x.Rows, w.Rows)
			if biased {
				k.Vector("bias", c.In[2], typeOf[E](), w.Rows)
			}
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		q.y, q.x, q.w = c.Out[0], c.In[0], c.In[1]
		q.bias = device.View{}
		if biased {
			q.bias = c.In[2]
		}
		return p.nt(q)
	}
}

// newLinearDX is dx[T,C] = dy[T,N] W[N,C].
func newLinearDX[E float](p products[E], kernel string) device.Kernel {
	q := &product[E]{alpha: 1}
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 2) {
			dx, dy, w := c.Out[0], c.In[0], c.In[1]
			k.Matrix("dy", dy, sideType(p, dy), dy.Rows, w.Rows)
			checkWeight(&k, "W", w, dy.Cols, w.Cols)
			k.Output("dx", dx, sideType(p, dx), dy.Rows, w.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		q.y, q.x, q.w = c.Out[0], c.In[0], c.In[1]
		q.accumulate = c.Accumulate
		return p.nn(q)
	}
}

// bindMatMul is the three plain products: y (+)= alpha x w, where the sums run
// over the rows of x (xAcross) or its columns, and over the rows of w
// (wAcross) or its columns. Where both run over rows w may have a mask.
func bindMatMul[E float](b *Backend, p products[E], xAcross, wAcross bool) func(string, device.MatMul) (device.Kernel, error) {
	run := p.nt
	switch {
	case xAcross:
		run = p.tn
	case wAcross:
		run = p.nn
	}
	return func(kernel string, attr device.MatMul) (device.Kernel, error) {
		q, keep := &product[E]{alpha: E(attr.Alpha)}, newKeeping(b, p)
		return func(c *device.Call) error {
			k := contract.Of("cpu", kernel)
			masked := xAcross && len(c.In) == 3
			if k.Arity(c, 1, 2+count(masked)) {
				y, x, w := c.Out[0], c.In[0], c.In[1]
				m, kx := dims(x, xAcross)
				n, kw := dims(w, wAcross)
				xType, wType := sideType(p, x), typeOf[E]()
				if xAcross {
					wType = sideType(p, w)
				}
				k.Matrix("x", x, xType, x.Rows, x.Cols)
				k.Matrix("w", w, wType, w.Rows, w.Cols)
				k.Output("y", y, typeOf[E](), m, n)
				if kx != kw {
					k.Failf("x is %dx%d and w is %dx%d: the summed sides differ", x.Rows, x.Cols, w.Rows, w.Cols)
				}
				if masked {
					checkMask(&k, c.In[2], w.Rows, w.Cols)
				}
			}
			if k.Err != nil || c.Out[0].Addr == 0 {
				return k.Err
			}
			q.y, q.x, q.w, q.mask, q.accumulate = c.Out[0], c.In[0], c.In[1], device.View{}, c.Accumulate
			if !masked || q.w.Len() == 0 {
				return run(q)
			}
			if q.mask = c.In[2]; p.keeps(q) {
				return run(q)
			}
			if err := b.spaces.reserve(0, words8(q.w.Bytes())); err != nil {
				return err
			}
			var err error
			if q.w, err = keep.into(b.spaces.common.Addr, q.w, q.mask); err != nil {
				return err
			}
			q.mask = device.View{}
			return run(q)
		}, nil
	}
}

// dims is the number of vectors of a side of a product, and their length.
func dims(v device.View, across bool) (vectors, length int) {
	if across {
		return v.Cols, v.Rows
	}
	return v.Rows, v.Cols
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
