package devicetest

import (
	"fmt"
	"math"

	"align/internal/device"
)

// segmentTrials: segment_sum, segment_sum_grad, vec_gather, vec_scatter.
func segmentTrials(g *gen) []trial {
	var list []trial
	for i, n := range sizes {
		s := size(i+4) + 1
		x, ds, index := g.w(n, 1), g.vec(s), g.ints(n, 0, s)
		v, dy, like := g.vec(s), g.vec(n), g.vec(s)
		name := fmt.Sprintf("N%d,S%d", n, s)
		list = append(list,
			makeTrial("segment_sum", name, nil, []tensor{x, index}, []tensor{empty(device.F64, s, 1)},
				func() [][]float64 { return one(scatterOracle(x, index, s)) }),
			makeTrial("segment_sum_grad", name, nil, []tensor{ds, index}, []tensor{empty(g.wide(), n, 1)},
				func() [][]float64 { return one(fill(n, 1, func(i, _ int) float64 { return ds.f[index.id(i)] })) }),
			makeTrial("vec_gather", name, nil, []tensor{v, index}, []tensor{empty(device.F64, n, 1)},
				func() [][]float64 { return one(fill(n, 1, func(i, _ int) float64 { return v.f[index.id(i)] })) }),
			makeTrial("vec_scatter", name, nil, []tensor{dy, index, like}, []tensor{empty(device.F64, s, 1)},
				func() [][]float64 { return one(scatterOracle(dy, index, s)) }))
	}
	return list
}

var unaryOracles = map[string]func(x float64) float64{
	"neg":      func(x float64) float64 { return -x },
	"scale":    func(x float64) float64 { return 0.5 * x },
	"shift":    func(x float64) float64 { return x + 0.5 },
	"square":   func(x float64) float64 { return x * x },
	"exp":      math.Exp,
	"log":      math.Log,
	"softplus": func(x float64) float64 { return math.Log1p(math.Exp(x)) },
	"sigmoid":  logistic,
	"relu":     func(x float64) float64 { return math.Max(x, 0) },
	"step": func(x float64) float64 {
		if x > 0 {
			return 1
		}
		return 0
	},
	"reciprocal": func(x float64) float64 { return 1 / x },
	"clamp":      func(x float64) float64 { return math.Min(math.Max(x, -0.25), 1.5) },
	"inside": func(x float64) float64 {
		if x >= -0.25 && x <= 1.5 {
			return 1
		}
		return 0
	},
	"tanh": math.Tanh,
	"sign": func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return 0
	},
}

var binaryOracles = map[string]func(x, y float64) float64{
	"add": func(x, y float64) float64 { return x + y },
	"sub": func(x, y float64) float64 { return x - y },
	"mul": func(x, y float64) float64 { return x * y },
	"div": func(x, y float64) float64 { return x / y },
	"max": math.Max,
	"min": math.Min,
	"greater": func(x, y float64) float64 {
		if x > y {
			return 1
		}
		return 0
	},
}

// vecTrials: vec_unary, vec_binary, vec_sum, vec_fill, vec_convert.
func vecTrials(g *gen) []trial {
	var list []trial
	for _, n := range sizes {
		x, y, single := g.vec(n), g.vec(n), g.vec(1)
		if n > 2 {
			x.set(0, 0)
			x.set(1, -0.25)
			x.set(2, y.f[2])
		}
		positive := g.vec(n)
		for i, v := range positive.f {
			positive.set(i, math.Abs(v)+0.01)
		}
		for _, op := range sortedKeys(unaryOracles) {
			in := x
			if op == "log" || op == "reciprocal" {
				in = positive
			}
			list = append(list, makeTrial("vec_unary", fmt.Sprintf("%s,%d", op, n), device.Vec{Op: op, Const: 0.5, Lo: -0.25, Hi: 1.5},
				[]tensor{in}, []tensor{empty(device.F64, n, 1)},
				func() [][]float64 {
					return one(fill(n, 1, func(i, _ int) float64 { return unaryOracles[op](in.f[i]) }))
				}))
		}
		for _, op := range sortedKeys(binaryOracles) {
			list = append(list, makeTrial("vec_binary", fmt.Sprintf("%s,%d", op, n), device.Vec{Op: op},
				[]tensor{x, y}, []tensor{empty(device.F64, n, 1)},
				func() [][]float64 {
					return one(fill(n, 1, func(i, _ int) float64 { return binaryOracles[op](x.f[i], y.f[i]) }))
				}),
				makeTrial("vec_binary", fmt.Sprintf("%s,%d by one", op, n), device.Vec{Op: op},
					[]tensor{x, single}, []tensor{empty(device.F64, n, 1)},
					func() [][]float64 {
						return one(fill(n, 1, func(i, _ int) float64 { return binaryOracles[op](x.f[i], single.f[0]) }))
					}))
		}
		list = append(list, wholeVectorTrials(g, n, x, single)...)
	}
	return list
}

