package cuda

import (
	"encoding/binary"
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// rowTable are the kernels of rows.cu and rope.cu.
var rowTable = map[string]binder{
	"embed":       plain(newEmbed),
	"embed_dw":    plain(newEmbedDW),
	"gather":      plain(newGather),
	"scatter":     plain(newScatter),
	"cache_write": withAttribute(newCacheWrite),
	"rope_table":  withAttribute(newRopeTable),
	"rope":        withAttribute(newRope),
}

// rowThreads is the size of a block that makes a row.
func rowThreads(cols int) int { return min(blockThreads, max(1, over(cols, 32))*32) }

func newEmbed(b *Backend, kernel string) (enqueue, error) {
	l := newLauncher(b)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			w, ids := c.In[0], c.In[1]
			k.Overwrites(c)
			checkWeight(&k, "W", w, w.Rows, w.Cols)
			k.Vector("ids", ids, device.I32, ids.Len())
			activationsOut(&k, "y", c.Out[0], ids.Len(), w.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		w, grid := c.In[0], driver.Dim{X: c.In[1].Len(), Y: 1, Z: 1}
		block := driver.Dim{X: rowThreads(w.Cols), Y: 1, Z: 1}
		if !w.Type.IsBlock() {
			return l.run("rows", "gather", 0, grid, block, at(c.Out[0]), at(w), at(c.In[1]), num(w.Cols), code(w.Type), code(c.Out[0].Type))
		}
		return l.run("rows", gatherEntries[w.Type], 0, grid, block, at(c.Out[0]), at(w), at(c.In[1]), num(w.Cols), driver.I64(w.Type.RowBytes(w.Cols)),
			code(c.Out[0].Type))
	}, nil
}

// gatherEntries are the entries of rows.cu for types of blocks.
var gatherEntries = entriesOf("gather_", device.BlockTypes()...)

func newGather(b *Backend, kernel string) (enqueue, error) {
	l, err := b.launch("rows", "gather", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			x, rows := c.In[0], c.In[1]
			k.Overwrites(c)
			activations(&k, "x", x, x.Rows, x.Cols)
			k.Vector("rows", rows, device.I32, rows.Len())
			k.Output("y", c.Out[0], x.Type, rows.Len(), x.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		x := c.In[0]
		return l.on(c.In[1].Len(), rowThreads(x.Cols), at(c.Out[0]), at(x), at(c.In[1]), num(x.Cols), code(x.Type), code(x.Type))
	}, err
}

// adder clears y, unless it accumulates, and adds rows to it by index.
type adder struct {
	zero *launch
	add  typed
	wide *launch // from bf16 to float32
}

func newAdder(b *Backend) (a adder, err error) {
	if a.zero, err = b.launch("elements", "zero", 0); err != nil {
		return a, err
	}
	if a.add, err = b.typed("rows", "add_rows"); err != nil {
		return a, err
	}
	a.wide, err = b.launch("rows", "add_rows_wide", 0)
	return a, err
}

func (a adder) run(y, x, rows device.View, accumulate bool) error {
	if n := y.Bytes(); !accumulate {
		if err := a.zero.on(over(int(n), 4*perBlock), blockThreads, at(y), driver.I64(n)); err != nil {
			return err
		}
	}
	add := a.add.of(x)
	if y.Type != x.Type {
		add = a.wide
	}
	return add.on(rows.Len(), rowThreads(x.Cols), at(y), at(x), at(rows), driver.I32(int32(rows.Len())), driver.I32(int32(x.Cols)))
}

func newEmbedDW(b *Backend, kernel string) (enqueue, error) {
	a, err := newAdder(b)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			dy := c.In[0]
			k.Vector("ids", c.In[1], device.I32, dy.Rows)
			activations(&k, "dy", dy, dy.Rows, dy.Cols)
			k.Output("dW", c.Out[0], device.F32, c.Out[0].Rows, dy.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		return a.run(c.Out[0], c.In[0], c.In[1], c.Accumulate)
	}, err
}

func newScatter(b *Backend, kernel string) (enqueue, error) {
	a, err := newAdder(b)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 3) {
			dy, rows, like := c.In[0], c.In[1], c.In[2]
			k.Overwrites(c)
			activations(&k, "dy", dy, rows.Len(), like.Cols)
			k.Vector("rows", rows, device.I32, dy.Rows)
			k.Output("y", c.Out[0], dy.Type, like.Rows, dy.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		return a.run(c.Out[0], c.In[0], c.In[1], false)
	}, err
}

// newCacheWrite takes any heads: a page holds rows.
func newCacheWrite(b *Backend, kernel string, _ device.Cache) (enqueue, error) {
	l, err := b.typed("rows", "put_rows")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			cache, x, slot := c.Out[0], c.In[0], c.In[1]
			k.Overwrites(c)
			activations(&k, "x", x, slot.Len(), cache.Cols)
			k.Vector("slot", slot, device.I32, x.Rows)
			k.Matrix("cache", cache, x.Type, cache.Rows, x.Cols)
		}
		if k.Err != nil {
			return k.Err
		}
		x := c.In[0]
		return l.of(x).on(x.Rows, rowThreads(x.Cols), at(c.Out[0]), at(x), at(c.In[1]), driver.I32(int32(x.Cols)))
	}, err
}

