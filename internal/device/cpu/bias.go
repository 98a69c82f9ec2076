package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// storeSums writes float64 sums into y, or adds them to it.
func storeSums[E float](y []E, sums []float64, accumulate bool) {
	for j, s := range sums {
		if accumulate {
			s += float64(y[j])
		}
		y[j] = E(s)
	}
}

// biasGrad is db[N] = column sums of dy[T,N], rows ascending, in float64.
type biasGrad[E float] struct {
	kernel     string
	db, dy     []E
	cols       int
	accumulate bool
}

func (g *biasGrad[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", g.kernel)
	if k.Arity(c, 1, 1) {
		db, dy := c.Out[0], c.In[0]
		k.Matrix("dy", dy, typeOf[E](), dy.Rows, dy.Cols)
		k.OutputVector("db", db, typeOf[E](), dy.Cols)
		g.db, g.dy, g.cols, g.accumulate = device.Slice[E](db), device.Slice[E](dy), dy.Cols, c.Accumulate
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return g.cols, columnGrain, nil
}

func (g *biasGrad[E]) compute(lo, hi int) {
	var sums [columnGrain]float64
	for at := 0; at < len(g.dy); at += g.cols {
		for j, x := range g.dy[at+lo : at+hi] {
			sums[j] += float64(x)
		}
	}
	storeSums(g.db[lo:hi], sums[:hi-lo], g.accumulate)
}
