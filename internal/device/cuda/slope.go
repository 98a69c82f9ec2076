package cuda

import (
	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

var _ device.Sloper = (*Backend)(nil)

// Slopes is true: logprob has a fifth output, so that the head's gradient computes no
// logits again.
func (b *Backend) Slopes() bool { return true }

// slope is what logprob keeps for d lp/d h of each row, as the CPU does: a tile's
// weights e^(z-m), m the largest logit so far and 0 at the target, times its part of
// W, added in float32 over the tiles of a row. The sums shrink where a tile raises m.
// The target's row of W waits in the output.
type slope struct {
	out     device.View // without an address: not wanted
	weights uint64      // of a tile, bf16
	sums    uint64      // of a block of rows
}

func (s *slope) wanted() bool { return s.out.Addr != 0 }

// beginSlopes takes the place of the slopes, where they are wanted, and makes room.
func (d *head) beginSlopes(c *device.Call) (err error) {
	s := &d.slope
	s.out = device.View{}
	if len(c.Out) < 5 || c.Out[4].Addr == 0 || c.Out[4].Len() == 0 {
		return nil
	}
	s.out = c.Out[4]
	rows := int64(min(d.rows, s.out.Rows))
	if s.weights, err = d.room(slotWeighed, 2*rows*int64(d.cols)); err != nil {
		return err
	}
	s.sums, err = d.room(slotSums, 4*rows*int64(s.out.Cols))
	return err
}

// foldSlopes is fold, after which the tile's weights times its part of W join the sums.
func (d *head) foldSlopes(c *device.Call, t *tile, states uint64) error {
	s, cols := &d.slope, d.slope.out.Cols
	err := d.each("logprob", "logprob_fold_slope", t.rows*blockThreads, driver.U64(states), driver.U64(t.z), element(c.In[2], t.row), num(t.ld), num(t.col), num(t.cols),
		driver.U64(s.weights), driver.U64(s.sums), at(s.out.Row(t.row, t.rows)), driver.U64(t.w.at), num(t.w.ld), num(cols))
	if err != nil {
		return err
	}
	p := product{y: s.sums, typ: device.F32, ldy: cols, m: t.rows, n: cols, k: t.cols, x: side{s.weights, t.ld}, w: t.w, alpha: 1, accumulate: t.col > 0}
	return d.gemm(kindNN, &p)
}

// finishSlopes turns the sums of a block of rows into slopes.
func (d *head) finishSlopes(c *device.Call, t *tile, states uint64) error {
	s := &d.slope
	if !s.wanted() {
		return nil
	}
	return d.each("logprob", "logprob_slope", t.rows*blockThreads, at(s.out.Row(t.row, t.rows)), driver.U64(s.sums), driver.U64(states), element(c.In[2], t.row),
		num(s.out.Cols), num(c.In[1].Rows), driver.F32(d.inverse))
}

// newScaleRows is y[N,C] = s[n] x[n], x in float32; y may be x.
func newScaleRows(b *Backend, kernel string) (enqueue, error) {
	l, err := b.typed("logprob", "scale_rows")
	return func(c *device.Call) error {
		k := contract.Of("cuda", kernel)
		if k.Arity(c, 1, 2) {
			x := c.In[0]
			k.Overwrites(c)
			k.Matrix("x", x, device.F32, x.Rows, x.Cols)
			k.Vector("s", c.In[1], device.F32, x.Rows)
			activations(&k, "y", c.Out[0], x.Rows, x.Cols)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		return l.of(c.Out[0]).on(c.In[0].Rows, blockThreads, at(c.Out[0]), at(c.In[0]), at(c.In[1]), num(c.In[0].Cols))
	}, err
}
