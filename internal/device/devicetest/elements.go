package devicetest

import (
	"fmt"
	"math"

	"align/internal/device"
)

// normTrials: rmsnorm, rmsnorm_dx, rmsnorm_dw, whole rows and per head.
func normTrials(g *gen) []trial {
	var list []trial
	for i, rows := range sizes {
		width := size(i*5+2) + 1
		cols := width * (1 + i%3)
		attr := device.Norm{Eps: 1e-5, Width: width}
		x, w, dy := g.a(rows, cols), g.w(width, 1), g.a(rows, cols)
		scale := func(t, j int) float64 {
			sum := 0.0
			for k := j / width * width; k < (j/width+1)*width; k++ {
				sum += x.at(t, k) * x.at(t, k)
			}
			return 1 / math.Sqrt(sum/float64(width)+attr.Eps)
		}
		name := fmt.Sprintf("T%d,C%d,width%d", rows, cols, width)
		y := makeTrial("rmsnorm", name, attr, []tensor{x, w}, []tensor{empty(g.act, rows, cols)}, func() [][]float64 {
			return one(fill(rows, cols, func(t, j int) float64 { return x.at(t, j) * scale(t, j) * w.f[j%width] }))
		})
		dx := makeTrial("rmsnorm_dx", name, attr, []tensor{x, w, dy}, []tensor{empty(g.act, rows, cols)}, func() [][]float64 {
			return one(fill(rows, cols, func(t, j int) float64 {
				s, along := scale(t, j), 0.0
				for k := j / width * width; k < (j/width+1)*width; k++ {
					along += w.f[k%width] * dy.at(t, k) * x.at(t, k)
				}
				return s*w.f[j%width]*dy.at(t, j) - x.at(t, j)*s*s*s*along/float64(width)
			}))
		})
		dw := makeTrial("rmsnorm_dw", name, attr, []tensor{x, dy}, []tensor{empty(g.wide(), width, 1)}, func() [][]float64 {
			sum := make([]float64, width)
			for t := range rows {
				for j := range cols {
					sum[j%width] += dy.at(t, j) * x.at(t, j) * scale(t, j)
				}
			}
			return one(sum)
		})
		y.byRows, dx.byRows, dw.accumulate = []int{0}, []int{0, 2}, true
		list = append(list, y, dx, dw)
	}
	return list
}

// ropeTrials: rope_table, rope.
func ropeTrials(g *gen) []trial {
	var list []trial
	for i, rows := range sizes {
		half, heads := 1+i*3, 1+i%3
		d := 2 * half
		freq := make([]float64, half)
		for j := range freq {
			freq[j] = math.Pow(500000, -float64(j)/float64(half)) // Llama 3, rope_theta
		}
		pos := g.ints(rows, 0, 9000)
		table := makeTrial("rope_table", fmt.Sprintf("T%d,D%d", rows, d), device.RopeTable{InvFreq: freq}, []tensor{pos},
			[]tensor{empty(g.wide(), rows, d)}, func() [][]float64 {
				return one(fill(rows, d, func(t, j int) float64 {
					if j < half {
						return math.Cos(pos.f[t] * freq[j])
					}
					return math.Sin(pos.f[t] * freq[j-half])
				}))
			})
		table.byRows = []int{0}
		list = append(list, table)
		x, angles := g.a(rows, heads*d), g.w(rows, d)
		for _, inverse := range []bool{false, true} {
			sign := 1.0
			if inverse {
				sign = -1
			}
			r := makeTrial("rope", fmt.Sprintf("T%d,H%d,D%d,inverse=%v", rows, heads, d, inverse), device.Rope{HeadDim: d, Inverse: inverse},
				[]tensor{x, angles}, []tensor{empty(g.act, rows, heads*d)}, func() [][]float64 {
					return one(fill(rows, heads*d, func(t, j int) float64 {
						i := j % d
						c, s := angles.at(t, i%half), sign*angles.at(t, half+i%half)
						if i < half {
							return x.at(t, j)*c - x.at(t, j+half)*s
						}
						return x.at(t, j)*c + x.at(t, j-half)*s
					}))
				})
			r.byRows, r.aliases = []int{0, 1}, [][2]int{{0, 0}}
			list = append(list, r)
		}
	}
	return list
}

