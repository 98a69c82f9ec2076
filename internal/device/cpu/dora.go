package cpu

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
)

// doraNorm is the length of each row of W + scale B A, from the rows' squares
// s, the products p = A W' and g = A A' (device.LoRA's kernel dora_norm).
type doraNorm[E float] struct {
	kernel     string
	scale      float64
	n, b, p, g []E
	squares    []float64
	rank, rows int
}

func newDoRANorm[E float](kernel string, attr device.LoRA) (*doraNorm[E], error) {
	return &doraNorm[E]{kernel: kernel, scale: attr.Scale}, nil
}

func (d *doraNorm[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", d.kernel)
	if k.Arity(c, 1, 4) {
		n, s, b, p, g := c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3]
		k.Overwrites(c)
		k.Vector("squares", s, device.F64, b.Rows)
		k.Matrix("B", b, typeOf[E](), b.Rows, b.Cols)
		k.Matrix("A W'", p, typeOf[E](), b.Cols, b.Rows)
		k.Matrix("A A'", g, typeOf[E](), b.Cols, b.Cols)
		k.OutputVector("n", n, typeOf[E](), b.Rows)
		d.n, d.b, d.p, d.g = device.Slice[E](n), device.Slice[E](b), device.Slice[E](p), device.Slice[E](g)
		d.squares, d.rank, d.rows = device.Slice[float64](s), b.Cols, b.Rows
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return d.rows, rowGrain(d.rank * d.rank), nil
}

func (d *doraNorm[E]) compute(lo, hi int) {
	for i := lo; i < hi; i++ {
		b := d.b[i*d.rank:][:d.rank]
		var cross, own float64
		for k, x := range b {
			cross += float64(x) * float64(d.p[k*d.rows+i])
			row := 0.0
			for l, g := range d.g[k*d.rank:][:d.rank] {
				row += float64(b[l]) * float64(g)
			}
			own += float64(x) * row
		}
		// Rounding can take the sum of a row of nothing below 0.
		d.n[i] = E(math.Sqrt(max(d.squares[i]+2*d.scale*cross+d.scale*d.scale*own, 0)))
	}
}

// doraScale is y[T,N] = z (m/n - shift) (+ bias), column by column. A row of
// length 0 is scaled by 0.
type doraScale[E float] struct {
	kernel           string
	shift            float64
	y, z, m, n, bias []E
	cols             int
}

func newDoRAScale[E float](kernel string, attr device.DoRA) (*doraScale[E], error) {
	if !finite(attr.Shift) {
		return nil, fmt.Errorf("cpu: %s: shift is %v", kernel, attr.Shift)
	}
	return &doraScale[E]{kernel: kernel, shift: attr.Shift}, nil
}

func (d *doraScale[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", d.kernel)
	biased := len(c.In) == 4
	if k.Arity(c, 1, 3+count(biased)) {
		y, z, m, n := c.Out[0], c.In[0], c.In[1], c.In[2]
		k.Overwrites(c)
		k.Matrix("z", z, typeOf[E](), z.Rows, z.Cols)
		k.Vector("m", m, typeOf[E](), z.Cols)
		k.Vector("n", n, typeOf[E](), z.Cols)
		k.Output("y", y, typeOf[E](), z.Rows, z.Cols)
		d.bias = nil
		if biased {
			k.Vector("bias", c.In[3], typeOf[E](), z.Cols)
			d.bias = device.Slice[E](c.In[3])
		}
		d.y, d.z, d.m, d.n, d.cols = device.Slice[E](y), device.Slice[E](z), device.Slice[E](m), device.Slice[E](n), z.Cols
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return c.In[0].Rows, rowGrain(2 * d.cols), nil
}

func (d *doraScale[E]) compute(lo, hi int) {
	for at := lo * d.cols; at < hi*d.cols; at += d.cols {
		y, z := d.y[at:at+d.cols], d.z[at:at+d.cols]
		for j, x := range z {
			y[j] = x * E(ratio(d.m[j], d.n[j])-d.shift)
		}
		for j, x := range d.bias {
			y[j] += x
		}
	}
}

// ratio is m/n, 0 for a row of nothing.
func ratio[E float](m, n E) float64 {
	if n == 0 {
		return 0
	}
	return float64(m) / float64(n)
}

// doraDM is dm[N] = sum over t, ascending, of dy z / n.
type doraDM[E float] struct {
	kernel       string
	dm, z, n, dy []E
	cols         int
	accumulate   bool
}

func (d *doraDM[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", d.kernel)
	if k.Arity(c, 1, 3) {
		dm, z, n, dy := c.Out[0], c.In[0], c.In[1], c.In[2]
		k.Matrix("z", z, typeOf[E](), z.Rows, z.Cols)
		k.Vector("n", n, typeOf[E](), z.Cols)
		k.Matrix("dy", dy, typeOf[E](), z.Rows, z.Cols)
		k.OutputVector("dm", dm, typeOf[E](), z.Cols)
		d.dm, d.z, d.n, d.dy = device.Slice[E](dm), device.Slice[E](z), device.Slice[E](n), device.Slice[E](dy)
		d.cols, d.accumulate = z.Cols, c.Accumulate
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return d.cols, columnGrain, nil
}

func (d *doraDM[E]) compute(lo, hi int) {
	var sums [columnGrain]float64
	for at := 0; at < len(d.z); at += d.cols {
		dy := d.dy[at+lo : at+hi]
		for j, x := range d.z[at+lo : at+hi] {
			sums[j] += float64(x) * float64(dy[j])
		}
	}
	for j, n := range d.n[lo:hi] {
		sums[j] *= ratio(1, n)
	}
	storeSums(d.dm[lo:hi], sums[:hi-lo], d.accumulate)
}
