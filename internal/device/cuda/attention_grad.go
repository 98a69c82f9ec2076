package cuda

import (
	"strconv"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

func newAttentionGrad(b *Backend, kernel string, attr device.Attention) (enqueue, error) {
	shared, err := newAttend(b, kernel, attr)
	if err != nil {
		return nil, err
	}
	width := strconv.Itoa(shared.width)
	a := &attendGrad{shared, "attention_keys_grad_" + width, "attention_queries_grad_" + width}
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 3, 9) {
			q, key := c.In[0], c.In[1]
			k.Overwrites(c)
			a.check(&k, q, key, c.In[2], c.In[6:])
			k.Matrix("o", c.In[3], q.Type, q.Rows, q.Cols)
			k.Matrix("lse", c.In[4], device.F32, q.Rows, attr.Heads)
			k.Matrix("do", c.In[5], q.Type, q.Rows, q.Cols)
			k.Output("dq", c.Out[0], q.Type, q.Rows, q.Cols)
			k.Output("dk", c.Out[1], q.Type, key.Rows, key.Cols)
			k.Output("dv", c.Out[2], q.Type, key.Rows, key.Cols)
		}
		if k.Err != nil || c.In[0].Rows == 0 {
			return k.Err
		}
		return a.backward(c)
	}, nil
}

// attendGrad has the entries for dk and dv, and for dq.
type attendGrad struct {
	*attend
	keysEntry, queriesEntry string
}

// backward runs four kernels: delta, the list of spans, dk and dv, dq.
func (a *attendGrad) backward(c *device.Call) error {
	var sides [4]driver.Arg // q, k, v, do
	var err error
	if sides[0], err = a.heads(slotQuery, c.In[0], a.attr.Heads); err != nil {
		return err
	}
	if sides[1], sides[2], err = a.keys(c); err != nil {
		return err
	}
	if sides[3], err = a.heads(slotGrad, c.In[5], a.attr.Heads); err != nil {
		return err
	}
	delta, err := a.delta(c)
	if err != nil {
		return err
	}
	if c.Out[1].Addr != 0 || c.Out[2].Addr != 0 {
		if err := a.keysGrad(c, sides, delta); err != nil {
			return err
		}
	}
	if c.Out[0].Addr == 0 {
		return nil
	}
	rows := c.In[0].Rows
	// The block's queries and their gradients, and two tiles of keys and values.
	file, entry, shared := a.entryFor("queries", a.queriesEntry, 6*a.tile(attendRows))
	return a.blocks(file, entry, over(rows, attendRows), a.attr.Heads, shared, at(c.Out[0]),
		sides[0], sides[1], sides[2], sides[3], at(c.In[4]), delta, at(c.In[6]), at(c.In[7]), at(c.In[8]),
		num(rows), num(a.attr.Heads), num(a.attr.KVHeads), num(a.attr.HeadDim), driver.F32(float32(a.attr.Scale)), code(c.In[0].Type))
}

// entryFor is the entry of keys or queries with its shared memory: that of mma.sync,
// or wgmma's.
func (a *attendGrad) entryFor(of, entry string, shared int) (file, name string, bytes int) {
	if a.b.means.Wgmma && a.width%64 == 0 {
		return "attention_grad_sm90", "attention_" + of + "_grad_wgmma_" + strconv.Itoa(a.width), shared + hopperLost
	}
	return "attention_grad", entry, shared
}

// deltaEntries by the type of activations.
var deltaEntries = entriesOf("attention_delta_", device.F32, device.BF16)

func (a *attendGrad) delta(c *device.Call) (driver.Arg, error) {
	n := c.In[0].Rows * a.attr.Heads
	to, err := a.room(slotDelta, 4*int64(n))
	if err != nil {
		return driver.Arg{}, err
	}
	// A warp makes one.
	return driver.U64(to), a.each("attention_grad", deltaEntries[c.In[3].Type], 32*n, driver.U64(to), at(c.In[3]), at(c.In[5]), num(n), num(a.attr.HeadDim))
}

func (a *attendGrad) keysGrad(c *device.Call, sides [4]driver.Arg, delta driver.Arg) error {
	rows := c.In[0].Rows
	spans, err := a.room(slotSpans, 4*int64(rows+1))
	if err != nil {
		return err
	}
	err = a.each("attention_grad", "attention_spans", 1, driver.U64(spans), at(c.In[6]), at(c.In[7]), at(c.In[8]), num(rows))
	if err != nil {
		return err
	}
	// Two stages of queries, their gradients, lse and delta beside keys and values.
	file, entry, shared := a.entryFor("keys", a.keysEntry, 2*a.tile(attendRows)+2*(2*a.tile(attendQueries)+8*attendQueries))
	return a.blocks(file, entry, over(rows, attendRows), a.attr.KVHeads, shared, at(c.Out[1]), at(c.Out[2]),
		sides[0], sides[1], sides[2], sides[3], at(c.In[4]), delta, at(c.In[6]), at(c.In[7]), at(c.In[8]), driver.U64(spans),
		num(rows), num(a.attr.Heads), num(a.attr.KVHeads), num(a.attr.HeadDim), driver.F32(float32(a.attr.Scale)), code(c.In[0].Type))
}
