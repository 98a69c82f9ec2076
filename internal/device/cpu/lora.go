package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// bindLoRALinear is y[T,N] = x W' + scale (xd A') B' (+ bias), equation 3 of
// https://arxiv.org/abs/2106.09685. u = scale xd A' [T,R], the second output, is
// computed once and its product with B joins each block of x W'. Where xd is a mask of
// x, u takes x where it has a 1.
func bindLoRALinear[E float](b *Backend, p products[E]) func(string, device.LoRA) (device.Kernel, error) {
	return func(kernel string, attr device.LoRA) (device.Kernel, error) {
		keep, down := newKeeping(b, p), &product[E]{alpha: E(attr.Scale)}
		up := &product[E]{alpha: 1}
		return func(c *device.Call) error {
			if err := checkLoRALinear(kernel, c, p); err != nil || c.Out[0].Addr == 0 && !wantsLow(c) {
				return err
			}
			x, masked, low := c.In[0], isMask(c.In[1]), lowWords(c)
			if masked {
				if err := b.spaces.reserve(0, low+words8(x.Bytes())); err != nil {
					return err
				}
			}
			u, err := lowOf[E](b, c)
			if err != nil {
				return err
			}
			down.y, down.x, down.w = u, c.In[1], c.In[3]
			if masked {
				if down.x, err = keep.into(b.spaces.common.Addr+8*uintptr(low), x, c.In[1]); err != nil {
					return err
				}
			}
			if err := p.nt(down); err != nil || c.Out[0].Addr == 0 {
				return err
			}
			up.y, up.x, up.w, up.u, up.v = c.Out[0], c.In[0], c.In[2], u, c.In[4]
			up.bias = device.View{}
			if len(c.In) == 6 {
				up.bias = c.In[5]
			}
			return p.nt(up)
		}, nil
	}
}

// wantsLow says whether the call wants u.
func wantsLow(c *device.Call) bool { return len(c.Out) == 2 && c.Out[1].Addr != 0 }

// lowWords is the words of 8 bytes that u takes of the shared workspace at most, whole
// lines of them.
func lowWords(c *device.Call) int { return (c.In[0].Rows*c.In[3].Rows + 7) / 8 * 8 }

// lowOf is where u goes: the call's own place, or else the shared workspace.
func lowOf[E float](b *Backend, c *device.Call) (device.View, error) {
	if wantsLow(c) {
		return c.Out[1], nil
	}
	t, rank := c.In[0].Rows, c.In[3].Rows
	err := b.spaces.reserve(0, t*rank)
	return device.View{Addr: b.spaces.common.Addr, Rows: t, Cols: rank, Type: typeOf[E]()}, err
}

func checkLoRALinear[E float](kernel string, c *device.Call, p products[E]) error {
	k, t := contract.Of("cpu", kernel), typeOf[E]()
	biased := len(c.In) == 6
	if k.Arity(c, 1+count(len(c.Out) == 2), 5+count(biased)) {
		y, x, xd, w, a, up := c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3], c.In[4]
		k.Overwrites(c)
		k.Matrix("x", x, sideType(p, x), x.Rows, w.Cols)
		if isMask(xd) {
			checkMask(&k, xd, x.Rows, x.Cols)
		} else {
			k.Matrix("xd", xd, sideType(p, xd), x.Rows, x.Cols)
		}
		checkWeight(&k, "W", w, w.Rows, x.Cols)
		k.Matrix("A", a, t, a.Rows, x.Cols)
		k.Matrix("B", up, t, w.Rows, a.Rows)
		k.Output("y", y, sideType(p, y), x.Rows, w.Rows)
		if wantsLow(c) {
			k.Output("u", c.Out[1], t, x.Rows, a.Rows)
		}
		if biased {
			k.Vector("bias", c.In[5], t, w.Rows)
		}
	}
	return k.Err
}

// newLoRADX is dx[T,C] = dy[T,N] W[N,C] + du[T,R] A[R,C].
func newLoRADX[E float](p products[E], kernel string) device.Kernel {
	q := &product[E]{alpha: 1}
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 4) {
			dx, dy, w, du, a := c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3]
			k.Matrix("dy", dy, sideType(p, dy), dy.Rows, w.Rows)
			checkWeight(&k, "W", w, dy.Cols, w.Cols)
			k.Matrix("du", du, typeOf[E](), dy.Rows, a.Rows)
			k.Matrix("A", a, typeOf[E](), du.Cols, w.Cols)
			k.Output("dx", dx, sideType(p, dx), dy.Rows, w.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		q.y, q.x, q.w, q.u, q.v = c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3]
		q.accumulate = c.Accumulate
		return p.nn(q)
	}
}

// bindLoRADU is dB[N,R] = dy[T,N]' u[T,R] and du[T,R] = scale dy B[N,R].
func bindLoRADU[E float](p products[E]) func(string, device.LoRA) (device.Kernel, error) {
	return func(kernel string, attr device.LoRA) (device.Kernel, error) {
		down, up := &product[E]{alpha: E(attr.Scale)}, &product[E]{alpha: 1}
		return func(c *device.Call) error {
			if err := checkLoRADU(kernel, c, p); err != nil {
				return err
			}
			if down.y, down.x, down.w = c.Out[1], c.In[0], c.In[1]; down.y.Addr != 0 {
				if err := p.nn(down); err != nil {
					return err
				}
			}
			if c.Out[0].Addr == 0 {
				return nil
			}
			up.y, up.x, up.w, up.accumulate = c.Out[0], c.In[0], c.In[2], c.Accumulate
			return p.tn(up)
		}, nil
	}
}

func checkLoRADU[E float](kernel string, c *device.Call, p products[E]) error {
	k, t := contract.Of("cpu", kernel), typeOf[E]()
	if k.Arity(c, 2, 3) {
		dy, b, u := c.In[0], c.In[1], c.In[2]
		k.Matrix("dy", dy, sideType(p, dy), dy.Rows, b.Rows)
		k.Matrix("B", b, t, dy.Cols, b.Cols)
		k.Matrix("u", u, t, dy.Rows, b.Cols)
		k.Output("dB", c.Out[0], t, b.Rows, b.Cols)
		k.Output("du", c.Out[1], t, dy.Rows, b.Cols)
	}
	return k.Err
}
