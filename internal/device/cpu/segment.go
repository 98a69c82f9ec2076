package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// The kernels on loss vectors work on a few thousand elements: they run on the
// caller's worker, in ascending order.

// newSegmentSum is s[S] (F64) = sum of x[n] (A) with sequence[n] = s, n
// ascending.
func newSegmentSum[E float](kernel string) device.Kernel {
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 2) {
			s, x, sequence := c.Out[0], c.In[0], c.In[1]
			k.Overwrites(c)
			k.Vector("x", x, typeOf[E](), x.Len())
			k.Vector("sequence", sequence, device.I32, x.Len())
			k.OutputVector("s", s, device.F64, s.Len())
			checkIndices(&k, "sequence", device.Slice[int32](sequence), 0, s.Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		s, x := device.Slice[float64](c.Out[0]), device.Slice[E](c.In[0])
		clear(s)
		for n, i := range device.Slice[int32](c.In[1]) {
			s[i] += float64(x[n])
		}
		return nil
	}
}

// newSegmentSumGrad is dx[N] (A) = ds[sequence[n]] (F64).
func newSegmentSumGrad[E float](kernel string) device.Kernel {
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 2) {
			dx, ds, sequence := c.Out[0], c.In[0], c.In[1]
			k.Overwrites(c)
			k.Vector("ds", ds, device.F64, ds.Len())
			k.Vector("sequence", sequence, device.I32, sequence.Len())
			k.OutputVector("dx", dx, typeOf[E](), sequence.Len())
			checkIndices(&k, "sequence", device.Slice[int32](sequence), 0, ds.Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		dx, ds := device.Slice[E](c.Out[0]), device.Slice[float64](c.In[0])
		for n, i := range device.Slice[int32](c.In[1]) {
			dx[n] = E(ds[i])
		}
		return nil
	}
}

// newVecGather is y[P] = x[index[p]].
func newVecGather(kernel string) device.Kernel {
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 2) {
			y, x, index := c.Out[0], c.In[0], c.In[1]
			k.Overwrites(c)
			k.Vector("x", x, device.F64, x.Len())
			k.Vector("index", index, device.I32, index.Len())
			k.OutputVector("y", y, device.F64, index.Len())
			checkIndices(&k, "index", device.Slice[int32](index), 0, x.Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		y, x := device.Slice[float64](c.Out[0]), device.Slice[float64](c.In[0])
		for p, i := range device.Slice[int32](c.In[1]) {
			y[p] = x[i]
		}
		return nil
	}
}

// newVecScatter is y[S] = sum of dy[p] at index[p], p ascending.
func newVecScatter(kernel string) device.Kernel {
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 3) {
			y, dy, index, like := c.Out[0], c.In[0], c.In[1], c.In[2]
			k.Overwrites(c)
			k.Vector("dy", dy, device.F64, dy.Len())
			k.Vector("index", index, device.I32, dy.Len())
			k.OutputVector("y", y, device.F64, like.Len())
			checkIndices(&k, "index", device.Slice[int32](index), 0, like.Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		y, dy := device.Slice[float64](c.Out[0]), device.Slice[float64](c.In[0])
		clear(y)
		for p, i := range device.Slice[int32](c.In[1]) {
			y[i] += dy[p]
		}
		return nil
	}
}
