package devicetest

import (
	"fmt"

	"align/internal/device"
)

// shapes are products M x N x K: every size in every place, and one across the
// borders of larger blocks.
func shapes() [][3]int {
	var list [][3]int
	for i, m := range sizes {
		list = append(list, [3]int{m, size(i*3+2) + 1, size(i*5+4) + 1})
	}
	return append(list, [3]int{133, 70, 300}, [3]int{5, 130, 600}, [3]int{3, 74, 600}, [3]int{260, 5, 129}, [3]int{137, 80, 72})
}

// dotOracle is sum over k of a(i,k) b(j,k).
func dotOracle(m, n, k int, a, b func(i, k int) float64) matrix {
	y, left, right := zeros(m, n), fill(m, k, a), fill(n, k, b)
	for i := range m {
		x := left[i*k:][:k]
		for j := range n {
			sum := 0.0
			for l, w := range right[j*k:][:k] {
				sum += x[l] * w
			}
			y.set(i, j, sum)
		}
	}
	return y
}

func turned(x tensor) func(i, k int) float64 { return func(i, k int) float64 { return x.at(k, i) } }

var weightTypes = [...]device.Type{device.F32, device.BF16, device.F16, device.F64}

// linearTrials: linear, linear_dx, bias_grad, lora_linear, lora_dx.
func linearTrials(g *gen) []trial {
	var list []trial
	for i, s := range shapes() {
		list = append(list, weightTrials(g, i, s[0], g.normal(weightTypes[i%4], s[1], s[2], 1))...)
	}
	return list
}

// weightTrials are the products of m rows with a frozen weight and its adapter.
func weightTrials(g *gen, i, m int, w tensor) []trial {
	n, k := w.rows, w.cols
	name := fmt.Sprintf("T%d,N%d,C%d,%s", m, n, k, w.typ)
	x, dy, bias := g.a(m, k), g.a(m, n), g.w(n, 1)
	forward := func() matrix { return dotOracle(m, n, k, x.at, w.at) }
	plain := makeTrial("linear", name, nil, []tensor{x, w}, []tensor{empty(g.act, m, n)}, func() [][]float64 { return one(forward().f) })
	biased := makeTrial("linear", name+",bias", nil, []tensor{x, w, bias}, []tensor{empty(g.act, m, n)}, func() [][]float64 {
		y := forward()
		return one(fill(m, n, func(i, j int) float64 { return y.at(i, j) + bias.f[j] }))
	})
	dx := makeTrial("linear_dx", name, nil, []tensor{dy, w}, []tensor{empty(g.act, m, k)}, func() [][]float64 {
		return one(dotOracle(m, k, n, dy.at, turned(w)).f)
	})
	for _, r := range []*trial{&plain, &biased, &dx} {
		r.placed, r.byRows = 1, []int{0}
	}
	db := makeTrial("bias_grad", fmt.Sprintf("T%d,N%d", m, n), nil, []tensor{dy}, []tensor{empty(g.wide(), n, 1)}, func() [][]float64 {
		ones := func(int, int) float64 { return 1 }
		return one(dotOracle(n, 1, m, turned(dy), ones).f)
	})
	db.accumulate = true
	return append([]trial{plain, biased, dx, db}, loraTrials(g, i, m, n, k, name, x, dy, w, bias)...)
}

