package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// newAdd is y = a + b for views of one type, A or F64, and any shape; y may be
// a or b.
func newAdd(b *Backend, kernel string) device.Kernel {
	return b.overElements(kernel, 2)
}

// newAccumulate is y += a, under the same rules.
func newAccumulate(b *Backend, kernel string) device.Kernel {
	return b.overElements(kernel, 1)
}

// sum adds two views into a third, element by element.
type sum[E float] struct{ y, a, b []E }

func (s *sum[E]) prepare(*device.Call) (rows, grain int, err error) { return 0, 0, nil }

func (s *sum[E]) compute(lo, hi int) {
	y, a, b := s.y[lo:hi], s.a[lo:hi], s.b[lo:hi]
	for i := range y {
		y[i] = a[i] + b[i]
	}
}

// overElements runs sum on whichever float type the output has; with one input
// the output is the other one.
func (b *Backend) overElements(kernel string, inputs int) device.Kernel {
	single, double := &sum[float32]{}, &sum[float64]{}
	j32, j64 := &rowJob{kernel: single}, &rowJob{kernel: double}
	if b.fast != nil {
		j32.kernel = &fastSum{single, b.fast.set}
	}
	j32.job, j64.job = j32, j64
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if !k.Arity(c, 1, inputs) {
			return k.Err
		}
		k.Overwrites(c)
		y := c.Out[0]
		n := c.In[0].Len()
		left, right := c.In[0], y
		if inputs == 2 {
			right = c.In[1]
		}
		if y.Type != b.activations && y.Type != device.F64 {
			k.Failf("y is %s, want %s or f64", y.Type, b.activations)
		}
		k.OutputVector("y", y, y.Type, n)
		k.Vector("a", left, y.Type, n)
		if inputs == 2 {
			k.Vector("b", right, y.Type, n)
		}
		if k.Err != nil || y.Addr == 0 {
			return k.Err
		}
		if y.Type == device.F32 {
			*single = sum[float32]{device.Slice[float32](y), device.Slice[float32](left), device.Slice[float32](right)}
			return b.runRows(j32, n, taskElements)
		}
		*double = sum[float64]{device.Slice[float64](y), device.Slice[float64](left), device.Slice[float64](right)}
		return b.runRows(j64, n, taskElements)
	}
}

// zero is y = 0 for an output of any type.
type zero struct {
	kernel string
	y      []byte
}

func (z *zero) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", z.kernel)
	if k.Arity(c, 1, 0) {
		k.Overwrites(c)
		k.OutputVector("y", c.Out[0], c.Out[0].Type, c.Out[0].Len())
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	z.y = rawBytes(c.Out[0])
	return len(z.y), 1 << 20, nil
}

func (z *zero) compute(lo, hi int) { clear(z.y[lo:hi]) }
