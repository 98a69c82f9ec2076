package cuda

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// sampleTable is the kernel of sampling.cu.
var sampleTable = map[string]binder{"sample": withAttribute(newSample)}

// maxDrawn is the largest vocabulary whose weights' sum fits 64 bits.
const maxDrawn = 1 << 19

// sampleThreads are those of a row, at most: more leave a thread too few registers.
const sampleThreads = 768

// Samples says that the backend draws tokens: it has the kernel sample.
func (b *Backend) Samples() bool { return true }

func newSample(b *Backend, kernel string, attr device.Sampling) (enqueue, error) {
	if !(attr.Temperature >= 0) || math.IsInf(attr.Temperature, 1) || attr.TopK < 0 || !(attr.TopP > 0 && attr.TopP <= 1) || !(attr.MinP >= 0 && attr.MinP < 1) {
		return nil, fmt.Errorf("cuda: %s: %+v: want a temperature and top_k of 0 or more, top_p in (0, 1] and min_p in [0, 1)", kernel, attr)
	}
	l := newLauncher(b)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 2, 2) {
			z := c.In[0]
			k.Overwrites(c)
			k.Matrix("z", z, device.F32, z.Rows, z.Cols)
			k.Vector("uniform", c.In[1], device.F64, z.Rows)
			k.Vector("id", c.Out[0], device.I32, z.Rows)
			k.Vector("lp", c.Out[1], device.F64, z.Rows)
			if z.Cols < 1 || z.Cols > maxDrawn {
				k.Failf("z has %d columns: want 1 to %d", z.Cols, maxDrawn)
			}
		}
		if k.Err != nil || c.In[0].Rows == 0 {
			return k.Err
		}
		z := c.In[0]
		weights, err := l.room(slotDraws, 8*int64(z.Len()))
		if err != nil {
			return err
		}
		return l.run("sampling", "sample", 0, driver.Dim{X: z.Rows, Y: 1, Z: 1}, driver.Dim{X: min(sampleThreads, over(z.Cols, 32)*32), Y: 1, Z: 1},
			at(c.Out[0]), at(c.Out[1]), driver.U64(weights), at(z), at(c.In[1]), num(z.Cols),
			driver.F64(attr.Temperature), num(attr.TopK), driver.F64(attr.TopP), driver.F64(attr.MinP))
	}, nil
}
