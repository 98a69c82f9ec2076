package cuda

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// squaresBlock is the number of elements of one partial sum of sum_squares, as
// its contract states.
const squaresBlock = 4096

func newSumSquares(b *Backend, kernel string) (enqueue, error) {
	parts, err := b.launch("optimiser", "sum_squares", 0)
	if err != nil {
		return nil, err
	}
	total, err := b.launch("vectors", "vec_sum", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 1) {
			k.Overwrites(c)
			k.Vector("x", c.In[0], device.F32, c.In[0].Len())
			k.OutputVector("y", c.Out[0], device.F64, 1)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.In[0].Len()
		blocks := over(n, squaresBlock)
		space, err := b.scratch.at(8 * int64(blocks))
		if err != nil {
			return err
		}
		if err := parts.on(blocks, blockThreads, driver.U64(space), at(c.In[0]), driver.I64(int64(n))); err != nil {
			return err
		}
		return total.on(1, blockThreads, at(c.Out[0]), driver.U64(space), driver.I64(int64(blocks)))
	}, err
}

func newAdamW(b *Backend, kernel string, attr device.AdamW) (enqueue, error) {
	if !(attr.Beta1 >= 0 && attr.Beta1 < 1 && attr.Beta2 >= 0 && attr.Beta2 < 1 && attr.Eps >= 0 && finite(attr.WeightDecay)) {
		return nil, fmt.Errorf("cuda: %s: %+v: want betas in [0,1), eps of at least 0 and a finite weight decay", kernel, attr)
	}
	l, err := b.launch("optimiser", "adamw", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 3, 2) {
			g := c.In[0]
			k.Overwrites(c)
			k.Vector("g", g, device.F32, g.Len())
			k.Vector("control", c.In[1], device.F64, 4)
			k.Vector("p", c.Out[0], device.F32, g.Len())
			k.Vector("m", c.Out[1], device.F32, g.Len())
			k.Vector("v", c.Out[2], device.F32, g.Len())
		}
		if k.Err != nil {
			return k.Err
		}
		n := c.In[0].Len()
		return l.on(over(n, perBlock), blockThreads, at(c.Out[0]), at(c.Out[1]), at(c.Out[2]), at(c.In[0]), at(c.In[1]),
			driver.F32(float32(attr.Beta1)), driver.F32(float32(attr.Beta2)), driver.F32(float32(1-attr.Beta1)), driver.F32(float32(1-attr.Beta2)),
			driver.F32(float32(attr.Eps)), driver.F64(attr.WeightDecay), driver.I64(int64(n)))
	}, err
}
