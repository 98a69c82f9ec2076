package kern

import (
	"math"
	"unsafe"
)

// The twins in Go: one element at a time, sums in float64.

func genericVectors() vectors {
	return vectors{
		rowMax: rowMaxGeneric, dot: dotGeneric, dot3: dot3Generic, sumSquares: sumSquaresGeneric,
		expSum: expSumGeneric, expMoments: expMomentsGeneric, softmaxGrad: softmaxGradGeneric,
		scale: scaleGeneric, add: addGeneric, axpy: axpyGeneric, mulAdd: mulAddGeneric,
		normApply: normApplyGeneric, normGrad: normGradGeneric,
		swiGLU: swiGLUGeneric, swiGLUGrad: swiGLUGradGeneric, rope: ropeGeneric, adamW: adamWGeneric,
		round: roundGeneric, unround: unroundGeneric, dropout: dropoutGeneric, whole: 1, drops: PerDraw,
		addKept: addKeptFloats, keep: keepFloats,
		columnSums: oneColumn, normColumns: oneNormColumn, columns: 1,
	}
}

func rowMaxGeneric(x unsafe.Pointer, n int) float32 {
	largest := float32(math.Inf(-1))
	for _, v := range floats(x, n) {
		if v > largest {
			largest = v
		}
	}
	return largest
}

func dotGeneric(x, y unsafe.Pointer, n int) float32 {
	var sum float64
	b := floats(y, n)
	for i, v := range floats(x, n) {
		sum += float64(v) * float64(b[i])
	}
	return float32(sum)
}

func dot3Generic(x, y, z unsafe.Pointer, n int) float32 {
	var sum float64
	b, c := floats(y, n), floats(z, n)
	for i, v := range floats(x, n) {
		sum += float64(v) * float64(b[i]) * float64(c[i])
	}
	return float32(sum)
}

func sumSquaresGeneric(x unsafe.Pointer, n int) float64 {
	var sum float64
	for _, v := range floats(x, n) {
		sum += float64(v) * float64(v)
	}
	return sum
}

func expSumGeneric(y, x unsafe.Pointer, n int, scale, shift float32) float32 {
	var sum float64
	to := floats(y, n)
	for i, v := range floats(x, n) {
		e := math.Exp(float64(scale*v - shift))
		to[i] = float32(e)
		sum += e
	}
	return float32(sum)
}

func expMomentsGeneric(x unsafe.Pointer, n int, scale, shift float32) (sum, moment float32) {
	var s, m float64
	for _, v := range floats(x, n) {
		z := float64(max(scale*v-shift, -1e30)) // 0, not NaN, for -Inf
		e := math.Exp(z)
		s += e
		m += e * z
	}
	return float32(s), float32(m)
}

func softmaxGradGeneric(ds, p, dp unsafe.Pointer, n int, d, scale float32) {
	to, b := floats(ds, n), floats(dp, n)
	for i, v := range floats(p, n) {
		to[i] = v * scale * (b[i] - d)
	}
}

func scaleGeneric(y, x unsafe.Pointer, n int, a float32) {
	to := floats(y, n)
	for i, v := range floats(x, n) {
		to[i] = a * v
	}
}

func addGeneric(y, a, b unsafe.Pointer, n int) {
	to, other := floats(y, n), floats(b, n)
	for i, v := range floats(a, n) {
		to[i] = v + other[i]
	}
}

func axpyGeneric(y, x unsafe.Pointer, n int, a float32) {
	to := floats(y, n)
	for i, v := range floats(x, n) {
		to[i] += a * v
	}
}

func mulAddGeneric(y, x, z unsafe.Pointer, n int, a float32) {
	to, b := floats(y, n), floats(z, n)
	for i, v := range floats(x, n) {
		to[i] += a * v * b[i]
	}
}

func normApplyGeneric(y, x, w unsafe.Pointer, n int, s float32) {
	to, b := floats(y, n), floats(w, n)
	for i, v := range floats(x, n) {
		to[i] = v * s * b[i]
	}
}

func normGradGeneric(dx, x, w, dy unsafe.Pointer, n int, s, along float32) {
	to, b, d := floats(dx, n), floats(w, n), floats(dy, n)
	for i, v := range floats(x, n) {
		to[i] = s*(b[i]*d[i]) - along*v
	}
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

func swiGLUGeneric(y, gate, u unsafe.Pointer, n int) {
	to, b := floats(y, n), floats(u, n)
	for i, g := range floats(gate, n) {
		to[i] = g * sigmoid(g) * b[i]
	}
}

func swiGLUGradGeneric(dg, du, gate, u, dy unsafe.Pointer, n int) {
	toGate, toU := floats(dg, n), floats(du, n)
	b, d := floats(u, n), floats(dy, n)
	for i, g := range floats(gate, n) {
		a := sigmoid(g)
		toGate[i], toU[i] = d[i]*b[i]*a*(1+g*(1-a)), d[i]*g*a
	}
}

func ropeGeneric(y1, y2, x1, x2, cos, sin unsafe.Pointer, n int, sign float32) {
	a, b, c, s := floats(x1, n), floats(x2, n), floats(cos, n), floats(sin, n)
	toFirst, toSecond := floats(y1, n), floats(y2, n)
	for i := range n {
		p, q, turn := a[i], b[i], sign*s[i]
		toFirst[i], toSecond[i] = p*c[i]-q*turn, q*c[i]+p*turn
	}
}

func adamWGeneric(p, m, v, grad unsafe.Pointer, n int, clip, b1, c1, b2, c2, keep, step, inverse, eps float32) {
	param, first, second := floats(p, n), floats(m, n), floats(v, n)
	for i, g := range floats(grad, n) {
		g *= clip
		first[i] = b1*first[i] + c1*g
		second[i] = b2*second[i] + c2*(g*g)
		root := float32(math.Sqrt(float64(second[i] * inverse)))
		param[i] = param[i]*keep - step*(first[i]/(root+eps))
	}
}

func roundGeneric(y, x unsafe.Pointer, n int) {
	to := unsafe.Slice((*uint16)(y), n)
	for i, v := range floats(x, n) {
		to[i] = round(v)
	}
}

func unroundGeneric(y, x unsafe.Pointer, n int) {
	to := words(y, n)
	for i, v := range unsafe.Slice((*uint16)(x), n) {
		to[i] = uint32(v) << 16
	}
}
