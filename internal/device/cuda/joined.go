package cuda

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

var _ device.Joiner = (*Backend)(nil)

// Joins says whether the kernel is one of joinedTable: a launch costs as much as a short
// kernel does.
func (b *Backend) Joins(kernel string) bool { return joinedTable[kernel] != nil }

// joinedTable are the kernels that do several others' work, with their bits.
var joinedTable = map[string]binder{
	"add_rmsnorm": withAttribute(newAddNorm),
	"rope_cache":  withAttribute(newRopeCache),
}

// newAddNorm is add and rmsnorm of the sum.
func newAddNorm(b *Backend, kernel string, attr device.Norm) (enqueue, error) {
	if err := checkNorm(kernel, attr); err != nil {
		return nil, err
	}
	l, err := b.typed("norm", "add_rmsnorm")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 2, 3) {
			a := c.In[0]
			k.Overwrites(c)
			checkGroups(&k, a, attr.Width)
			k.Matrix("b", c.In[1], a.Type, a.Rows, a.Cols)
			k.Vector("w", c.In[2], device.F32, attr.Width)
			k.Matrix("sum", c.Out[0], a.Type, a.Rows, a.Cols)
			k.Matrix("y", c.Out[1], a.Type, a.Rows, a.Cols)
		}
		if k.Err != nil {
			return k.Err
		}
		a := c.In[0]
		return l.of(a).on(a.Len()/attr.Width, normThreads(attr.Width, a.Type), at(c.Out[0]), at(c.Out[1]), at(a), at(c.In[1]), at(c.In[2]),
			driver.F32(float32(attr.Eps)), num(attr.Width))
	}, err
}

// newRopeCache is rope of q and of k, and cache_write of the latter and of v.
func newRopeCache(b *Backend, kernel string, attr device.Rope) (enqueue, error) {
	if attr.HeadDim <= 0 || attr.HeadDim%2 != 0 || attr.Inverse {
		return nil, fmt.Errorf("cuda: %s: %+v: want a positive even head size, forward", kernel, attr)
	}
	l, err := b.typed("rope", "rope_cache")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 3, 5) {
			q, key := c.In[0], c.In[1]
			k.Overwrites(c)
			activations(&k, "q", q, q.Rows, q.Cols)
			k.Matrix("k", key, q.Type, q.Rows, key.Cols)
			k.Matrix("v", c.In[2], q.Type, q.Rows, key.Cols)
			k.Matrix("table", c.In[3], device.F32, q.Rows, attr.HeadDim)
			k.Vector("slot", c.In[4], device.I32, q.Rows)
			k.Matrix("y", c.Out[0], q.Type, q.Rows, q.Cols)
			k.Matrix("keys", c.Out[1], q.Type, c.Out[1].Rows, key.Cols)
			k.Matrix("values", c.Out[2], q.Type, c.Out[1].Rows, key.Cols)
			if q.Cols%attr.HeadDim != 0 || key.Cols%attr.HeadDim != 0 {
				k.Failf("q and k have %d and %d columns, not multiples of head size %d", q.Cols, key.Cols, attr.HeadDim)
			}
		}
		if k.Err != nil {
			return k.Err
		}
		q, heads, kv, half := c.In[0], c.In[0].Cols/attr.HeadDim, c.In[1].Cols/attr.HeadDim, attr.HeadDim/2
		return l.of(q).on(over(q.Rows*(heads+2*kv)*over(half, wide(q.Type)), blockThreads), blockThreads, at(c.Out[0]), at(c.Out[1]), at(c.Out[2]),
			at(q), at(c.In[1]), at(c.In[2]), at(c.In[3]), at(c.In[4]), num(heads), num(kv), num(half), num(q.Rows))
	}, err
}
