package cpu

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
)

// norm holds what the three rmsnorm kernels share: rows of C columns seen as
// groups of Width, each normalised by itself
// (https://arxiv.org/abs/1910.07467, equation 4).
type norm[E float] struct {
	kernel string
	eps    float64
	width  int
	x, w   []E
}

func newNorm[E float](kernel string, attr device.Norm) (norm[E], error) {
	if attr.Width <= 0 || !(attr.Eps >= 0) {
		return norm[E]{}, fmt.Errorf("cpu: %s: width %d and eps %g: want a positive width and eps of at least 0", kernel, attr.Width, attr.Eps)
	}
	return norm[E]{kernel: kernel, eps: attr.Eps, width: attr.Width}, nil
}

func (n *norm[E]) checkX(k *contract.Check, x device.View) {
	k.Matrix("x", x, typeOf[E](), x.Rows, x.Cols)
	if x.Cols%n.width != 0 {
		k.Failf("x has %d columns, not a multiple of width %d", x.Cols, n.width)
	}
}

// scale is 1/sqrt(mean(x^2)+eps) of one group, summed in float64.
func (n *norm[E]) scale(x []E) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return 1 / math.Sqrt(sum/float64(len(x))+n.eps)
}

func (n *norm[E]) group(s []E, i int) []E { return s[i*n.width:][:n.width] }

// normForward is y = x * scale * w.
type normForward[E float] struct {
	norm[E]
	y []E
}

func newNormForward[E float](kernel string, attr device.Norm) (*normForward[E], error) {
	n, err := newNorm[E](kernel, attr)
	return &normForward[E]{norm: n}, err
}

func (n *normForward[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", n.kernel)
	if k.Arity(c, 1, 2) {
		y, x, w := c.Out[0], c.In[0], c.In[1]
		k.Overwrites(c)
		n.checkX(&k, x)
		k.Vector("w", w, typeOf[E](), n.width)
		k.Output("y", y, typeOf[E](), x.Rows, x.Cols)
		n.y, n.x, n.w = device.Slice[E](y), device.Slice[E](x), device.Slice[E](w)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return len(n.x) / n.width, rowGrain(n.width), nil
}

func (n *normForward[E]) compute(lo, hi int) {
	for i := lo; i < hi; i++ {
		x, y, w := n.group(n.x, i), n.group(n.y, i), n.w
		s := E(n.scale(x))
		for j := range y {
			y[j] = x[j] * s * w[j]
		}
	}
}

// normDX is dx = s*(w*dy) - x * s^3 * mean(w*dy*x), s the group's scale.
type normDX[E float] struct {
	norm[E]
	dx, dy []E
}

func newNormDX[E float](kernel string, attr device.Norm) (*normDX[E], error) {
	n, err := newNorm[E](kernel, attr)
	return &normDX[E]{norm: n}, err
}

func (n *normDX[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", n.kernel)
	if k.Arity(c, 1, 3) {
		dx, x, w, dy := c.Out[0], c.In[0], c.In[1], c.In[2]
		k.Overwrites(c)
		n.checkX(&k, x)
		k.Vector("w", w, typeOf[E](), n.width)
		k.Matrix("dy", dy, typeOf[E](), x.Rows, x.Cols)
		k.Output("dx", dx, typeOf[E](), x.Rows, x.Cols)
		n.dx, n.dy = device.Slice[E](dx), device.Slice[E](dy)
		n.x, n.w = device.Slice[E](x), device.Slice[E](w)
	}
	if k.Err != nil || c.Out[0].Addr == 0 {
		return 0, 0, k.Err
	}
	return len(n.x) / n.width, rowGrain(n.width), nil
}

func (n *normDX[E]) compute(lo, hi int) {
	for i := lo; i < hi; i++ {
		x, dx, dy, w := n.group(n.x, i), n.group(n.dx, i), n.group(n.dy, i), n.w
		s := n.scale(x)
		var sum float64
		for j := range dy {
			sum += float64(w[j]) * float64(dy[j]) * float64(x[j])
		}
		along := E(s * s * s * sum / float64(n.width))
		for j := range dx {
			dx[j] = E(s)*(w[j]*dy[j]) - x[j]*along
		}
	}
}
