package cuda

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cuda/driver"
)

// The head's tile of logits: the only part of [N,V] that ever exists, 16 MiB,
// which stay in the cache of a large card.
const (
	headRows = 1024
	headCols = 4096
)

// stateBytes is the size of a row's State in logprob.cu.
const stateBytes = 40

// head is what the logprob kernels share.
type head struct {
	*launcher
	kernel  string
	inverse float32 // 1/temperature
	rows    int     // of a tile
	cols    int     // of a tile, a multiple of 8
	tile    tile    // under way
	slope   slope   // of logprob
}

func newHead(b *Backend, kernel string, attr device.LogProb) (*head, error) {
	if !(attr.Temperature >= 0) || math.IsInf(attr.Temperature, 1) {
		return nil, fmt.Errorf("cuda: %s: temperature %g: want 0 or more", kernel, attr.Temperature)
	}
	d := &head{launcher: newLauncher(b), kernel: kernel, inverse: 1, rows: headRows, cols: headCols}
	if attr.Temperature > 0 {
		d.inverse = float32(1 / attr.Temperature)
	}
	return d, nil
}

// check holds h, W and targets to their shapes. The targets' values are on the
// card and not looked at: those below 0 and past the vocabulary count for
// nothing.
func (d *head) check(k *contract.Check, c *device.Call) {
	h, w, targets := c.In[0], c.In[1], c.In[2]
	activations(k, "h", h, h.Rows, w.Cols)
	checkWeight(k, "W", w, w.Rows, h.Cols)
	k.Vector("targets", targets, device.I32, h.Rows)
}

// tile is a part of the logits.
type tile struct {
	row, rows, col, cols int
	h                    side // its rows
	w                    side // its columns' weights, where slopes are wanted
	z                    uint64
	ld                   int
}

