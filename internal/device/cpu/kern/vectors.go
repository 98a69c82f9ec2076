package kern

import (
	"math"
	"unsafe"
)

// vectors is the functions on arrays of n elements; the methods of Set say
// what they compute.
type vectors struct {
	rowMax func(x unsafe.Pointer, n int) float32
	dot    func(x, y unsafe.Pointer, n int) float32
	// dotRows is DotRows, n a multiple of 16; nil where a level has none.
	dotRows    func(x, y unsafe.Pointer, n int, sums unsafe.Pointer, rows int)
	dot3       func(x, y, z unsafe.Pointer, n int) float32
	sumSquares func(x unsafe.Pointer, n int) float64
	expSum     func(y, x unsafe.Pointer, n int, scale, shift float32) float32
	expMoments func(x unsafe.Pointer, n int, scale, shift float32) (sum, moment float32)
	// expWeights is expMoments that keeps exp in bfloat16, n a multiple of 16; nil where a
	// level has none.
	expWeights  func(y, x unsafe.Pointer, n int, scale, shift float32) (sum, moment float32)
	softmaxGrad func(ds, p, dp unsafe.Pointer, n int, d, scale float32)
	scale       func(y, x unsafe.Pointer, n int, a float32)
	add         func(y, a, b unsafe.Pointer, n int)
	axpy        func(y, x unsafe.Pointer, n int, a float32)
	mulAdd      func(y, x, z unsafe.Pointer, n int, a float32)
	normApply   func(y, x, w unsafe.Pointer, n int, s float32)
	normGrad    func(dx, x, w, dy unsafe.Pointer, n int, s, along float32)
	swiGLU      func(y, gate, u unsafe.Pointer, n int)
	swiGLUGrad  func(dg, du, gate, u, dy unsafe.Pointer, n int)
	// swiGLUHalf and swiGLUGradHalf are those on bfloat16, swiGLUAgainHalf both at once, and
	// n a multiple of 16; nil where a level has none.
	swiGLUHalf      func(y, gate, u unsafe.Pointer, n int)
	swiGLUGradHalf  func(dg, du, gate, u, dy unsafe.Pointer, n int)
	swiGLUAgainHalf func(y, dg, du, gate, u, dy unsafe.Pointer, n int)
	// ropeHalf is rope of some heads into bfloat16, n a multiple of 16; nil where a level has
	// none.
	ropeHalf func(y, x, cos, sin unsafe.Pointer, n, heads int, sign float32)
	rope     func(y1, y2, x1, x2, cos, sin unsafe.Pointer, n int, sign float32)
	adamW    func(p, m, v, grad unsafe.Pointer, n int, clip, b1, c1, b2, c2, keep, step, inverse, eps float32)
	round    func(y, x unsafe.Pointer, n int) // n is a multiple of whole
	unround  func(y, x unsafe.Pointer, n int) // n is a multiple of whole
	// dropout takes n of drops.
	dropout func(y, x unsafe.Pointer, n int, draw unsafe.Pointer, c0, c1, c2, c3 uint32)
	// dropoutHalf is dropout with y rounded to bfloat16; nil where a level has none.
	dropoutHalf  func(y, x unsafe.Pointer, n int, draw unsafe.Pointer, c0, c1, c2, c3 uint32)
	whole, drops int
	// dropoutMask is DropoutMask for n elements, of drops; nil where a level has none.
	dropoutMask func(mask unsafe.Pointer, n int, draw unsafe.Pointer, c0, c1, c2, c3 uint32)
	// addKept is AddKept on whole rows.
	addKept func(c unsafe.Pointer, ldc int, low, mask unsafe.Pointer, maskStride, rows int, scale float32)
	// keep is Keep for whole words of the mask; keepHalf is nil where a level has none.
	keep, keepHalf func(y, x, mask unsafe.Pointer, words int)
	// columnSums and normColumns take columns columns.
	columnSums  func(sums, x unsafe.Pointer, rows, stride int)
	normColumns func(sums, x, dy, scales unsafe.Pointer, rows, stride int)
	columns     int
}

// first is the address of x, of which n elements are used.
func first[E any](x []E, n int) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(x[:n])) }

// Max is the largest element, -Inf of none; NaN may be passed over.
func (s *Set) Max(x []float32) float32 { return s.rowMax(first(x, len(x)), len(x)) }

// Dot is the sum of x*y, summed in float32 lanes.
func (s *Set) Dot(x, y []float32) float32 {
	n := len(x)
	return s.dot(first(x, n), first(y, n), n)
}