// manyRows is the height of the one large elementwise trial.
const manyRows = 70

// elementTrials: swiglu, swiglu_grad, add, accumulate, dropout, zero.
func elementTrials(g *gen) []trial {
	var list []trial
	for i, rows := range append(sizes[:], manyRows) {
		cols := size(i*3) + 1
		if rows == manyRows {
			cols = 601 // more than one task of any backend
		}
		name := fmt.Sprintf("%dx%d", rows, cols)
		out := []tensor{empty(g.act, rows, cols)}
		gate, up, dy := g.normal(g.act, rows, cols, 8), g.a(rows, cols), g.a(rows, cols)
		forward := makeTrial("swiglu", name, nil, []tensor{gate, up}, out, func() [][]float64 {
			return one(fill(rows, cols, func(t, j int) float64 { return gate.at(t, j) * logistic(gate.at(t, j)) * up.at(t, j) }))
		})
		backward := makeTrial("swiglu_grad", name, nil, []tensor{gate, up, dy}, append(out, out[0], out[0]), func() [][]float64 {
			dg := fill(rows, cols, func(t, j int) float64 {
				a := logistic(gate.at(t, j))
				return dy.at(t, j) * up.at(t, j) * a * (1 + gate.at(t, j)*(1-a))
			})
			du := fill(rows, cols, func(t, j int) float64 { return dy.at(t, j) * gate.at(t, j) * logistic(gate.at(t, j)) })
			return [][]float64{dg, du, fill(rows, cols, func(t, j int) float64 { return gate.at(t, j) * logistic(gate.at(t, j)) * up.at(t, j) })}
		})
		forward.byRows, backward.byRows = []int{0, 1}, []int{0, 1, 2}
		backward.optional, backward.aliases = true, [][2]int{{0, 0}, {1, 1}}
		list = append(list, forward, backward)
		list = append(list, sumTrials(g, name, rows, cols)...)
		list = append(list, dropoutTrial(g, name, rows, cols))
	}
	return list
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func sumTrials(g *gen, name string, rows, cols int) []trial {
	var list []trial
	for _, typ := range []device.Type{g.act, device.F64} {
		a, b := g.normal(typ, rows, cols, 1), g.normal(typ, rows, cols, 1)
		add := makeTrial("add", name+","+typ.String(), nil, []tensor{a, b}, []tensor{empty(typ, rows, cols)}, func() [][]float64 {
			return one(fill(rows, cols, func(i, j int) float64 { return a.at(i, j) + b.at(i, j) }))
		})
		add.aliases, add.byRows = [][2]int{{0, 0}, {0, 1}}, []int{0, 1}
		list = append(list, add)
	}
	// accumulate reads its output, which the trial makes its input.
	a := g.a(rows, cols)
	twice := makeTrial("accumulate", name, nil, []tensor{a}, []tensor{empty(g.act, rows, cols)}, func() [][]float64 {
		return one(fill(rows, cols, func(i, j int) float64 { return 2 * a.at(i, j) }))
	})
	twice.readsOutput = true
	zero := makeTrial("zero", name, nil, nil, []tensor{empty(g.act, rows, cols)}, func() [][]float64 {
		return one(make([]float64, rows*cols))
	})
	return append(list, twice, zero)
}

// dropoutTrial checks no values: the draw is the backend's own. What must hold
// of it is in checkDropout.
func dropoutTrial(g *gen, name string, rows, cols int) trial {
	x, key, seed := g.a(rows, cols), g.ints(rows, 0, 1<<30), ints(-5, 77)
	r := makeTrial("dropout", name, device.Dropout{P: 0.25, Stream: 3}, []tensor{x, key, seed}, []tensor{empty(g.act, rows, cols)},
		func() [][]float64 { return one(nil) })
	r.unchecked, r.byRows = true, []int{0, 1}
	return r
}
