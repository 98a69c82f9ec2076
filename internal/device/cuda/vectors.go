package cuda

import (
	"fmt"
	"slices"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// vectorTable are the kernels of vectors.cu.
var vectorTable = map[string]binder{
	"segment_sum":      plain(newSegmentSum),
	"segment_sum_grad": plain(newSegmentSumGrad),
	"vec_gather":       plain(newVecGather),
	"vec_scatter":      plain(newVecScatter),
	"vec_unary":        withAttribute(newVecUnary),
	"vec_binary":       withAttribute(newVecBinary),
	"vec_sum":          plain(newVecSum),
	"vec_fill":         plain(newVecFill),
	"vec_convert":      plain(newVecConvert),
}

// unaries and binaries stand in the order of the enums in vectors.cu.
var (
	unaries = []string{"neg", "scale", "shift", "square", "exp", "log", "softplus", "sigmoid", "relu", "step",
		"reciprocal", "clamp", "inside", "tanh", "sign"}
	binaries = []string{"add", "sub", "mul", "div", "max", "min", "greater"}
)

func newVecUnary(b *Backend, kernel string, attr device.Vec) (enqueue, error) {
	op := slices.Index(unaries, attr.Op)
	if op < 0 {
		return nil, fmt.Errorf("cuda: %s: no operation %q", kernel, attr.Op)
	}
	l, err := b.launch("vectors", "vec_unary", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 1) {
			k.Overwrites(c)
			k.Vector("x", c.In[0], device.F64, c.In[0].Len())
			k.OutputVector("y", c.Out[0], device.F64, c.In[0].Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.In[0].Len()
		return l.on(over(n, blockThreads), blockThreads, at(c.Out[0]), at(c.In[0]), driver.I64(int64(n)),
			driver.I32(int32(op)), driver.F64(attr.Const), driver.F64(attr.Lo), driver.F64(attr.Hi))
	}, err
}

func newVecBinary(b *Backend, kernel string, attr device.Vec) (enqueue, error) {
	op := slices.Index(binaries, attr.Op)
	if op < 0 {
		return nil, fmt.Errorf("cuda: %s: no operation %q", kernel, attr.Op)
	}
	l, err := b.launch("vectors", "vec_binary", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		k.VecBinary(c)
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.In[0].Len()
		return l.on(over(n, blockThreads), blockThreads, at(c.Out[0]), at(c.In[0]), at(c.In[1]), driver.I64(int64(n)),
			driver.I32(count(c.In[1].Len() > 1)), driver.I32(int32(op)))
	}, err
}

func newVecSum(b *Backend, kernel string) (enqueue, error) {
	l, err := b.launch("vectors", "vec_sum", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 1) {
			k.Overwrites(c)
			k.Vector("x", c.In[0], device.F64, c.In[0].Len())
			k.OutputVector("y", c.Out[0], device.F64, 1)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		return l.on(1, blockThreads, at(c.Out[0]), at(c.In[0]), driver.I64(int64(c.In[0].Len())))
	}, err
}

func newVecFill(b *Backend, kernel string) (enqueue, error) {
	l, err := b.launch("vectors", "vec_fill", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			k.Overwrites(c)
			k.Vector("x", c.In[0], device.F64, 1)
			k.OutputVector("y", c.Out[0], device.F64, c.In[1].Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.In[1].Len()
		return l.on(over(n, blockThreads), blockThreads, at(c.Out[0]), at(c.In[0]), driver.I64(int64(n)))
	}, err
}

// newVecConvert is y = x between F32 and F64; the views say which way.
func newVecConvert(b *Backend, kernel string) (enqueue, error) {
	up, err := b.launch("vectors", "vec_up", 0)
	if err != nil {
		return nil, err
	}
	down, err := b.launch("vectors", "vec_down", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		l, from, to := up, device.F32, device.F64
		if k.Arity(c, 1, 1) {
			if c.Out[0].Type == device.F32 {
				l, from, to = down, to, from
			}
			k.Overwrites(c)
			k.Vector("x", c.In[0], from, c.In[0].Len())
			k.OutputVector("y", c.Out[0], to, c.In[0].Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.In[0].Len()
		return l.on(over(n, blockThreads), blockThreads, at(c.Out[0]), at(c.In[0]), driver.I64(int64(n)))
	}, err
}

func newVecGather(b *Backend, kernel string) (enqueue, error) {
	l, err := b.launch("vectors", "vec_gather", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			x, index := c.In[0], c.In[1]
			k.Overwrites(c)
			k.Vector("x", x, device.F64, x.Len())
			k.Vector("index", index, device.I32, index.Len())
			k.OutputVector("y", c.Out[0], device.F64, index.Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.In[1].Len()
		return l.on(over(n, blockThreads), blockThreads, at(c.Out[0]), at(c.In[0]), at(c.In[1]), driver.I64(int64(n)))
	}, err
}

func newSegmentSumGrad(b *Backend, kernel string) (enqueue, error) {
	l, err := b.launch("vectors", "segment_sum_grad", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			ds, sequence := c.In[0], c.In[1]
			k.Overwrites(c)
			k.Vector("ds", ds, device.F64, ds.Len())
			k.Vector("sequence", sequence, device.I32, sequence.Len())
			k.OutputVector("dx", c.Out[0], device.F32, sequence.Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.In[1].Len()
		return l.on(over(n, blockThreads), blockThreads, at(c.Out[0]), at(c.In[0]), at(c.In[1]), driver.I64(int64(n)))
	}, err
}

func newSegmentSum(b *Backend, kernel string) (enqueue, error) {
	l, err := b.launch("vectors", "segment_sum", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			x := c.In[0]
			k.Overwrites(c)
			k.Vector("x", x, device.F32, x.Len())
			k.Vector("sequence", c.In[1], device.I32, x.Len())
			k.OutputVector("s", c.Out[0], device.F64, c.Out[0].Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		return l.on(c.Out[0].Len(), 32, at(c.Out[0]), at(c.In[0]), at(c.In[1]), driver.I32(int32(c.In[0].Len())))
	}, err
}

func newVecScatter(b *Backend, kernel string) (enqueue, error) {
	l, err := b.launch("vectors", "vec_scatter", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 3) {
			dy, like := c.In[0], c.In[2]
			k.Overwrites(c)
			k.Vector("dy", dy, device.F64, dy.Len())
			k.Vector("index", c.In[1], device.I32, dy.Len())
			k.OutputVector("y", c.Out[0], device.F64, like.Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		return l.on(c.In[2].Len(), 32, at(c.Out[0]), at(c.In[0]), at(c.In[1]), driver.I32(int32(c.In[0].Len())))
	}, err
}
