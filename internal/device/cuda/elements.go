package cuda

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// elementTable are the kernels of elements.cu, norm.cu and optimiser.cu.
var elementTable = map[string]binder{
	"add":          plain(func(b *Backend, kernel string) (enqueue, error) { return newAdd(b, kernel, 2) }),
	"accumulate":   plain(func(b *Backend, kernel string) (enqueue, error) { return newAdd(b, kernel, 1) }),
	"zero":         plain(newZero),
	"swiglu":       plain(newSwiGLU),
	"swiglu_grad":  plain(newSwiGLUGrad),
	"dropout":      withAttribute(newDropout),
	"dropout_mask": withAttribute(newDropoutMask),
	"rmsnorm":      withAttribute(newNorm),
	"rmsnorm_dx":   withAttribute(newNormDX),
	"rmsnorm_dw":   withAttribute(newNormDW),
	"bias_grad":    plain(newBiasGrad),
	"sum_squares":  plain(newSumSquares),
	"adamw":        withAttribute(newAdamW),
}

// block is the number of threads of blocks whose size is not chosen.
const blockThreads = 256

// perBlock is the number of float32 of such a block of elements.cu and
// optimiser.cu.
const perBlock = 1024

// wide is the number of elements that a thread of the kernels on activations
// makes: 16 bytes of them.
func wide(t device.Type) int { return 16 / t.Size() }

// neighbours is the number of blocks for n elements of a type.
func neighbours(n int, t device.Type) int { return over(n, blockThreads*wide(t)) }

// newAdd is y = a + b, or with one input y += a, for activations and F64.
func newAdd(b *Backend, kernel string, inputs int) (enqueue, error) {
	single, err := b.typed("elements", "add")
	if err != nil {
		return nil, err
	}
	double, err := b.launch("elements", "add_f64", 0)
	if err != nil {
		return nil, err
	}
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if !k.Arity(c, 1, inputs) {
			return k.Err
		}
		k.Overwrites(c)
		y := c.Out[0]
		n, left, right := c.In[0].Len(), c.In[0], y
		if inputs == 2 {
			right = c.In[1]
		}
		if y.Type != device.F32 && y.Type != device.BF16 && y.Type != device.F64 {
			k.Failf("y is %s, want f32, bf16 or f64", y.Type)
		}
		k.OutputVector("y", y, y.Type, n)
		k.Vector("a", left, y.Type, n)
		if inputs == 2 {
			k.Vector("b", right, y.Type, n)
		}
		if k.Err != nil || y.Addr == 0 {
			return k.Err
		}
		if y.Type == device.F64 {
			return double.on(over(n, blockThreads), blockThreads, at(y), at(left), at(right), driver.I64(int64(n)))
		}
		return single.of(y).on(neighbours(n, y.Type), blockThreads, at(y), at(left), at(right), driver.I64(int64(n)))
	}, nil
}

func newZero(b *Backend, kernel string) (enqueue, error) {
	l, err := b.launch("elements", "zero", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 0) {
			k.Overwrites(c)
			k.OutputVector("y", c.Out[0], c.Out[0].Type, c.Out[0].Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.Out[0].Bytes()
		return l.on(over(int(n), 4*perBlock), blockThreads, at(c.Out[0]), driver.I64(n))
	}, err
}

func newSwiGLU(b *Backend, kernel string) (enqueue, error) {
	l, err := b.typed("elements", "swiglu")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			g := c.In[0]
			k.Overwrites(c)
			activations(&k, "g", g, g.Rows, g.Cols)
			k.Matrix("u", c.In[1], g.Type, g.Rows, g.Cols)
			k.Output("y", c.Out[0], g.Type, g.Rows, g.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.In[0].Len()
		return l.of(c.In[0]).on(neighbours(n, c.In[0].Type), blockThreads, at(c.Out[0]), at(c.In[0]), at(c.In[1]), driver.I64(int64(n)))
	}, err
}

func newSwiGLUGrad(b *Backend, kernel string) (enqueue, error) {
	l, err := b.typed("elements", "swiglu_grad")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 3, 3) {
			g := c.In[0]
			k.Overwrites(c)
			activations(&k, "g", g, g.Rows, g.Cols)
			k.Matrix("u", c.In[1], g.Type, g.Rows, g.Cols)
			k.Matrix("dy", c.In[2], g.Type, g.Rows, g.Cols)
			k.Output("dg", c.Out[0], g.Type, g.Rows, g.Cols)
			k.Output("du", c.Out[1], g.Type, g.Rows, g.Cols)
			k.Output("y", c.Out[2], g.Type, g.Rows, g.Cols)
		}
		if k.Err != nil {
			return k.Err
		}
		n := c.In[0].Len()
		return l.of(c.In[0]).on(neighbours(n, c.In[0].Type), blockThreads, at(c.Out[0]), at(c.Out[1]), at(c.Out[2]), at(c.In[0]), at(c.In[1]), at(c.In[2]),
			driver.I64(int64(n)))
	}, err
}

// perDraw is the number of columns that a draw of Philox serves, and a thread makes.
const perDraw = 8

func newDropout(b *Backend, kernel string, attr device.Dropout) (enqueue, error) {
	if err := attr.Check(); err != nil {
		return nil, fmt.Errorf("cuda: %s: %w", kernel, err)
	}
	l, err := b.typed("elements", "dropout")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 3) {
			x := c.In[0]
			k.Overwrites(c)
			activations(&k, "x", x, x.Rows, x.Cols)
			k.Vector("key", c.In[1], device.I32, x.Rows)
			k.Vector("seed", c.In[2], device.I32, 2)
			k.Output("y", c.Out[0], x.Type, x.Rows, x.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		x := c.In[0]
		return l.of(x).on(over(x.Rows*over(x.Cols, perDraw), blockThreads), blockThreads, at(c.Out[0]), at(x), at(c.In[1]), at(c.In[2]),
			driver.U32(attr.Stream), driver.U32(attr.Limit()), driver.F32(float32(attr.Scale())), driver.I32(int32(x.Rows)), driver.I32(int32(x.Cols)))
	}, err
}
