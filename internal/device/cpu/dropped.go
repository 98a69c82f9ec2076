package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cpu/kern"
)

// droppedRows is the rows of du A that portable Go holds at a time.
const droppedRows = 64

// bindLoRADroppedDX is dx[T,C] = dy[T,N] W[N,C] + drop(du[T,R] A[R,C]): the
// elements of the second part join where the mask has a 1, Scale times.
func bindLoRADroppedDX[E float](b *Backend, p products[E]) func(string, device.Dropout) (device.Kernel, error) {
	return func(kernel string, attr device.Dropout) (device.Kernel, error) {
		base, low, scale := &product[E]{alpha: 1}, &product[E]{alpha: 1}, E(attr.Scale())
		return func(c *device.Call) error {
			if err := checkLoRADroppedDX(kernel, c, p); err != nil || c.Out[0].Addr == 0 {
				return err
			}
			dx, du, a, mask := c.Out[0], c.In[2], c.In[3], c.In[4]
			base.y, base.x, base.w, base.accumulate = dx, c.In[0], c.In[1], c.Accumulate
			if err := p.nn(base); err != nil {
				return err
			}
			if err := b.spaces.reserve(0, droppedRows*dx.Cols); err != nil {
				return err
			}
			for t := 0; t < dx.Rows; t += droppedRows {
				n := min(droppedRows, dx.Rows-t)
				low.y = device.View{Addr: b.spaces.common.Addr, Rows: n, Cols: dx.Cols, Type: typeOf[E]()}
				if low.x, low.w = du.Row(t, n), a; low.y.Len() == 0 {
					continue
				}
				if err := p.nn(low); err != nil {
					return err
				}
				for i := range n {
					addKept(device.Slice[E](dx.Row(t+i, 1)), device.Slice[E](low.y.Row(i, 1)), device.Slice[uint32](mask.Row(t+i, 1)), scale)
				}
			}
			return nil
		}, nil
	}
}

// addKept is y += scale x where the mask has a 1.
func addKept[E float](y, x []E, mask []uint32, scale E) {
	for j := range y {
		if mask[j/kern.Cols]>>(j%kern.Cols)&1 == 1 {
			y[j] += scale * x[j]
		}
	}
}

func checkLoRADroppedDX[E float](kernel string, c *device.Call, p products[E]) error {
	k, t := contract.Of("cpu", kernel), typeOf[E]()
	if k.Arity(c, 1, 5) {
		dx, dy, w, du, a := c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3]
		k.Matrix("dy", dy, sideType(p, dy), dy.Rows, w.Rows)
		checkWeight(&k, "W", w, dy.Cols, w.Cols)
		k.Matrix("du", du, t, dy.Rows, a.Rows)
		k.Matrix("A", a, t, du.Cols, w.Cols)
		checkMask(&k, c.In[4], dy.Rows, w.Cols)
		k.Output("dx", dx, sideType(p, dx), dy.Rows, w.Cols)
	}
	return k.Err
}

// bindLoRADroppedDX is lora_dropped_dx as one product, which adds the second part in
// registers.
func (f *fast) bindLoRADroppedDX(kernel string, attr device.Dropout) (device.Kernel, error) {
	q := &product[float32]{alpha: 1}
	return func(c *device.Call) error {
		if err := checkLoRADroppedDX(kernel, c, products[float32](f)); err != nil || c.Out[0].Addr == 0 || c.Out[0].Len() == 0 {
			return err
		}
		q.y, q.x, q.w, q.u, q.v, q.accumulate = c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3], c.Accumulate
		if err := f.describe(q, false, true); err != nil {
			return err
		}
		f.product.LowRank.Kept, f.product.LowRank.KeptScale = bitsOf(c.In[4]), float32(attr.Scale())
		return f.run(q.x)
	}, nil
}