// HasDotRows says whether the level has DotRows for n elements.
func (s *Set) HasDotRows(n int) bool { return s.dotRows != nil && n%MaxLanes == 0 }

// DotRows is, for each row of n elements of x and y, Dot of what they widen to.
func (s *Set) DotRows(sums []float32, x, y []uint16, n int) {
	if rows := len(sums); rows > 0 {
		s.dotRows(first(x, rows*n), first(y, rows*n), n, first(sums, rows), rows)
	}
}

// Dot3 is the sum of x*y*z, summed in float32 lanes.
func (s *Set) Dot3(x, y, z []float32) float32 {
	n := len(x)
	return s.dot3(first(x, n), first(y, n), first(z, n), n)
}

// SumSquares is the sum of x*x in float64.
func (s *Set) SumSquares(x []float32) float64 { return s.sumSquares(first(x, len(x)), len(x)) }

// ExpSum is y = exp(scale*x - shift), and the sum of y. y may be x. A relative
// error of exp stays below 1e-7; results below 4.6e-38 may be 0.
func (s *Set) ExpSum(y, x []float32, scale, shift float32) float32 {
	n := len(y)
	return s.expSum(first(y, n), first(x, n), n, scale, shift)
}

// HasExpWeights says whether the level has ExpWeights for n elements.
func (s *Set) HasExpWeights(n int) bool { return s.expWeights != nil && n%MaxLanes == 0 }

// ExpWeights is ExpMoments with y = exp(scale*x - shift), rounded as ToBF16 rounds it.
func (s *Set) ExpWeights(y []uint16, x []float32, scale, shift float32) (sum, moment float32) {
	n := len(x)
	return s.expWeights(first(y, n), first(x, n), n, scale, shift)
}

// ExpMoments is, with z = scale*x - shift, the sum of exp(z) and the sum of
// exp(z)*z: a chunk of a softmax and of its entropy.
func (s *Set) ExpMoments(x []float32, scale, shift float32) (sum, moment float32) {
	return s.expMoments(first(x, len(x)), len(x), scale, shift)
}

// SoftmaxGrad is ds = p*(dp-d)*scale. ds may be p or dp.
func (s *Set) SoftmaxGrad(ds, p, dp []float32, d, scale float32) {
	n := len(ds)
	s.softmaxGrad(first(ds, n), first(p, n), first(dp, n), n, d, scale)
}

// Scale is y = a*x. y may be x.
func (s *Set) Scale(y, x []float32, a float32) {
	n := len(y)
	s.scale(first(y, n), first(x, n), n, a)
}

// Add is y = a + b. y may be either.
func (s *Set) Add(y, a, b []float32) {
	n := len(y)
	s.add(first(y, n), first(a, n), first(b, n), n)
}

// Axpy is y += a*x.
func (s *Set) Axpy(y, x []float32, a float32) {
	n := len(y)
	s.axpy(first(y, n), first(x, n), n, a)
}

// MulAdd is y += a*x*z: a row's part in the gradient of a norm's weight.
func (s *Set) MulAdd(y, x, z []float32, a float32) {
	n := len(y)
	s.mulAdd(first(y, n), first(x, n), first(z, n), n, a)
}

// NormScale is 1/sqrt(mean(x^2)+eps).
func (s *Set) NormScale(x []float32, eps float64) float64 {
	return 1 / math.Sqrt(s.SumSquares(x)/float64(len(x))+eps)
}

// RMSNorm is y = x*r*w with r = 1/sqrt(mean(x^2)+eps), which it returns
// (https://arxiv.org/abs/1910.07467, equation 4). y may be x.
func (s *Set) RMSNorm(y, x, w []float32, eps float64) float64 {
	n := len(y)
	r := s.NormScale(x[:n], eps)
	s.normApply(first(y, n), first(x, n), first(w, n), n, float32(r))
	return r
}

// RMSNormGrad is dx = r*w*dy - x*r^3*mean(w*dy*x), and returns r as RMSNorm
// does. dx may be x or dy.
func (s *Set) RMSNormGrad(dx, x, w, dy []float32, eps float64) float64 {
	n := len(dx)
	r := s.NormScale(x[:n], eps)
	along := r * r * r * float64(s.Dot3(x[:n], w, dy)) / float64(n)
	s.normGrad(first(dx, n), first(x, n), first(w, n), first(dy, n), n, float32(r), float32(along))
	return r
}

