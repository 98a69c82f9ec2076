package main

import (
	"math"
	"strings"
)

// emitVectors writes every vector function for both instruction sets.
func emitVectors(f *file) {
	for _, v := range vectors() {
		emitVector(f, v, avx512)
		emitVector(f, v, avx2)
	}
	emitDropout(f, avx512)
	emitDropout(f, avx2)
	for _, s := range []isa{avx512, avx2} {
		emitKept(f, s)
	}
	emitColumnSums(f, avx512)
	emitColumnSums(f, avx2)
	emitVector(f, roundBF16(), isa{"AVX512BF16", "Z", 16})
	emitVector(f, halved(gates(), "y", "gate", "u"), avx512)
	emitRopeHeads(f)
	emitVector(f, expWeights(), avx512)
	emitVector(f, dotRows(), avx512)
	emitWeighRows(f)
	emitGradPairs(f)
	emitFinishRows(f)
	emitVector(f, halved(gateGrads(), "dg", "du", "gate", "u", "dy"), avx512)
	emitVector(f, halved(gateGradsAndY(), "y", "dg", "du", "gate", "u", "dy"), avx512)
}

// halved is a function whose listed arrays are bfloat16, by AVX512_BF16.
func halved(v vector, arrays ...string) vector {
	v.name, v.half, v.whole = v.name+"Half", arrays, true
	v.doc = "is " + v.name + ", of which " + strings.Join(arrays, ", ") + " are bfloat16 and n is a multiple of 16: " + strings.TrimPrefix(v.doc, "is ")
	return v
}

func vectors() []vector {
	var all []vector
	all = append(all, reductions()...)
	all = append(all, exponentials()...)
	all = append(all, linears()...)
	return append(all, gates(), gateGrads(), rope(), adamW(), roundInteger(), widen())
}

func reductions() []vector {
	return []vector{
		largest(),
		dot(),
		{name: "dot3", doc: "is the sum of x*y*z.", arrays: []string{"x", "y", "z"}, results: []string{"sum"},
			join: "VADDPS", unroll: 4, body: func(e *emitter, u int) {
				e.load("x", 0)
				e.load("y", 1)
				e.load("z", 2)
				e.op("VMULPS", 0, 1, 0)
				e.op("VFMADD231PS", 0, 2, e.accumulator(0, u))
			}},
		{name: "sumSquares", doc: "is the sum of x*x in float64.", arrays: []string{"x"}, results: []string{"sum"},
			double: true, join: "VADDPD", unroll: 4, body: func(e *emitter, u int) {
				e.load("x", 0)
				if e.isa == avx2 {
					e.f.op("VEXTRACTF128 $1, Y0, X1")
					e.f.op("VCVTPS2PD X0, Y0")
					e.f.op("VCVTPS2PD X1, Y1")
				} else {
					e.f.op("VEXTRACTF64X4 $1, Z0, Y1")
					e.f.op("VCVTPS2PD Y0, Z0")
					e.f.op("VCVTPS2PD Y1, Z1")
				}
				e.op("VFMADD231PD", 0, 0, e.accumulator(0, u))
				e.op("VFMADD231PD", 1, 1, e.accumulator(0, u))
			}},
	}
}

func largest() vector {
	return vector{name: "rowMax", doc: "is the largest of n elements, -Inf of none.", arrays: []string{"x"}, results: []string{"largest"},
		start: math.Inf(-1), join: "VMAXPS", unroll: 4, body: func(e *emitter, u int) {
			e.load("x", 0)
			e.fillRest(0, math.Inf(-1), 1)
			e.op("VMAXPS", e.accumulator(0, u), 0, e.accumulator(0, u))
		}}
}

func dot() vector {
	return vector{name: "dot", doc: "is the sum of x*y.", arrays: []string{"x", "y"}, results: []string{"sum"},
		join: "VADDPS", unroll: 4, body: func(e *emitter, u int) {
			e.load("x", 0)
			e.load("y", 1)
			e.op("VFMADD231PS", 0, 1, e.accumulator(0, u))
		}}
}

// dotRows is dot for rows of bfloat16.
func dotRows() vector {
	v := halved(dot(), "x", "y")
	v.name, v.rows, v.results = "dotRows", true, []string{"sums"}
	v.doc = "is the sums of x*y of so many rows of n bfloat16, a multiple of 16."
	return v
}

