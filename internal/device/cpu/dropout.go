package cpu

import (
	"fmt"
	"math/bits"

	"align/internal/device"
	"align/internal/device/contract"
)

// dropout is y = x*keep/(1-P). Element (t, column) draws word column%4 of
// Philox4x32-10 with
//
//	counter = (column/4, key[t], Stream, 0), key = (seed[0], seed[1])
//
// and is kept where word >= P*2^32. So the draw depends on neither the row's
// place nor the thread.
type dropout[E float] struct {
	kernel string
	limit  uint64 // P*2^32
	scale  E      // 1/(1-P)
	stream uint32
	y, x   []E
	key    []int32
	seed   []int32
	cols   int
}

func bindDropout[E float](b *Backend) func(string, device.Dropout) (device.Kernel, error) {
	return func(kernel string, attr device.Dropout) (device.Kernel, error) {
		if !(attr.P >= 0 && attr.P < 1) {
			return nil, fmt.Errorf("cpu: %s: probability %g: want 0 or more and less than 1", kernel, attr.P)
		}
		return b.overRows(&dropout[E]{
			kernel: kernel, limit: uint64(attr.P * (1 << 32)), scale: E(1 / (1 - attr.P)), stream: attr.Stream,
		}), nil
	}
}

func (d *dropout[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", d.kernel)
	if k.Arity(c, 1, 3) {
		y, x, key, seed := c.Out[0], c.In[0], c.In[1], c.In[2]
		k.Overwrites(c)
		k.Matrix("x", x, typeOf[E](), x.Rows, x.Cols)
		k.Vector("key", key, device.I32, x.Rows)
		k.Vector("seed", seed, device.I32, 2)
		k.Output("y", y, typeOf[E](), x.Rows, x.Cols)
		d.y, d.x, d.cols = device.Slice[E](y), device.Slice[E](x), x.Cols
		d.key, d.seed = device.Slice[int32](key), device.Slice[int32](seed)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return len(d.key), rowGrain(expensive * d.cols), nil
}

func (d *dropout[E]) compute(lo, hi int) {
	seed := [2]uint32{uint32(d.seed[0]), uint32(d.seed[1])}
	for t := lo; t < hi; t++ {
		x, y := d.x[t*d.cols:][:d.cols], d.y[t*d.cols:][:d.cols]
		for j := 0; j < d.cols; j += 4 {
			words := philox([4]uint32{uint32(j / 4), uint32(d.key[t]), d.stream, 0}, seed)
			for i := j; i < min(j+4, d.cols); i++ {
				if uint64(words[i-j]) >= d.limit {
					y[i] = x[i] * d.scale
				} else {
					y[i] = 0
				}
			}
		}
	}
}

// philox is Philox4x32-10 of https://doi.org/10.1145/2063384.2063405, with the
// multipliers and key increments of its reference code (Random123).
func philox(counter [4]uint32, key [2]uint32) [4]uint32 {
	for range 10 {
		h0, l0 := bits.Mul32(0xD2511F53, counter[0])
		h1, l1 := bits.Mul32(0xCD9E8D57, counter[2])
		counter = [4]uint32{h1 ^ counter[1] ^ key[0], l1, h0 ^ counter[3] ^ key[1], l0}
		key[0] += 0x9E3779B9
		key[1] += 0xBB67AE85
	}
	return counter
}
