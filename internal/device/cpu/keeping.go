package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cpu/kern"
)

// keeping is y = x where a mask has a 1, else 0: what products read that take no mask
// themselves. x is of type E or of one that they round to.
type keeping[E float] struct {
	work
	b         *Backend
	set       *kern.Set // nil in portable Go
	y, x      device.View
	mask      []uint32
	stride    int
	rows, per int
}

func newKeeping[E float](b *Backend, p products[E]) *keeping[E] {
	k := &keeping[E]{b: b}
	if f, is := any(p).(*fast); is {
		k.set = f.set
	}
	k.job = k
	return k
}

// into writes y to an address, and is its view.
func (k *keeping[E]) into(addr uintptr, x, mask device.View) (device.View, error) {
	k.x, k.y, k.mask, k.stride = x, x, device.Slice[uint32](mask), mask.Cols
	k.y.Addr = addr
	k.rows, k.per = x.Rows, rowGrain(x.Cols)
	return k.y, k.b.pool.run(&k.work, (k.rows+k.per-1)/k.per)
}

func (k *keeping[E]) do(task, _ int) {
	for t := task * k.per; t < min((task+1)*k.per, k.rows); t++ {
		y, x, mask := k.y.Row(t, 1), k.x.Row(t, 1), k.mask[t*k.stride:][:k.stride]
		switch {
		case k.set == nil:
			kern.KeepRow(device.Slice[E](y), device.Slice[E](x), mask)
		case x.Type == device.BF16:
			k.set.KeepHalf(device.Slice[uint16](y), device.Slice[uint16](x), mask)
		default:
			k.set.Keep(device.Slice[float32](y), device.Slice[float32](x), mask)
		}
	}
}

// isMask says whether an input is a mask.
func isMask(v device.View) bool { return v.Type == device.I32 }

// checkMask checks a mask of rows x cols elements.
func checkMask(k *contract.Check, mask device.View, rows, cols int) {
	k.Matrix("mask", mask, device.I32, rows, kern.MaskWords(cols))
}

// dropoutMask is a bit for each element: 1 where it is kept, under the draws of
// device.Dropout.
type dropoutMask struct {
	kernel string
	set    *kern.Set // nil in portable Go
	draw   kern.Draw
	stream uint32
	mask   []uint32
	key    []int32
	words  int
}

func newDropoutMask(set *kern.Set) func(kernel string, attr device.Dropout) (*dropoutMask, error) {
	return func(kernel string, attr device.Dropout) (*dropoutMask, error) {
		d, err := newDropout[float32](kernel, attr)
		if err != nil {
			return nil, err
		}
		return &dropoutMask{kernel: kernel, set: set, draw: d.draw, stream: attr.Stream}, nil
	}
}

func (d *dropoutMask) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", d.kernel)
	if k.Arity(c, 1, 2) {
		y, key, seed := c.Out[0], c.In[0], c.In[1]
		k.Overwrites(c)
		k.Vector("key", key, device.I32, key.Len())
		k.Vector("seed", seed, device.I32, 2)
		k.Output("mask", y, device.I32, key.Len(), y.Cols)
		d.mask, d.key, d.words = device.Slice[uint32](y), device.Slice[int32](key), y.Cols
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	seed := device.Slice[int32](c.In[1])
	d.draw.SetKey([2]uint32{uint32(seed[0]), uint32(seed[1])})
	return len(d.key), rowGrain(expensive * kern.Cols * d.words), nil
}

func (d *dropoutMask) compute(lo, hi int) {
	for t := lo; t < hi; t++ {
		mask, counter := d.mask[t*d.words:][:d.words], [4]uint32{0, uint32(d.key[t]), d.stream, 0}
		if d.set == nil {
			d.draw.Mask(mask, counter)
			continue
		}
		d.set.DropoutMask(mask, &d.draw, counter)
	}
}