// exponent is scale*x - shift, in register 0.
func exponent(e *emitter) {
	e.load("x", 0)
	e.op("VMULPS", e.scalar("scale"), 0, 0)
	e.op("VSUBPS", e.scalar("shift"), 0, 0)
}

// expWeights is expMoments that keeps what it sums.
func expWeights() vector {
	v := expMoments()
	v.name, v.doc = "expWeights", "is expMoments with y = exp(z) as bfloat16, n a multiple of 16."
	v.arrays, v.half, v.whole = []string{"y", "x"}, []string{"y"}, true
	body := v.body
	v.body = func(e *emitter, u int) {
		body(e, u)
		e.store(0, "y")
	}
	return v
}

func expMoments() vector {
	return vector{name: "expMoments", doc: "is, with z = scale*x - shift, the sum of exp(z) and of exp(z)*z.", arrays: []string{"x"}, scalars: []string{"scale", "shift"}, results: []string{"sum", "moment"},
		join: "VADDPS", unroll: 2, body: func(e *emitter, u int) {
			exponent(e)
			// exp(-Inf) times -Inf would be NaN; exp of this is 0 as well.
			e.op("VMAXPS", 0, e.constantIn(-1e30, 2), 0)
			e.op("VMOVAPS", 0, 1)
			e.exp(0)
			e.zeroRest(0)
			e.op("VADDPS", 0, e.accumulator(0, u), e.accumulator(0, u))
			e.op("VFMADD231PS", 0, 1, e.accumulator(1, u))
		}}
}

func exponentials() []vector {
	return []vector{
		{name: "expSum", doc: "is y = exp(scale*x - shift) and the sum of y; y may be x.", arrays: []string{"y", "x"}, scalars: []string{"scale", "shift"}, results: []string{"sum"},
			join: "VADDPS", unroll: 4, body: func(e *emitter, u int) {
				exponent(e)
				e.exp(0)
				e.store(0, "y")
				e.zeroRest(0)
				e.op("VADDPS", 0, e.accumulator(0, u), e.accumulator(0, u))
			}},
		expMoments(),
		{name: "softmaxGrad", doc: "is ds = p*(dp-d)*scale; ds may be p or dp.", arrays: []string{"ds", "p", "dp"}, scalars: []string{"d", "scale"},
			body: func(e *emitter, _ int) {
				e.load("p", 0)
				e.load("dp", 1)
				e.op("VSUBPS", e.scalar("d"), 1, 1)
				e.op("VMULPS", e.scalar("scale"), 0, 0)
				e.op("VMULPS", 0, 1, 0)
				e.store(0, "ds")
			}},
	}
}

func linears() []vector {
	return []vector{
		{name: "scale", doc: "is y = a*x; y may be x.", arrays: []string{"y", "x"}, scalars: []string{"a"}, body: func(e *emitter, _ int) {
			e.load("x", 0)
			e.op("VMULPS", e.scalar("a"), 0, 0)
			e.store(0, "y")
		}},
		{name: "add", doc: "is y = a + b; y may be a or b.", arrays: []string{"y", "a", "b"}, body: func(e *emitter, _ int) {
			e.load("a", 0)
			e.load("b", 1)
			e.op("VADDPS", 0, 1, 0)
			e.store(0, "y")
		}},
		{name: "axpy", doc: "is y += a*x.", arrays: []string{"y", "x"}, scalars: []string{"a"}, body: func(e *emitter, _ int) {
			e.load("x", 0)
			e.load("y", 1)
			e.op("VFMADD231PS", e.scalar("a"), 0, 1)
			e.store(1, "y")
		}},
		{name: "mulAdd", doc: "is y += a*x*z.", arrays: []string{"y", "x", "z"}, scalars: []string{"a"}, body: func(e *emitter, _ int) {
			e.load("x", 0)
			e.load("z", 1)
			e.load("y", 2)
			e.op("VMULPS", e.scalar("a"), 0, 0)
			e.op("VFMADD231PS", 0, 1, 2)
			e.store(2, "y")
		}},
		{name: "normApply", doc: "is y = x*s*w; y may be x.", arrays: []string{"y", "x", "w"}, scalars: []string{"s"}, body: func(e *emitter, _ int) {
			e.load("x", 0)
			e.load("w", 1)
			e.op("VMULPS", e.scalar("s"), 0, 0)
			e.op("VMULPS", 0, 1, 0)
			e.store(0, "y")
		}},
		{name: "normGrad", doc: "is dx = s*w*dy - along*x; dx may be any of them.", arrays: []string{"dx", "x", "w", "dy"}, scalars: []string{"s", "along"}, body: func(e *emitter, _ int) {
			e.load("x", 0)
			e.load("w", 1)
			e.load("dy", 2)
			e.op("VMULPS", 1, 2, 1)
			e.op("VMULPS", e.scalar("along"), 0, 0)
			e.op("VFMSUB132PS", e.scalar("s"), 0, 1)
			e.store(1, "dx")
		}},
	}
}

