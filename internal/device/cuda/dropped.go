package cuda

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// newLoRADroppedDX is dx[T,C] = dy[T,N] W[N,C] + drop(du[T,R] A[R,C]), the second
// part by itself in working memory and under the draws of xd. The values of xd are
// not read.
func newLoRADroppedDX(b *Backend, kernel string, attr device.Dropout) (enqueue, error) {
	l := newLauncher(b)
	var err error
	bind := func(run enqueue, failed error) enqueue {
		if err == nil {
			err = failed
		}
		return run
	}
	base, low := bind(newLinearDX(b, "linear_dx")), bind(newMatMul(b, "matmul_nn", device.MatMul{Alpha: 1}))
	drop, add := bind(newDropout(b, "dropout", attr)), bind(newAdd(b, "accumulate", 1))
	var part device.Call
	out, in := make([]device.View, 1), make([]device.View, 3)
	run := func(kernel enqueue, y device.View, x ...device.View) error {
		out[0] = y
		part = device.Call{Out: out, In: in[:copy(in, x)]}
		return kernel(&part)
	}
	return func(c *device.Call) error {
		if err := checkLoRADroppedDX(kernel, c); err != nil || c.Out[0].Addr == 0 || c.Out[0].Len() == 0 {
			return err
		}
		dx, du, a, key, seed := c.Out[0], c.In[2], c.In[3], c.In[5], c.In[6]
		out[0] = dx
		part = device.Call{Out: out, In: in[:copy(in, c.In[:2])], Accumulate: c.Accumulate}
		if err := base(&part); err != nil {
			return err
		}
		at, err := l.room(slotDropped, dx.Bytes())
		if err != nil {
			return err
		}
		dropped := dx
		dropped.Addr = uintptr(at)
		if err := run(low, dropped, du, a); err != nil {
			return err
		}
		if err := run(drop, dropped, dropped, key, seed); err != nil {
			return err
		}
		return run(add, dx, dropped)
	}, err
}

func checkLoRADroppedDX(kernel string, c *device.Call) error {
	k := contract.Of("cuda", kernel)
	if k.Arity(c, 1, 7) {
		dx, dy, w, du, a, xd := c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3], c.In[4]
		activations(&k, "dy", dy, dy.Rows, w.Rows)
		checkWeight(&k, "W", w, dy.Cols, w.Cols)
		activations(&k, "du", du, dy.Rows, a.Rows)
		k.Matrix("A", a, device.F32, du.Cols, w.Cols)
		activations(&k, "xd", xd, dy.Rows, w.Cols)
		k.Vector("key", c.In[5], device.I32, dy.Rows)
		k.Vector("seed", c.In[6], device.I32, 2)
		activationsOut(&k, "dx", dx, dy.Rows, w.Cols)
	}
	return k.Err
}