// tiles makes the logits of every tile, column by column within a block of rows,
// and hands them to use.
func (d *head) tiles(c *device.Call, use func(t *tile) error) error {
	h, w := c.In[0], c.In[1]
	sides, err := d.left(h)
	if err != nil {
		return err
	}
	z, err := d.room(slotLogits, 4*int64(min(d.rows, h.Rows))*int64(d.cols))
	if err != nil {
		return err
	}
	for row := 0; row < h.Rows; row += d.rows {
		for col := 0; col < w.Rows; col += d.cols {
			t := &d.tile // kept: what is handed to a function value would be allocated
			*t = tile{row: row, rows: min(d.rows, h.Rows-row), col: col, cols: min(d.cols, w.Rows-col), z: z, ld: d.cols}
			t.h = side{sides.at + uint64(2*row*sides.ld), sides.ld}
			if err := d.logits(t, w, h.Cols); err != nil {
				return err
			}
			if err := use(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// logits is the product; rows of a tile are ld apart whatever its width is. Slopes
// read the weights too: they are widened once.
func (d *head) logits(t *tile, w device.View, k int) (err error) {
	p := product{y: t.z, typ: device.F32, ldy: t.ld, m: t.rows, n: t.cols, k: k, x: t.h, alpha: d.inverse}
	if !d.slope.wanted() {
		return d.times(w.Row(t.col, t.cols), &p)
	}
	if t.w, err = d.weightOf(w.Row(t.col, t.cols)); err != nil {
		return err
	}
	p.w = t.w
	return d.gemm(kindNT, &p)
}

// element is the address of element i of a vector, 0 where it is not wanted.
func element(v device.View, i int) driver.Arg {
	if v.Addr == 0 {
		return driver.U64(0)
	}
	return driver.U64(uint64(v.Addr) + uint64(4*i))
}

func newLogProb(b *Backend, kernel string, attr device.LogProb) (enqueue, error) {
	d, err := newHead(b, kernel, attr)
	if err != nil {
		return nil, err
	}
	return d.logProb, nil
}

func (d *head) logProb(c *device.Call) error {
	k := contract.Of("cuda", d.kernel)
	slopes := len(c.Out) == 5
	if k.Arity(c, 4+int(count(slopes)), 3) {
		k.Overwrites(c)
		d.check(&k, c)
		for i, name := range [...]string{"lp", "lse", "entropy", "hit"} {
			k.OutputVector(name, c.Out[i], device.F32, c.In[0].Rows)
		}
		if slopes {
			k.Output("slope", c.Out[4], device.F32, c.In[0].Rows, c.In[0].Cols)
		}
	}
	if k.Err != nil || c.In[0].Rows == 0 {
		return k.Err
	}
	states, err := d.room(slotState, stateBytes*int64(min(d.rows, c.In[0].Rows)))
	if err != nil {
		return err
	}
	if err := d.beginSlopes(c); err != nil {
		return err
	}
	return d.tiles(c, func(t *tile) error {
		err := d.fold(c, t, states)
		if err != nil || t.col+t.cols < c.In[1].Rows {
			return err
		}
		err = d.each("logprob", "logprob_finish", t.rows, element(c.Out[0], t.row), element(c.Out[1], t.row), element(c.Out[2], t.row),
			element(c.Out[3], t.row), driver.U64(states), element(c.In[2], t.row), num(t.rows))
		if err != nil {
			return err
		}
		return d.finishSlopes(c, t, states)
	})
}

// fold adds a tile to the states of its rows, and to their slopes.
func (d *head) fold(c *device.Call, t *tile, states uint64) error {
	if d.slope.wanted() {
		return d.foldSlopes(c, t, states)
	}
	return d.each("logprob", "logprob_fold", t.rows*blockThreads, driver.U64(states), driver.U64(t.z), element(c.In[2], t.row), num(t.ld), num(t.col), num(t.cols))
}

// gradTiles makes the gradient of every tile with respect to h W' in bf16.
func (d *head) gradTiles(c *device.Call, use func(t *tile, dz side) error) error {
	dz, err := d.room(slotWeighed, 2*int64(min(d.rows, c.In[0].Rows))*int64(d.cols))
	if err != nil {
		return err
	}
	return d.tiles(c, func(t *tile) error {
		err := d.each("logprob", "logprob_weigh", t.rows*over(t.cols, eight), driver.U64(dz), driver.U64(t.z), element(c.In[2], t.row), element(c.In[3], t.row),
			element(c.In[4], t.row), num(t.rows), num(t.ld), num(t.col), num(t.cols), driver.F32(d.inverse))
		if err != nil {
			return err
		}
		return use(t, side{dz, t.ld})
	})
}

func (d *head) checkGrad(k *contract.Check, c *device.Call) {
	d.check(k, c)
	k.Vector("lse", c.In[3], device.F32, c.In[0].Rows)
	k.Vector("dlp", c.In[4], device.F32, c.In[0].Rows)
}

func newLogProbDX(b *Backend, kernel string, attr device.LogProb) (enqueue, error) {
	d, err := newHead(b, kernel, attr)
	if err != nil {
		return nil, err
	}
	return d.logProbDX, nil
}

// logProbDX is dh[N,C], the sum over the vocabulary, chunk by chunk.
func (d *head) logProbDX(c *device.Call) error {
	k := contract.Of("cuda", d.kernel)
	if k.Arity(c, 1, 5) {
		k.Overwrites(c)
		d.checkGrad(&k, c)
		k.Output("dh", c.Out[0], c.In[0].Type, c.In[0].Rows, c.In[0].Cols)
	}
	if k.Err != nil || c.Out[0].Addr == 0 || c.In[0].Len() == 0 {
		return k.Err
	}
	sums := uint64(c.Out[0].Addr)
	if c.Out[0].Type != device.F32 { // chunks are added in float32
		var err error
		if sums, err = d.room(slotSums, 4*int64(min(d.rows, c.In[0].Rows))*int64(c.In[0].Cols)); err != nil {
			return err
		}
	}
	return d.gradTiles(c, func(t *tile, dz side) (err error) {
		cols := c.In[0].Cols
		p := product{y: sums, typ: device.F32, ldy: cols, m: t.rows, n: cols, k: t.cols, x: dz, alpha: 1, accumulate: t.col > 0}
		if c.Out[0].Type == device.F32 {
			p.y += uint64(4 * t.row * cols)
		}
		if p.w, err = d.weightOf(c.In[1].Row(t.col, t.cols)); err != nil {
			return err
		}
		if err := d.gemm(kindNN, &p); err != nil || c.Out[0].Type == device.F32 || t.col+t.cols < c.In[1].Rows {
			return err
		}
		part := c.Out[0].Row(t.row, t.rows)
		return d.each("gemm", sumEntries[part.Type], part.Len(), at(part), driver.U64(sums), num(part.Len()), num(1), driver.F32(1), num(0))
	})
}

func newLogProbDW(b *Backend, kernel string, attr device.LogProb) (enqueue, error) {
	d, err := newHead(b, kernel, attr)
	if err != nil {
		return nil, err
	}
	return d.logProbDW, nil
}

// logProbDW is dW[V,C], the sum over blocks of rows, ascending.
func (d *head) logProbDW(c *device.Call) error {
	k := contract.Of("cuda", d.kernel)
	if k.Arity(c, 1, 5) {
		d.checkGrad(&k, c)
		k.Output("dW", c.Out[0], device.F32, c.In[1].Rows, c.In[1].Cols)
	}
	if k.Err != nil || c.Out[0].Addr == 0 || c.Out[0].Len() == 0 {
		return k.Err
	}
	if c.In[0].Rows == 0 {
		if c.Accumulate {
			return nil
		}
		n := c.Out[0].Bytes()
		return d.run("elements", "zero", 0, driver.Dim{X: over(int(n), 4*perBlock), Y: 1, Z: 1}, driver.Dim{X: blockThreads, Y: 1, Z: 1}, at(c.Out[0]), driver.I64(n))
	}
	return d.gradTiles(c, func(t *tile, dz side) error {
		cols := c.In[0].Cols
		p := product{y: uint64(c.Out[0].Addr) + uint64(4*t.col*cols), typ: device.F32, ldy: cols, m: t.cols, n: cols, k: t.rows, x: dz, w: t.h, alpha: 1,
			accumulate: c.Accumulate || t.row > 0}
		return d.gemm(kindTN, &p)
	})
}