// SwiGLU is y = g*sigmoid(g)*u (https://arxiv.org/abs/2002.05202, equation 6).
// y may be g or u.
func (s *Set) SwiGLU(y, g, u []float32) {
	n := len(y)
	s.swiGLU(first(y, n), first(g, n), first(u, n), n)
}

// SwiGLUGrad is, with a = sigmoid(g), dg = dy*u*a*(1+g*(1-a)) and du = dy*g*a.
// dg may be g, and du may be u.
func (s *Set) SwiGLUGrad(dg, du, g, u, dy []float32) {
	n := len(dg)
	s.swiGLUGrad(first(dg, n), first(du, n), first(g, n), first(u, n), first(dy, n), n)
}

// HasHalfGates says whether the level has SwiGLUHalf and SwiGLUGradHalf for n elements.
func (s *Set) HasHalfGates(n int) bool { return s.swiGLUHalf != nil && n%MaxLanes == 0 }

// SwiGLUHalf is SwiGLU of widened g and u, rounded as ToBF16 rounds it.
func (s *Set) SwiGLUHalf(y, g, u []uint16) {
	n := len(y)
	s.swiGLUHalf(first(y, n), first(g, n), first(u, n), n)
}

// SwiGLUGradHalf is SwiGLUGrad of widened g, u and dy, rounded as ToBF16 rounds it, and,
// if y is not nil, SwiGLUHalf. dg may be g, and du may be u.
func (s *Set) SwiGLUGradHalf(dg, du, y, g, u, dy []uint16) {
	n := len(dg)
	if y != nil {
		s.swiGLUAgainHalf(first(y, n), first(dg, n), first(du, n), first(g, n), first(u, n), first(dy, n), n)
		return
	}
	s.swiGLUGradHalf(first(dg, n), first(du, n), first(g, n), first(u, n), first(dy, n), n)
}

// Rope turns the pairs (x[i], x[i+n]) of one head of 2n elements by the angles
// of cos[n] and sin[n]; sign -1 turns backwards. y may be x.
func (s *Set) Rope(y, x, cos, sin []float32, sign float32) {
	n := len(cos)
	s.rope(first(y, n), first(y[n:], n), first(x, n), first(x[n:], n), first(cos, n), first(sin, n), n, sign)
}

// HasRopeHalf says whether the level has RopeHalf for heads of 2n elements.
func (s *Set) HasRopeHalf(n int) bool { return s.ropeHalf != nil && n%MaxLanes == 0 }

// RopeHalf is Rope of so many heads behind each other, rounded as ToBF16 rounds it.
func (s *Set) RopeHalf(y []uint16, x, cos, sin []float32, heads int, sign float32) {
	n := len(cos)
	s.ropeHalf(first(y, 2*n*heads), first(x, 2*n*heads), first(cos, n), first(sin, n), n, heads, sign)
}

// AdamW is the settings of one step: the attribute's, and the step's own.
type AdamW struct {
	Beta1, Beta2, Eps, WeightDecay float64
	LearningRate                   float64
	Clip                           float64 // factor on the gradient
	Bias1, Bias2                   float64 // 1-beta^t
}

// AdamW updates p, m and v in place from the gradient g, algorithm 2 of
// https://arxiv.org/abs/1711.05101 in float32:
//
//	m = b1 m + (1-b1) g,  v = b2 v + (1-b2) g^2
//	p = p (1 - lr wd) - lr m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps)
func (s *Set) AdamW(p, m, v, g []float32, a *AdamW) {
	n := len(p)
	s.adamW(first(p, n), first(m, n), first(v, n), first(g, n), n,
		float32(a.Clip), float32(a.Beta1), float32(1-a.Beta1), float32(a.Beta2), float32(1-a.Beta2),
		float32(1-a.LearningRate*a.WeightDecay), float32(a.LearningRate/a.Bias1), float32(1/a.Bias2), float32(a.Eps))
}

// ToBF16 rounds x to bfloat16, to nearest, ties to even. Subnormals may become
// 0; NaN stays NaN.
func (s *Set) ToBF16(y []uint16, x []float32) {
	n := len(y)
	whole := n / s.whole * s.whole
	s.round(first(y, n), first(x, n), whole)
	roundGeneric(first(y[whole:], n-whole), first(x[whole:], n-whole), n-whole)
}

// FromBF16 widens bfloat16.
func (s *Set) FromBF16(y []float32, x []uint16) {
	n := len(y)
	whole := n / s.whole * s.whole
	s.unround(first(y, n), first(x, n), whole)
	unroundGeneric(first(y[whole:], n-whole), first(x[whole:], n-whole), n-whole)
}
