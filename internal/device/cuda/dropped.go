package cuda

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// newDropoutMask is a bit for each column of a row: 1 where dropout keeps it.
func newDropoutMask(b *Backend, kernel string, attr device.Dropout) (enqueue, error) {
	if err := attr.Check(); err != nil {
		return nil, fmt.Errorf("cuda: %s: %w", kernel, err)
	}
	l, err := b.launch("elements", "dropout_mask", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			k.Overwrites(c)
			k.Vector("key", c.In[0], device.I32, c.In[0].Len())
			k.Vector("seed", c.In[1], device.I32, 2)
			k.Output("mask", c.Out[0], device.I32, c.In[0].Len(), c.Out[0].Cols)
		}
		y := c.Out[0]
		if k.Err != nil || y.Addr == 0 || y.Len() == 0 {
			return k.Err
		}
		return l.on(over(y.Len(), blockThreads), blockThreads, at(y), at(c.In[0]), at(c.In[1]),
			driver.U32(attr.Stream), driver.U32(attr.Limit()), driver.I32(int32(y.Rows)), driver.I32(int32(y.Cols)))
	}, err
}

// isMask says whether an input is a mask.
func isMask(v device.View) bool { return v.Type == device.I32 }

// checkMask checks a mask of rows x cols elements.
func checkMask(k *contract.Check, mask device.View, rows, cols int) {
	k.Matrix("mask", mask, device.I32, rows, over(cols, 32))
}

// keeper makes copies of which a mask drops elements, in working memory: products take
// no mask.
type keeper struct {
	l     *launcher
	entry typed
}

func newKeeper(b *Backend) (k keeper, err error) {
	k.l = newLauncher(b)
	k.entry, err = b.typed("elements", "keep")
	return k, err
}

// of is x where the mask has a 1, else 0, until the next copy.
func (k keeper) of(x, mask device.View) (device.View, error) {
	at, err := k.l.room(slotDropped, x.Bytes())
	if err != nil {
		return x, err
	}
	y := x
	y.Addr = uintptr(at)
	k.l.b.kept.written(y)
	return y, k.into(y, x, mask, 1)
}

// into is y = scale x there.
func (k keeper) into(y, x, mask device.View, scale float64) error {
	if x.Len() == 0 {
		return nil
	}
	return k.entry.of(x).on(over(x.Rows*over(x.Cols, perDraw), blockThreads), blockThreads, at(y), at(x), at(mask),
		driver.F32(float32(scale)), driver.I32(int32(x.Rows)), driver.I32(int32(x.Cols)))
}

// newLoRADroppedDX is dx[T,C] = dy[T,N] W[N,C] + drop(du[T,R] A[R,C]), the second
// part by itself in working memory and under the mask.
func newLoRADroppedDX(b *Backend, kernel string, attr device.Dropout) (enqueue, error) {
	l := newLauncher(b)
	var err error
	bind := func(run enqueue, failed error) enqueue {
		if err == nil {
			err = failed
		}
		return run
	}
	base, low := bind(newLinearDX(b, "linear_dx")), bind(newMatMul(b, "matmul_nn", device.MatMul{Alpha: 1}))
	add := bind(newAdd(b, "accumulate", 1))
	keep, failed := newKeeper(b)
	bind(nil, failed)
	var part device.Call
	out, in := make([]device.View, 1), make([]device.View, 3)
	run := func(kernel enqueue, y device.View, x ...device.View) error {
		out[0] = y
		part = device.Call{Out: out, In: in[:copy(in, x)]}
		return kernel(&part)
	}
	return func(c *device.Call) error {
		if err := checkLoRADroppedDX(kernel, c); err != nil || c.Out[0].Addr == 0 || c.Out[0].Len() == 0 {
			return err
		}
		dx, du, a, mask := c.Out[0], c.In[2], c.In[3], c.In[4]
		out[0] = dx
		part = device.Call{Out: out, In: in[:copy(in, c.In[:2])], Accumulate: c.Accumulate}
		if err := base(&part); err != nil {
			return err
		}
		at, err := l.room(slotDropped, dx.Bytes())
		if err != nil {
			return err
		}
		dropped := dx
		dropped.Addr = uintptr(at)
		if err := run(low, dropped, du, a); err != nil {
			return err
		}
		if err := keep.into(dropped, dropped, mask, attr.Scale()); err != nil {
			return err
		}
		return run(add, dx, dropped)
	}, err
}

func checkLoRADroppedDX(kernel string, c *device.Call) error {
	k := contract.Of("cuda", kernel)
	if k.Arity(c, 1, 5) {
		dx, dy, w, du, a := c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3]
		activations(&k, "dy", dy, dy.Rows, w.Rows)
		checkWeight(&k, "W", w, dy.Cols, w.Cols)
		activations(&k, "du", du, dy.Rows, a.Rows)
		k.Matrix("A", a, device.F32, du.Cols, w.Cols)
		checkMask(&k, c.In[4], dy.Rows, w.Cols)
		activationsOut(&k, "dx", dx, dy.Rows, w.Cols)
	}
	return k.Err
}
