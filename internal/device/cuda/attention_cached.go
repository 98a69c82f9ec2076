package cuda

import (
	"strconv"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// attendFew is the rows up to which blocks of attention over a cache have one part of
// the keys each: as many as decoding has, where rows and heads alone leave most of a
// card idle. More rows go through the parts one after the other. Bits are the same.
const attendFew = attendRows

// attendCached is attention over a cache; its entries are by the type of activations.
type attendCached struct {
	*attend
	entries map[device.Type]string
}

var joinEntries = entriesOf("attention_join_", device.F32, device.BF16)

// newAttentionCached reads pages of a cache; those of float32 are rounded on
// their way. Its rows have the bits of the same rows in a pack.
func newAttentionCached(b *Backend, kernel string, attr device.Attention) (enqueue, error) {
	a, err := newAttend(b, kernel, attr)
	if err != nil {
		return nil, err
	}
	width := strconv.Itoa(a.width)
	cached := attendCached{a, map[device.Type]string{device.F32: "attention_cached_f32_" + width, device.BF16: "attention_cached_bf16_" + width}}
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 7) {
			q, keys, pages := c.In[0], c.In[1], c.In[5]
			k.Overwrites(c)
			activations(&k, "q", q, q.Rows, attr.Heads*attr.HeadDim)
			k.Matrix("keys", keys, q.Type, keys.Rows, attr.KVHeads*attr.HeadDim)
			k.Matrix("values", c.In[2], q.Type, keys.Rows, attr.KVHeads*attr.HeadDim)
			k.Vector("sequence", c.In[3], device.I32, q.Rows)
			k.Vector("own", c.In[4], device.I32, q.Rows)
			k.Matrix("pages", pages, device.I32, pages.Rows, pages.Cols)
			k.Vector("prefix", c.In[6], device.I32, pages.Rows)
			k.Matrix("o", c.Out[0], q.Type, q.Rows, q.Cols)
		}
		if k.Err != nil || c.In[0].Rows == 0 {
			return k.Err
		}
		return cached.forward(c)
	}, nil
}

// forward takes the number of parts from the pages that a sequence can have, never
// from those that it has: a captured step stays as it is while the cache grows.
func (a attendCached) forward(c *device.Call) error {
	q, err := a.heads(slotQuery, c.In[0], a.attr.Heads)
	if err != nil {
		return err
	}
	rows, tiles, parts := c.In[0].Rows, c.In[5].Cols, 1
	if rows <= attendFew {
		parts = max(1, over(tiles, partTiles))
	}
	sums, err := a.cachedSums(rows, tiles, parts)
	if err != nil {
		return err
	}
	together := a.together(rows)
	grid := driver.Dim{X: rows, Y: a.attr.Heads / together, Z: parts}
	err = a.run("attention", a.entries[c.In[0].Type], 4*a.tile(attendRows), grid, driver.Dim{X: attendThreads, Y: 1, Z: 1}, at(c.Out[0]), driver.U64(sums), q, at(c.In[1]), at(c.In[2]),
		at(c.In[3]), at(c.In[4]), at(c.In[5]), at(c.In[6]), num(rows), num(a.attr.Heads), num(a.attr.KVHeads),
		num(a.attr.HeadDim), num(tiles), driver.F32(float32(a.attr.Scale)), num(together), num(parts))
	if err != nil || parts == 1 {
		return err
	}
	return a.blocks("attention", joinEntries[c.In[0].Type], rows, over(c.In[0].Cols, attendThreads), 0, at(c.Out[0]), driver.U64(sums),
		at(c.In[3]), at(c.In[4]), at(c.In[6]), num(rows), num(a.attr.Heads), num(a.attr.HeadDim), num(a.width), num(parts))
}

// cachedSums is room for o, and where blocks have a part each, for each part's o,
// largest score and sum: of the cache of one layer itself at most a thousandth for each
// head that shares keys and values.
func (a attendCached) cachedSums(rows, tiles, parts int) (uint64, error) {
	if parts == 1 {
		return a.sums(rows, tiles)
	}
	return a.room(slotCarried, 4*int64(rows)*int64(a.attr.Heads)*int64(parts)*int64(a.width+2))
}

// together is how many of the heads that share keys and values a block has, which
// then reads them once for all: rows times heads, which are its lines, fill at most a
// tile of queries.
func (a attendCached) together(rows int) int {
	group := a.attr.Heads / a.attr.KVHeads
	for n := group; n > 1; n-- {
		if group%n == 0 && n*rows <= attendRows {
			return n
		}
	}
	return 1
}
