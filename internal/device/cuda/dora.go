package cuda

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// doraTable are the kernels of dora.cu.
var doraTable = map[string]binder{
	"dora_norm":  withAttribute(newDoRANorm),
	"dora_scale": withAttribute(newDoRAScale),
	"dora_dm":    plain(newDoRADM),
}

func newDoRANorm(b *Backend, kernel string, attr device.LoRA) (enqueue, error) {
	l, err := b.launch("dora", "dora_norm", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 4) {
			bs := c.In[1]
			k.Overwrites(c)
			k.Vector("squares", c.In[0], device.F64, bs.Rows)
			k.Matrix("B", bs, device.F32, bs.Rows, bs.Cols)
			k.Matrix("A W'", c.In[2], device.F32, bs.Cols, bs.Rows)
			k.Matrix("A A'", c.In[3], device.F32, bs.Cols, bs.Cols)
			k.OutputVector("n", c.Out[0], device.F32, bs.Rows)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		rows, rank := c.In[1].Rows, c.In[1].Cols
		return l.on(over(rows, blockThreads), blockThreads, at(c.Out[0]), at(c.In[0]), at(c.In[1]), at(c.In[2]), at(c.In[3]),
			driver.F64(attr.Scale), driver.I32(int32(rows)), driver.I32(int32(rank)))
	}, err
}

func newDoRAScale(b *Backend, kernel string, attr device.DoRA) (enqueue, error) {
	if !finite(attr.Shift) {
		return nil, fmt.Errorf("cuda: %s: shift is %v", kernel, attr.Shift)
	}
	l, err := b.typed("dora", "dora_scale")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		biased := len(c.In) == 4
		var bias device.View
		if k.Arity(c, 1, 3+int(count(biased))) {
			z := c.In[0]
			k.Overwrites(c)
			activations(&k, "z", z, z.Rows, z.Cols)
			k.Vector("m", c.In[1], device.F32, z.Cols)
			k.Vector("n", c.In[2], device.F32, z.Cols)
			k.Output("y", c.Out[0], z.Type, z.Rows, z.Cols)
			if biased {
				bias = c.In[3]
				k.Vector("bias", bias, device.F32, z.Cols)
			}
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		z := c.In[0]
		grid, block := driver.Dim{X: z.Rows, Y: over(z.Cols, blockThreads), Z: 1}, driver.Dim{X: blockThreads, Y: 1, Z: 1}
		return l.of(z).over(grid, block, at(c.Out[0]), at(z), at(c.In[1]), at(c.In[2]), at(bias), driver.F32(float32(attr.Shift)), num(z.Cols))
	}, err
}

func newDoRADM(b *Backend, kernel string) (enqueue, error) {
	l, err := b.typed("dora", "dora_dm")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 3) {
			z := c.In[0]
			activations(&k, "z", z, z.Rows, z.Cols)
			k.Vector("n", c.In[1], device.F32, z.Cols)
			k.Matrix("dy", c.In[2], z.Type, z.Rows, z.Cols)
			k.OutputVector("dm", c.Out[0], device.F32, z.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		z := c.In[0]
		return l.of(z).on(over(z.Cols, 32), blockThreads, at(c.Out[0]), at(z), at(c.In[1]), at(c.In[2]),
			num(z.Rows), num(z.Cols), driver.I32(count(c.Accumulate)))
	}, err
}
