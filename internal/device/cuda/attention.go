package cuda

import (
	"fmt"
	"strconv"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// attend is what the attention kernels share. Heads are padded to one of the
// widths that the kernels are made for.
type attend struct {
	*launcher
	kernel string
	attr   device.Attention
	width  int
	entry  string // with the width behind it
}

// headTable are the kernels of attention and of the model's head.
var headTable = map[string]binder{
	"attention":        withAttribute(newAttention),
	"attention_cached": withAttribute(newAttentionCached),
	"attention_grad":   withAttribute(newAttentionGrad),
	"logprob":          withAttribute(newLogProb),
	"logprob_dx":       withAttribute(newLogProbDX),
	"logprob_dw":       withAttribute(newLogProbDW),
	"scale_rows":       plain(newScaleRows),
}

const (
	attendRows    = device.PageRows // query rows of a block, keys of a tile
	attendQueries = 32              // query rows of a tile in sums over queries
	attendThreads = 128
	partTiles     = 16 // tiles of keys that a row sums by themselves (PART of flash.cuh)
)

func newAttend(b *Backend, kernel string, attr device.Attention) (*attend, error) {
	if attr.Heads <= 0 || attr.KVHeads <= 0 || attr.HeadDim <= 0 || attr.Heads%attr.KVHeads != 0 || !finite(attr.Scale) {
		return nil, fmt.Errorf("cuda: %s: %+v: want positive sizes, heads a multiple of key/value heads and a finite scale", kernel, attr)
	}
	for _, width := range []int{16, 32, 64, 128} {
		if attr.HeadDim <= width {
			return &attend{newLauncher(b), kernel, attr, width, kernel + "_" + strconv.Itoa(width)}, nil
		}
	}
	return nil, fmt.Errorf("cuda: %s: head size %d: want at most 128", kernel, attr.HeadDim)
}

// check holds q, k, v and the mask vectors to their shapes. The masks' values
// are on the card and not looked at: a prefix must not overlap the segment.
func (a *attend) check(k *contract.Check, q, key, value device.View, masks []device.View) {
	activations(k, "q", q, q.Rows, a.attr.Heads*a.attr.HeadDim)
	k.Matrix("k", key, q.Type, q.Rows, a.attr.KVHeads*a.attr.HeadDim)
	k.Matrix("v", value, q.Type, q.Rows, a.attr.KVHeads*a.attr.HeadDim)
	for i, name := range [...]string{"prefixStart", "prefixEnd", "segmentStart"} {
		k.Vector(name, masks[i], device.I32, q.Rows)
	}
}

// heads is rows of heads in bf16, each padded to the kernels' width: as they lie
// where nothing is to be done.
func (a *attend) heads(s slot, v device.View, heads int) (driver.Arg, error) {
	if a.attr.HeadDim == a.width && direct(v) {
		return at(v), nil
	}
	x, err := a.rounded(s, v, v.Rows*heads, a.attr.HeadDim, a.width)
	return driver.U64(x.at), err
}

// blocks runs an entry over blocks of rows and heads.
func (a *attend) blocks(file, entry string, blocks, heads, sharedMemory int, args ...driver.Arg) error {
	return a.run(file, entry, sharedMemory, driver.Dim{X: blocks, Y: heads, Z: 1}, driver.Dim{X: attendThreads, Y: 1, Z: 1}, args...)
}

// tile is the bytes of n rows of a head in shared memory.
func (a *attend) tile(n int) int { return 2 * n * a.width }

func newAttention(b *Backend, kernel string, attr device.Attention) (enqueue, error) {
	a, err := newAttend(b, kernel, attr)
	if err != nil {
		return nil, err
	}
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 2, 6) {
			k.Overwrites(c)
			a.check(&k, c.In[0], c.In[1], c.In[2], c.In[3:])
			k.Output("o", c.Out[0], c.In[0].Type, c.In[0].Rows, c.In[0].Cols)
			k.Output("lse", c.Out[1], device.F32, c.In[0].Rows, attr.Heads)
		}
		if k.Err != nil || c.In[0].Rows == 0 {
			return k.Err
		}
		return a.forward(c)
	}, nil
}

func (a *attend) forward(c *device.Call) error {
	q, err := a.heads(slotQuery, c.In[0], a.attr.Heads)
	if err != nil {
		return err
	}
	key, value, err := a.keys(c)
	if err != nil {
		return err
	}
	rows := c.In[0].Rows
	// A span's tiles are those of its prefix and those of its own keys.
	parts, err := a.sums(rows, over(rows, attendRows)+1)
	if err != nil {
		return err
	}
	file, entry, shared := a.packed()
	return a.blocks(file, entry, over(rows, attendRows), a.attr.Heads, shared, at(c.Out[0]), at(c.Out[1]), driver.U64(parts),
		q, key, value, at(c.In[3]), at(c.In[4]), at(c.In[5]), num(rows), num(a.attr.Heads), num(a.attr.KVHeads),
		num(a.attr.HeadDim), driver.F32(float32(a.attr.Scale)), code(c.In[0].Type))
}

// sums is room for the o of rows whose blocks go through several parts of the keys;
// none is needed where so many tiles are one part.
func (a *attend) sums(rows, tiles int) (uint64, error) {
	if tiles <= partTiles {
		return 0, nil
	}
	return a.room(slotCarried, 4*int64(rows)*int64(a.attr.Heads)*int64(a.width))
}

// packed is the entry for a pack: two tiles of keys and values in shared memory,
// or three and what is lost where the first begins at a multiple of 1024 bytes.
func (a *attend) packed() (file, entry string, shared int) {
	if a.b.means.Wgmma && a.width%64 == 0 {
		return "attention_sm90", "attention_wgmma_" + strconv.Itoa(a.width), 6*a.tile(attendRows) + hopperLost
	}
	return "attention", a.entry, 4 * a.tile(attendRows)
}

// keys is the call's keys and values in bf16.
func (a *attend) keys(c *device.Call) (key, value driver.Arg, err error) {
	if key, err = a.heads(slotKey, c.In[1], a.attr.KVHeads); err != nil {
		return key, value, err
	}
	value, err = a.heads(slotValue, c.In[2], a.attr.KVHeads)
	return key, value, err
}