// sigmoid leaves 1/(1+exp(-g)) in dst.
func sigmoid(e *emitter, g, dst int) {
	e.op("VXORPS", dst, dst, dst)
	e.op("VSUBPS", g, dst, dst)
	e.exp(dst)
	e.op("VADDPS", e.constant(1), dst, dst)
	e.op("VMOVUPS", e.constant(1), firstExp)
	e.op("VDIVPS", dst, firstExp, dst)
}

func gates() vector {
	return vector{name: "swiGLU", doc: "is y = gate*sigmoid(gate)*u; y may be gate or u.", arrays: []string{"y", "gate", "u"}, body: func(e *emitter, _ int) {
		e.load("gate", 0)
		e.load("u", 1)
		sigmoid(e, 0, 2)
		e.op("VMULPS", 0, 2, 2)
		e.op("VMULPS", 1, 2, 2)
		e.store(2, "y")
	}}
}

// gateGradsAndY is gateGrads that gives gates' y too.
func gateGradsAndY() vector {
	v := gateGrads()
	v.name, v.doc, v.arrays = "swiGLUAgain", "is swiGLUGrad, and y = gate*sigmoid(gate)*u.", append([]string{"y"}, v.arrays...)
	body := v.body
	v.body = func(e *emitter, u int) {
		body(e, u) // which leaves gate in 0, u in 1 and their sigmoid in 6
		e.op("VMULPS", 0, 6, 6)
		e.op("VMULPS", 1, 6, 6)
		e.store(6, "y")
	}
	return v
}

func gateGrads() vector {
	return vector{name: "swiGLUGrad", doc: "is, with a = sigmoid(gate), dg = dy*u*a*(1+gate*(1-a)) and du = dy*gate*a; dg may be gate, du may be u.",
		arrays: []string{"dg", "du", "gate", "u", "dy"}, body: func(e *emitter, _ int) {
			e.load("gate", 0)
			e.load("u", 1)
			e.load("dy", 2)
			sigmoid(e, 0, 3)
			e.op("VMOVAPS", 3, 6)
			e.op("VMULPS", 3, 2, 2) // dy*a
			e.op("VMULPS", 0, 2, 4) // du
			e.op("VMULPS", 1, 2, 2) // dy*u*a
			e.op("VMOVUPS", e.constant(1), 5)
			e.op("VSUBPS", 3, 5, 3)
			e.op("VFMADD213PS", 5, 0, 3) // 1 + g*(1-a)
			e.op("VMULPS", 3, 2, 2)
			e.store(2, "dg")
			e.store(4, "du")
		}}
}

func rope() vector {
	return vector{name: "rope", doc: "is y1 = x1*cos - x2*sign*sin and y2 = x2*cos + x1*sign*sin; y1 may be x1, y2 may be x2.",
		arrays: []string{"y1", "y2", "x1", "x2", "cos", "sin"}, scalars: []string{"sign"}, body: func(e *emitter, _ int) {
			e.load("x1", 0)
			e.load("x2", 1)
			e.load("cos", 2)
			e.load("sin", 3)
			e.op("VMULPS", e.scalar("sign"), 3, 3)
			e.op("VMULPS", 3, 1, 4)
			e.op("VFMSUB231PS", 0, 2, 4)
			e.op("VMULPS", 3, 0, 5)
			e.op("VFMADD231PS", 1, 2, 5)
			e.store(4, "y1")
			e.store(5, "y2")
		}}
}

