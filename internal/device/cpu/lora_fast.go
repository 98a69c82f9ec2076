package cpu

import (
	"fmt"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/gemm"
)

// bindLoRA is lora_linear as one product: where the adapter reads the same x, or some
// of its elements, the engine takes u = scale x A' from the x that it has packed, with the bits
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
		masked := isMask(xd)
		if x.Addr != xd.Addr && !(masked && f.engine.KeepsX(x.Cols)) || x.Len() == 0 || c.Out[0].Addr == 0 {
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
		if masked {
			f.product.LowRank.XKept = bitsOf(xd)
		}
		return f.run(x)
	}, nil
}

// bindLoRADU is lora_du in one pass over dy: dB reads its panels where du has just
// packed them, with the bits that two products give.
func (f *fast) bindLoRADU(kernel string, attr device.LoRA) (device.Kernel, error) {
	apart, err := bindLoRADU(products[float32](f))(kernel, attr)
	if err != nil {
		return nil, err
	}
	down := &product[float32]{alpha: float32(attr.Scale)}
	return func(c *device.Call) error {
		if err := checkLoRADU(kernel, c, products[float32](f)); err != nil {
			return err
		}
		dB, dy := c.Out[0], c.In[0]
		if down.y, down.x, down.w = c.Out[1], dy, c.In[1]; dB.Addr == 0 || down.y.Addr == 0 || dy.Len() == 0 {
			return apart(c)
		}
		if err := f.describe(down, false, true); err != nil {
			return err
		}
		if !f.engine.TakesGradient(&f.product, dB.Cols) {
			return apart(c)
		}
		return f.runWithGradient(dy, &gemm.Gradient{Y: matrixOf(dB), U: matrixOf(c.In[2]), Accumulate: c.Accumulate})
	}, nil
}

// runWithGradient is run beside a gradient.
func (f *fast) runWithGradient(x device.View, g *gemm.Gradient) error {
	f.passes(x)
	if f.product.XPasses && !f.engine.TakesGradient(&f.product, g.U.Stride) {
		f.product.XPasses = false // the gradient turns panels
	}
	sizes, beside := f.engine.Sizes(&f.product), f.engine.GradientSizes(&f.product)
	if err := f.reserveWorkers(max(sizes.Worker, beside.Worker)); err != nil {
		return err
	}
	passed := sizes.Shared
	if !f.product.XPasses {
		passed = 0
	}
	if err := f.b.spaces.grow(&f.kept.scratch, words8(passed+beside.Shared)); err != nil {
		return err
	}
	panels, holds, err := f.panelsFor(x, f.product.XPasses, sizes.Shared)
	if err != nil {
		return err
	}
	f.space.Shared, f.product.XPacked = pointer(panels.Addr), holds
	shared := unsafe.Add(pointer(f.kept.scratch.Addr), passed)
	if err := f.engine.RunWithGradient(&f.product, f.space, g, shared); err != nil {
		f.kept.forget()
		return fmt.Errorf("cpu: %w", err)
	}
	return nil
}
