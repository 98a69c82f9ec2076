package cpu

import (
	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// The kernels below are portable ones whose loops are functions of package
// kern. Those call a function once for each row, so that an element's bits do
// not depend on where a task begins.

// fastNorm is rmsnorm.
type fastNorm struct {
	*normForward[float32]
	set *kern.Set
}

func (n *fastNorm) compute(lo, hi int) {
	for i := lo; i < hi; i++ {
		n.set.RMSNorm(n.group(n.y, i), n.group(n.x, i), n.w, n.eps)
	}
}

func (n *fastNorm) row(y []float32, i int) { n.set.RMSNorm(y, n.group(n.x, i), n.w, n.eps) }

// fastNormDX is rmsnorm_dx.
type fastNormDX struct {
	*normDX[float32]
	set *kern.Set
}

func (n *fastNormDX) compute(lo, hi int) {
	for i := lo; i < hi; i++ {
		n.set.RMSNormGrad(n.group(n.dx, i), n.group(n.x, i), n.w, n.group(n.dy, i), n.eps)
	}
}

// rowsOf turns a division over elements into one over rows of cols elements,
// each of which costs as much as weight cheap ones.
func rowsOf(elements, cols, weight int) (rows, grain int) {
	return elements / max(1, cols), rowGrain(weight * cols)
}

// vectorised is how many cheap operations an exponential costs in kern.
const vectorised = 2

// fastSwiGLU is swiglu.
type fastSwiGLU struct {
	swiGLU[float32]
	set  *kern.Set
	cols int
}

func (s *fastSwiGLU) prepare(c *device.Call) (rows, grain int, err error) {
	n, _, err := s.swiGLU.prepare(c)
	if err != nil || n == 0 {
		return 0, 0, err
	}
	s.cols = c.In[0].Cols
	rows, grain = rowsOf(n, s.cols, vectorised)
	return rows, grain, nil
}

func (s *fastSwiGLU) compute(lo, hi int) {
	for at := lo * s.cols; at < hi*s.cols; at += s.cols {
		s.set.SwiGLU(s.y[at:at+s.cols], s.g[at:], s.u[at:])
	}
}

func (s *fastSwiGLU) row(y []float32, i int) { s.set.SwiGLU(y, s.g[i*s.cols:], s.u[i*s.cols:]) }

// fastSwiGLUGrad is swiglu_grad.
type fastSwiGLUGrad struct {
	swiGLUGrad[float32]
	b    *Backend
	cols int
}

func (s *fastSwiGLUGrad) prepare(c *device.Call) (rows, grain int, err error) {
	n, _, err := s.swiGLUGrad.prepare(c)
	if err != nil || n == 0 || s.dg == nil && s.du == nil {
		return 0, 0, err
	}
	if err := s.discard(n); err != nil {
		return 0, 0, err
	}
	s.cols = c.In[0].Cols
	rows, grain = rowsOf(n, s.cols, 2*vectorised)
	return rows, grain, nil
}

// discard finds a place for an output that is not wanted: the function has two.
func (s *fastSwiGLUGrad) discard(n int) error {
	if s.dg != nil && s.du != nil {
		return nil
	}
	if err := s.b.spaces.reserve(0, n); err != nil {
		return err
	}
	space := s.b.spaces.carveShared()
	if unwanted := take[float32](&space, n); s.dg == nil {
		s.dg = unwanted
	} else {
		s.du = unwanted
	}
	return nil
}

func (s *fastSwiGLUGrad) compute(lo, hi int) {
	for at := lo * s.cols; at < hi*s.cols; at += s.cols {
		s.b.fast.set.SwiGLUGrad(s.dg[at:at+s.cols], s.du[at:], s.g[at:], s.u[at:], s.d[at:])
	}
}

// fastRope is rope.
type fastRope struct {
	*rope[float32]
	set *kern.Set
}

func (r *fastRope) compute(lo, hi int) {
	for t := lo; t < hi; t++ {
		r.row(r.y[t*r.cols:], t)
	}
}

func (r *fastRope) row(y []float32, t int) {
	half := r.headDim / 2
	cos, sin := r.table[t*r.headDim:][:half], r.table[t*r.headDim+half:][:half]
	for at := 0; at < r.cols; at += r.headDim {
		r.set.Rope(y[at:], r.x[t*r.cols+at:], cos, sin, r.sign)
	}
}

// fastSum is add and accumulate.
type fastSum struct {
	*sum[float32]
	set *kern.Set
}

func (s *fastSum) compute(lo, hi int) { s.set.Add(s.y[lo:hi], s.a[lo:hi], s.b[lo:hi]) }

// fastAdamW is adamw, computed in float32.
type fastAdamW struct {
	*adamW[float32]
	set *kern.Set
}

func (a *fastAdamW) compute(lo, hi int) {
	step := kern.AdamW{
		Beta1: a.attr.Beta1, Beta2: a.attr.Beta2, Eps: a.attr.Eps, WeightDecay: a.attr.WeightDecay,
		LearningRate: a.lr, Clip: a.clip, Bias1: a.bias1, Bias2: a.bias2,
	}
	a.set.AdamW(a.p[lo:hi], a.m[lo:hi], a.v[lo:hi], a.g[lo:hi], &step)
}