func adamW() vector {
	return vector{name: "adamW", doc: "is, with g = clip*grad, m = b1*m + c1*g, v = b2*v + c2*g*g, p = keep*p - step*m/(sqrt(v*inverse)+eps).",
		arrays: []string{"p", "m", "v", "grad"}, scalars: []string{"clip", "b1", "c1", "b2", "c2", "keep", "step", "inverse", "eps"}, body: func(e *emitter, _ int) {
			e.load("grad", 0)
			e.load("m", 1)
			e.load("v", 2)
			e.load("p", 3)
			e.op("VMULPS", e.scalar("clip"), 0, 0)
			e.op("VMULPS", e.scalar("b1"), 1, 1)
			e.op("VFMADD231PS", e.scalar("c1"), 0, 1)
			e.op("VMULPS", 0, 0, 0)
			e.op("VMULPS", e.scalar("b2"), 2, 2)
			e.op("VFMADD231PS", e.scalar("c2"), 0, 2)
			e.store(1, "m")
			e.store(2, "v")
			e.op("VMULPS", e.scalar("inverse"), 2, 2)
			e.op("VSQRTPS", 2, 2)
			e.op("VADDPS", e.scalar("eps"), 2, 2)
			e.op("VDIVPS", 2, 1, 1)
			e.op("VMULPS", e.scalar("step"), 1, 1)
			e.op("VFMSUB132PS", e.scalar("keep"), 1, 3)
			e.store(3, "p")
		}}
}

// roundBF16 uses the instruction of AVX512_BF16, which takes subnormals for 0.
func roundBF16() vector {
	return vector{name: "round", doc: "rounds n float32, a multiple of 16, to bfloat16; subnormals become 0.", arrays: []string{"y", "x"}, whole: true, body: func(e *emitter, _ int) {
		e.load("x", 0)
		e.f.convertOne(0, 1)
		e.f.op("VMOVUPS Y1, %s", e.at("y", 2))
	}}
}

// roundInteger rounds half to even on the bits: u + 0x7fff + bit 16. NaN gets
// its quiet bit instead, since the addition could carry it into infinity.
func roundInteger() vector {
	return vector{name: "round", doc: "rounds n float32, a multiple of the register's width, to bfloat16.", arrays: []string{"y", "x"}, whole: true, body: func(e *emitter, _ int) {
		word := func(name string, x uint32) string { return e.f.dwords(name, func(int) uint32 { return x }) }
		e.load("x", 0)
		e.op("VPSRLD", "$16", 0, 1)
		e.op("VMOVUPS", word("one", 1), 2)
		e.op("VPAND"+e.wideSuffix(), 2, 1, 2)
		e.op("VPADDD", word("half", 0x7fff), 2, 2)
		e.op("VPADDD", 0, 2, 2)
		e.op("VPSRLD", "$16", 2, 2)
		e.op("VMOVUPS", word("quiet", 0x40), 3)
		e.op("VPOR"+e.wideSuffix(), 1, 3, 3)
		if e.isa == avx2 {
			e.op("VCMPPS", "$3", 0, 0, 4)
			e.op("VBLENDVPS", 4, 3, 2, 2)
			e.f.op("VEXTRACTF128 $1, Y2, X3")
			e.f.op("VPACKUSDW X3, X2, X2")
			e.f.op("VMOVUPS X2, %s", e.at("y", 2))
			return
		}
		e.f.op("VCMPPS $3, Z0, Z0, K2")
		e.f.op("VBLENDMPS Z3, Z2, K2, Z2")
		e.f.op("VPMOVDW Z2, %s", e.at("y", 2))
	}}
}

// wideSuffix is what AVX-512 appends to the names of integer logic.
func (e *emitter) wideSuffix() string {
	if e.isa == avx2 {
		return ""
	}
	return "D"
}

func widen() vector {
	return vector{name: "unround", doc: "widens n bfloat16, a multiple of the register's width, to float32.", arrays: []string{"y", "x"}, whole: true, body: func(e *emitter, _ int) {
		e.op("VPMOVZXWD", e.at("x", 2), 0)
		e.op("VPSLLD", "$16", 0, 0)
		e.store(0, "y")
	}}
}