func loraTrials(g *gen, i, m, n, k int, name string, x, dy, w, bias tensor) []trial {
	rank := [...]int{1, 4, 8, 16, 5, 64}[i%6]
	name = fmt.Sprintf("%s,R%d", name, rank)
	attr := device.LoRA{Scale: 0.75}
	xd, a, b, du := g.a(m, k), g.w(rank, k), g.w(n, rank), g.a(m, rank)
	oracle := func(in tensor, bias func(j int) float64) func() [][]float64 {
		return func() [][]float64 {
			y := dotOracle(m, n, k, x.at, w.at)
			u := dotOracle(m, rank, k, in.at, a.at)
			low := dotOracle(m, n, rank, u.at, b.at)
			sum := fill(m, n, func(i, j int) float64 { return y.at(i, j) + attr.Scale*low.at(i, j) + bias(j) })
			return [][]float64{sum, fill(m, rank, func(i, j int) float64 { return attr.Scale * u.at(i, j) })}
		}
	}
	none := func(int) float64 { return 0 }
	out := []tensor{empty(g.act, m, n), empty(g.act, m, rank)}
	shared := makeTrial("lora_linear", name+",shared", attr, []tensor{x, x, w, a, b}, out, oracle(x, none))
	shared.same = 1
	dropped := makeTrial("lora_linear", name, attr, []tensor{x, xd, w, a, b}, out, oracle(xd, none))
	biased := makeTrial("lora_linear", name+",bias", attr, []tensor{x, xd, w, a, b, bias}, out,
		oracle(xd, func(j int) float64 { return bias.f[j] }))
	for _, r := range []*trial{&shared, &dropped, &biased} {
		r.placed, r.byRows = 2, []int{0, 1}
	}
	dx := makeTrial("lora_dx", name, nil, []tensor{dy, w, du, a}, []tensor{empty(g.act, m, k)}, func() [][]float64 {
		y, low := dotOracle(m, k, n, dy.at, turned(w)), dotOracle(m, k, rank, du.at, turned(a))
		return one(fill(m, k, func(i, j int) float64 { return y.at(i, j) + low.at(i, j) }))
	})
	dx.placed, dx.byRows, dx.accumulate = 1, []int{0, 2}, true
	return []trial{shared, dropped, biased, dx}
}

// adapterTrials: lora_du.
func adapterTrials(g *gen) []trial {
	var list []trial
	attr := device.LoRA{Scale: 0.75}
	for i, s := range append(shapes(), [3]int{133, 128, 0}, [3]int{64, 64, 0}) {
		m, n, rank := s[0], s[1], [...]int{16, 4, 16, 8, 64}[i%5]
		dy, b, u := g.a(m, n), g.w(n, rank), g.a(m, rank)
		du := makeTrial("lora_du", fmt.Sprintf("T%d,N%d,R%d", m, n, rank), attr, []tensor{dy, b, u}, []tensor{empty(g.wide(), n, rank), empty(g.act, m, rank)}, func() [][]float64 {
			low := dotOracle(m, rank, n, dy.at, turned(b))
			return [][]float64{dotOracle(n, rank, m, turned(dy), turned(u)).f, fill(m, rank, func(i, j int) float64 { return attr.Scale * low.at(i, j) })}
		})
		du.accumulate, du.optional = true, true
		list = append(list, du)
	}
	return list
}

// matmulTrials: matmul_nt, matmul_nn, matmul_tn.
func matmulTrials(g *gen) []trial {
	var list []trial
	attr := device.MatMul{Alpha: -1.25}
	for _, s := range append(shapes(), [3]int{3, 4, 0}) {
		m, n, k := s[0], s[1], s[2]
		name := fmt.Sprintf("M%d,N%d,K%d", m, n, k)
		x, w, xt, wt := g.a(m, k), g.a(n, k), g.a(k, m), g.a(k, n)
		scaled := func(a, b func(i, k int) float64) func() [][]float64 {
			return func() [][]float64 {
				y := dotOracle(m, n, k, a, b)
				return one(fill(m, n, func(i, j int) float64 { return attr.Alpha * y.at(i, j) }))
			}
		}
		out := []tensor{empty(g.act, m, n)}
		nt := makeTrial("matmul_nt", name, attr, []tensor{x, w}, out, scaled(x.at, w.at))
		nn := makeTrial("matmul_nn", name, attr, []tensor{x, wt}, out, scaled(x.at, turned(wt)))
		tn := makeTrial("matmul_tn", name, attr, []tensor{xt, wt}, []tensor{empty(g.wide(), m, n)}, scaled(turned(xt), turned(wt)))
		nt.byRows, nn.byRows = []int{0}, []int{0}
		nt.accumulate, nn.accumulate, tn.accumulate = true, true, true
		list = append(list, nt, nn, tn)
	}
	return list
}
