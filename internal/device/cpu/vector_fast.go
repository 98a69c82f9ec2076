package cpu

import (
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

func (r *fastRope) roundedRow(y []uint16, wide []float32, t int) {
	half := r.headDim / 2
	if !r.set.HasRopeHalf(half) {
		r.row(wide, t)
		r.set.ToBF16(y, wide)
		return
	}
	cos, sin := r.table[t*r.headDim:][:half], r.table[t*r.headDim+half:][:half]
	r.set.RopeHalf(y, r.x[t*r.cols:], cos, sin, r.cols/r.headDim, r.sign)
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
