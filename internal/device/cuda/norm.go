package cuda

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// normThreads is the size of a block that makes one group: it hangs on the
// width and the type alone, so that a group's sums have one order.
func normThreads(width int, t device.Type) int { return min(blockThreads, over(width, wide(t)*32)*32) }

func checkNorm(kernel string, attr device.Norm) error {
	if attr.Width <= 0 || !(attr.Eps >= 0) {
		return fmt.Errorf("cuda: %s: width %d and eps %g: want a positive width and eps of at least 0", kernel, attr.Width, attr.Eps)
	}
	return nil
}

func checkGroups(k *contract.Check, x device.View, width int) {
	activations(k, "x", x, x.Rows, x.Cols)
	if x.Cols%width != 0 {
		k.Failf("x has %d columns, not a multiple of width %d", x.Cols, width)
	}
}

func newNorm(b *Backend, kernel string, attr device.Norm) (enqueue, error) {
	if err := checkNorm(kernel, attr); err != nil {
		return nil, err
	}
	l, err := b.typed("norm", "rmsnorm")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			x := c.In[0]
			k.Overwrites(c)
			checkGroups(&k, x, attr.Width)
			k.Vector("w", c.In[1], device.F32, attr.Width)
			k.Output("y", c.Out[0], x.Type, x.Rows, x.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		return l.of(c.In[0]).on(c.In[0].Len()/attr.Width, normThreads(attr.Width, c.In[0].Type), at(c.Out[0]), at(c.In[0]), at(c.In[1]),
			driver.F32(float32(attr.Eps)), driver.I32(int32(attr.Width)))
	}, err
}

func newNormDX(b *Backend, kernel string, attr device.Norm) (enqueue, error) {
	if err := checkNorm(kernel, attr); err != nil {
		return nil, err
	}
	l, err := b.typed("norm", "rmsnorm_dx")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 3) {
			x := c.In[0]
			k.Overwrites(c)
			checkGroups(&k, x, attr.Width)
			k.Vector("w", c.In[1], device.F32, attr.Width)
			k.Matrix("dy", c.In[2], x.Type, x.Rows, x.Cols)
			k.Output("dx", c.Out[0], x.Type, x.Rows, x.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		return l.of(c.In[0]).on(c.In[0].Len()/attr.Width, normThreads(attr.Width, c.In[0].Type), at(c.Out[0]), at(c.In[0]), at(c.In[1]), at(c.In[2]),
			driver.F32(float32(attr.Eps)), driver.I32(int32(attr.Width)))
	}, err
}

// newNormDW takes the groups' scales first, then sums over the groups.
func newNormDW(b *Backend, kernel string, attr device.Norm) (enqueue, error) {
	if err := checkNorm(kernel, attr); err != nil {
		return nil, err
	}
	scales, err := b.typed("norm", "rmsnorm_scales")
	if err != nil {
		return nil, err
	}
	sums, err := b.typed("norm", "column_sums")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			x := c.In[0]
			checkGroups(&k, x, attr.Width)
			k.Matrix("dy", c.In[1], x.Type, x.Rows, x.Cols)
			k.OutputVector("dw", c.Out[0], device.F32, attr.Width)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		x, groups := c.In[0], c.In[0].Len()/attr.Width
		space, err := b.scratch.at(4 * int64(groups))
		if err != nil {
			return err
		}
		err = scales.of(x).on(groups, normThreads(attr.Width, c.In[0].Type), driver.U64(space), at(x), driver.F32(float32(attr.Eps)), driver.I32(int32(attr.Width)))
		if err != nil {
			return err
		}
		return sums.of(x).on(over(attr.Width, 32), blockThreads, at(c.Out[0]), at(c.In[1]), at(x), driver.U64(space),
			driver.I32(int32(groups)), driver.I32(int32(attr.Width)), driver.I32(count(c.Accumulate)))
	}, err
}

func newBiasGrad(b *Backend, kernel string) (enqueue, error) {
	l, err := b.typed("norm", "column_sums")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 1) {
			dy := c.In[0]
			activations(&k, "dy", dy, dy.Rows, dy.Cols)
			k.OutputVector("db", c.Out[0], device.F32, dy.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		dy := c.In[0]
		return l.of(dy).on(over(dy.Cols, 32), blockThreads, at(c.Out[0]), at(dy), driver.U64(0), driver.U64(0),
			driver.I32(int32(dy.Rows)), driver.I32(int32(dy.Cols)), driver.I32(count(c.Accumulate)))
	}, err
}
