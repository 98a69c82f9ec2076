package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// normDW is dw[Width] = sum over all groups, ascending, of dy * x * scale. The
// groups' scales come first; then the sums are split over columns.
type normDW[E float] struct {
	norm[E]
	b          *Backend
	scaling    rowJob
	summing    rowJob
	grain      int // columns of a task
	dw, dy     []E
	scales     []float64 // of groups
	sums       []float64 // of columns
	accumulate bool
}

func bindNormDW[E float](b *Backend) func(string, device.Norm) (device.Kernel, error) {
	return func(kernel string, attr device.Norm) (device.Kernel, error) {
		n, err := newNormDW[E](b, kernel, attr)
		if err != nil {
			return nil, err
		}
		return n.run, nil
	}
}

func newNormDW[E float](b *Backend, kernel string, attr device.Norm) (*normDW[E], error) {
	shared, err := newNorm[E](kernel, attr)
	n := &normDW[E]{norm: shared, b: b, grain: columnGrain}
	n.scaling.job, n.scaling.kernel = &n.scaling, phase(n.scaleGroups)
	n.summing.job, n.summing.kernel = &n.summing, phase(n.sumColumns)
	return n, err
}

// phase is one pass of a kernel that has several; its kernel checks the call.
type phase func(lo, hi int)

func (p phase) prepare(*device.Call) (rows, grain int, err error) { return 0, 0, nil }
func (p phase) compute(lo, hi int)                                { p(lo, hi) }

func (n *normDW[E]) run(c *device.Call) error {
	k := contract.Of("cpu", n.kernel)
	if k.Arity(c, 1, 2) {
		dw, x, dy := c.Out[0], c.In[0], c.In[1]
		n.checkX(&k, x)
		k.Matrix("dy", dy, typeOf[E](), x.Rows, x.Cols)
		k.OutputVector("dw", dw, typeOf[E](), n.width)
		n.dw, n.x, n.dy = device.Slice[E](dw), device.Slice[E](x), device.Slice[E](dy)
		n.accumulate = c.Accumulate
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return k.Err
	}
	groups := len(n.x) / n.width
	if err := n.b.spaces.reserve(0, groups+n.width); err != nil {
		return err
	}
	space := n.b.spaces.carveShared()
	n.scales, n.sums = take[float64](&space, groups), take[float64](&space, n.width)
	if err := n.b.runRows(&n.scaling, groups, rowGrain(n.width)); err != nil {
		return err
	}
	return n.b.runRows(&n.summing, n.width, n.grain)
}

func (n *normDW[E]) scaleGroups(lo, hi int) {
	for i := lo; i < hi; i++ {
		n.scales[i] = n.scale(n.group(n.x, i))
	}
}

func (n *normDW[E]) sumColumns(lo, hi int) {
	sums := n.sums[lo:hi]
	clear(sums)
	for i, s := range n.scales {
		x, dy := n.group(n.x, i)[lo:hi], n.group(n.dy, i)[lo:hi]
		for j := range x {
			sums[j] += float64(dy[j]) * float64(x[j]) * s
		}
	}
	storeSums(n.dw[lo:hi], sums, n.accumulate)
}
