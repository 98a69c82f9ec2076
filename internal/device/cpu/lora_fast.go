package cpu

import "align/internal/device"

// bindLoRA is lora_linear as one product: where the adapter reads the same x,
// the engine takes u = scale x A' from the x that it has packed, with the bits
// that a product of its own would give.
func (f *fast) bindLoRA(kernel string, attr device.LoRA) (device.Kernel, error) {
	apart, err := bindLoRALinear[float32](f.b, f)(kernel, attr)
	if err != nil {
		return nil, err
	}
	q := &product[float32]{alpha: 1}
	return func(c *device.Call) error {
		if err := checkLoRALinear(kernel, c, products[float32](f)); err != nil || c.Out[0].Addr == 0 && !wantsLow(c) {
			return err
		}
		x, xd, w, a := c.In[0], c.In[1], c.In[2], c.In[3]
		if x.Addr != xd.Addr || x.Len() == 0 || c.Out[0].Addr == 0 {
			return apart(c)
		}
		var err error
		if q.u, err = lowOf[float32](f.b, c); err != nil {
			return err
		}
		q.y, q.x, q.w, q.v = c.Out[0], x, w, c.In[4]
		q.bias = device.View{}
		if len(c.In) == 6 {
			q.bias = c.In[5]
		}
		if err := f.describe(q, false, false); err != nil {
			return err
		}
		f.product.LowRank.Down, f.product.LowRank.Scale = matrixOf(a), float32(attr.Scale)
		return f.run(x)
	}, nil
}