func wholeVectorTrials(g *gen, n int, x, single tensor) []trial {
	a := g.w(n, 1)
	return []trial{
		makeTrial("vec_sum", fmt.Sprint(n), nil, []tensor{x}, []tensor{empty(device.F64, 1, 1)}, func() [][]float64 {
			sum := 0.0
			for _, v := range x.f {
				sum += v
			}
			return one([]float64{sum})
		}),
		makeTrial("vec_fill", fmt.Sprint(n), nil, []tensor{single, x}, []tensor{empty(device.F64, n, 1)},
			func() [][]float64 { return one(fill(n, 1, func(int, int) float64 { return single.f[0] })) }),
		makeTrial("vec_convert", fmt.Sprint("up ", n), nil, []tensor{a}, []tensor{empty(device.F64, n, 1)},
			func() [][]float64 { return one(a.f) }),
		makeTrial("vec_convert", fmt.Sprint("down ", n), nil, []tensor{x}, []tensor{empty(g.wide(), n, 1)},
			func() [][]float64 { return one(newTensor(g.wide(), n, 1, x.f).f) }),
	}
}

// optimiserTrials: sum_squares, adamw.
func optimiserTrials(g *gen) []trial {
	var list []trial
	for _, n := range append(sizes[:], 4095, 4096, 4097, 40000) {
		x := g.w(n, 1)
		list = append(list, makeTrial("sum_squares", fmt.Sprint(n), nil, []tensor{x}, []tensor{empty(device.F64, 1, 1)}, func() [][]float64 {
			sum := 0.0
			for _, v := range x.f {
				sum += v * v
			}
			return one([]float64{sum})
		}))
		list = append(list, adamWTrial(g, n, 0.5), adamWTrial(g, n, math.NaN()), adamWTrial(g, n, math.Inf(1)))
	}
	return list
}

func adamWTrial(g *gen, n int, clip float64) trial {
	attr := device.AdamW{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1}
	grad, p, m, v := g.w(n, 1), g.w(n, 1), g.w(n, 1), g.w(n, 1)
	for i, x := range v.f {
		v.set(i, x*x)
	}
	control := newTensor(device.F64, 4, 1, []float64{clip, 1e-2, 0.271, 0.0297}) // 1-0.9^3, 1-0.99^3
	r := makeTrial("adamw", fmt.Sprintf("%d,clip%g", n, clip), attr, []tensor{grad, control},
		[]tensor{empty(g.wide(), n, 1), empty(g.wide(), n, 1), empty(g.wide(), n, 1)}, func() [][]float64 {
			if math.IsNaN(clip) || math.IsInf(clip, 0) {
				return [][]float64{p.f, m.f, v.f}
			}
			out := [][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}
			for i, x := range grad.f {
				x *= clip
				out[1][i] = attr.Beta1*m.f[i] + (1-attr.Beta1)*x
				out[2][i] = attr.Beta2*v.f[i] + (1-attr.Beta2)*x*x
				step := out[1][i] / control.f[2] / (math.Sqrt(out[2][i]/control.f[3]) + attr.Eps)
				out[0][i] = p.f[i] - control.f[1]*attr.WeightDecay*p.f[i] - control.f[1]*step
			}
			return out
		})
	r.before = []tensor{p, m, v}
	return r
}