// newRopeTable keeps the frequencies on the card for the backend's life.
func newRopeTable(b *Backend, kernel string, attr device.RopeTable) (enqueue, error) {
	half := len(attr.InvFreq)
	if half == 0 {
		return nil, fmt.Errorf("cuda: %s: no frequencies", kernel)
	}
	var raw []byte
	for _, f := range attr.InvFreq {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(f))
	}
	frequencies, err := b.constant(raw)
	if err != nil {
		return nil, err
	}
	l, err := b.launch("rope", "rope_table", 0)
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 1) {
			k.Overwrites(c)
			k.Vector("pos", c.In[0], device.I32, c.In[0].Len())
			k.Output("y", c.Out[0], device.F32, c.In[0].Len(), 2*half)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		n := c.In[0].Len() * half
		return l.on(over(n, blockThreads), blockThreads, at(c.Out[0]), at(c.In[0]), driver.U64(frequencies), driver.I32(int32(half)), driver.I64(int64(n)))
	}, err
}

// constant keeps some bytes on the card, too few to be planned for.
func (b *Backend) constant(raw []byte) (address uint64, err error) {
	if b.counts {
		return countedAddress, nil
	}
	block, err := b.pool.take(int64(len(raw)))
	if err != nil {
		return 0, err
	}
	return block.buffer.Address, b.staging.upload(block.buffer, 0, raw)
}

func newRope(b *Backend, kernel string, attr device.Rope) (enqueue, error) {
	if attr.HeadDim <= 0 || attr.HeadDim%2 != 0 {
		return nil, fmt.Errorf("cuda: %s: head size %d: want a positive even number", kernel, attr.HeadDim)
	}
	sign := float32(1)
	if attr.Inverse {
		sign = -1
	}
	l, err := b.typed("rope", "rope")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			x := c.In[0]
			k.Overwrites(c)
			activations(&k, "x", x, x.Rows, x.Cols)
			k.Matrix("table", c.In[1], device.F32, x.Rows, attr.HeadDim)
			k.Output("y", c.Out[0], x.Type, x.Rows, x.Cols)
			if x.Cols%attr.HeadDim != 0 {
				k.Failf("x has %d columns, not a multiple of head size %d", x.Cols, attr.HeadDim)
			}
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		x, half := c.In[0], attr.HeadDim/2
		n := x.Len() / 2
		return l.of(x).on(over(n/half*over(half, wide(x.Type)), blockThreads), blockThreads, at(c.Out[0]), at(x), at(c.In[1]),
			num(x.Cols), num(half), driver.F32(sign), driver.I64(int64(n)))
	}, err
}
