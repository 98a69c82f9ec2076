package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// embed is y[T,C] = W[ids[t]], widened to E.
type embed[E float] struct {
	kernel string
	y      []E
	w      device.View
	ids    []int32
}

func (e *embed[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", e.kernel)
	if k.Arity(c, 1, 2) {
		y, w, ids := c.Out[0], c.In[0], c.In[1]
		k.Overwrites(c)
		checkWeight(&k, "W", w, w.Rows, w.Cols)
		k.Vector("ids", ids, device.I32, ids.Len())
		k.Output("y", y, typeOf[E](), ids.Len(), w.Cols)
		e.y, e.w, e.ids = device.Slice[E](y), w, device.Slice[int32](ids)
		checkIndices(&k, "ids", e.ids, 0, w.Rows)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return len(e.ids), rowGrain(e.w.Cols), nil
}

func (e *embed[E]) compute(lo, hi int) {
	cols := e.w.Cols
	for t := lo; t < hi; t++ {
		widen(e.y[t*cols:(t+1)*cols], e.w, int(e.ids[t])*cols)
	}
}

// embedDW is dW[V,C] += dy by ids. It is split over columns, so that the rows
// that share an id add up in the order of t.
type embedDW[E float] struct {
	kernel     string
	dw, dy     []E
	ids        []int32
	cols       int
	accumulate bool
}

func (e *embedDW[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", e.kernel)
	if k.Arity(c, 1, 2) {
		dw, dy, ids := c.Out[0], c.In[0], c.In[1]
		k.Vector("ids", ids, device.I32, dy.Rows)
		k.Matrix("dy", dy, typeOf[E](), dy.Rows, dy.Cols)
		k.Output("dW", dw, typeOf[E](), dw.Rows, dy.Cols)
		e.dw, e.dy, e.ids = device.Slice[E](dw), device.Slice[E](dy), device.Slice[int32](ids)
		e.cols, e.accumulate = dy.Cols, c.Accumulate
		checkIndices(&k, "ids", e.ids, 0, dw.Rows)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return e.cols, columnGrain, nil
}

// columnGrain is how many columns make a task of a sum over rows: two cache
// lines of float64, so that workers do not write into one line.
const columnGrain = 16

func (e *embedDW[E]) compute(lo, hi int) {
	if !e.accumulate {
		for at := 0; at < len(e.dw); at += e.cols {
			clear(e.dw[at+lo : at+hi])
		}
	}
	for t, id := range e.ids {
		addTo(e.dw[int(id)*e.cols:][lo:hi], e.dy[t*e.cols:][lo:hi])
	}
}

// addTo is y += x.
func addTo[E float](y, x []E) {
	x = x[:len(y)]
	for i := range y {
		y[i] += x[i]
	}
}
