package cpu

import "align/internal/device"

var _ device.Rounder = (*Backend)(nil)

// Rounded is the type that products of activations round both sides to.
func (b *Backend) Rounded() device.Type {
	if b.fast == nil {
		return b.activations
	}
	return b.fast.rounded()
}

// RoundedCols is what the width of a value in that type is a multiple of.
func (b *Backend) RoundedCols() int {
	if b.fast == nil {
		return 1
	}
	return b.fast.sideCols()
}

// rowMaker is a rowKernel of float32 with one y, a row of which can be computed
// into another place.
type rowMaker interface {
	rowKernel
	row(y []float32, i int)
}

// rowRounder is a rowMaker that rounds a row on its way; wide is a row to work in.
type rowRounder interface {
	roundedRow(y []uint16, wide []float32, i int)
}

// roundedRows computes a y of bfloat16: each row in float32 first, and rounded
// as the products that read it would.
type roundedRows struct {
	work
	b           *Backend
	kernel      rowMaker
	call        device.Call
	out         [1]device.View
	y           []uint16
	rows, grain int
	cols        int
}

// roundedToo is the kernel whose y may also be of bfloat16, where products round
// to it.
func (b *Backend) roundedToo(m rowMaker, plain device.Kernel) device.Kernel {
	j := &roundedRows{b: b, kernel: m}
	j.job = j
	return func(c *device.Call) error {
		if len(c.Out) != 1 || c.Out[0].Type != device.BF16 || b.Rounded() != device.BF16 {
			return plain(c)
		}
		return j.run(c)
	}
}

func (j *roundedRows) run(c *device.Call) (err error) {
	j.out[0], j.y = c.Out[0], device.Slice[uint16](c.Out[0])
	j.out[0].Type = device.F32 // for the kernel's checks; it does not write there
	j.call = device.Call{Out: j.out[:], In: c.In, Accumulate: c.Accumulate}
	if j.rows, j.grain, err = j.kernel.prepare(&j.call); err != nil || j.rows == 0 {
		return err
	}
	j.cols, j.grain = len(j.y)/j.rows, max(1, j.grain)
	if err := j.b.spaces.reserve(j.cols, 0); err != nil {
		return err
	}
	return j.b.pool.run(&j.work, (j.rows+j.grain-1)/j.grain)
}

func (j *roundedRows) do(task, worker int) {
	space := j.b.spaces.carve(worker)
	row := take[float32](&space, j.cols)
	for i := task * j.grain; i < min((task+1)*j.grain, j.rows); i++ {
		y := j.y[i*j.cols:][:j.cols]
		if k, is := j.kernel.(rowRounder); is {
			k.roundedRow(y, row, i)
			continue
		}
		j.kernel.row(row, i)
		j.b.fast.set.ToBF16(y, row)
	}
}
