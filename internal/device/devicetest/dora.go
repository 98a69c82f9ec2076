package devicetest

import (
	"fmt"
	"math"
	"testing"

	"align/internal/device"
)

// CheckDoRA holds a backend that has the kernels of DoRA to their contract; it
// is no part of Check, because a backend may do without them.
func CheckDoRA(t *testing.T, b device.Backend, act device.Type) {
	trials := doraTrials(newGen(act))
	for i := range trials {
		r := &trials[i]
		t.Run(r.name, func(t *testing.T) { r.check(t, b, act) })
	}
}

// doraTrials: dora_norm, dora_scale, dora_dm.
func doraTrials(g *gen) []trial {
	var list []trial
	for i, t := range sizes {
		n, rank := size(i*3+2)+1, [...]int{1, 4, 8, 16, 5}[i%5]
		list = append(list, doraNormTrial(g, n, rank, size(i+5)+1))
		z, m, bias, dy := g.a(t, n), g.w(n, 1), g.w(n, 1), g.a(t, n)
		length := positive(g, n)
		for _, shift := range []float64{0, 1} {
			name := fmt.Sprintf("T%d,N%d,%v", t, n, shift)
			scaled := func(b func(j int) float64) func() [][]float64 {
				return func() [][]float64 {
					return one(fill(t, n, func(i, j int) float64 { return z.at(i, j)*(m.f[j]/length.f[j]-shift) + b(j) }))
				}
			}
			plain := makeTrial("dora_scale", name, device.DoRA{Shift: shift}, []tensor{z, m, length}, []tensor{empty(g.act, t, n)}, scaled(func(int) float64 { return 0 }))
			biased := makeTrial("dora_scale", name+",bias", device.DoRA{Shift: shift}, []tensor{z, m, length, bias}, []tensor{empty(g.act, t, n)}, scaled(func(j int) float64 { return bias.f[j] }))
			plain.byRows, biased.byRows = []int{0}, []int{0}
			list = append(list, plain, biased)
		}
		dm := makeTrial("dora_dm", fmt.Sprintf("T%d,N%d", t, n), nil, []tensor{z, length, dy}, []tensor{empty(g.wide(), n, 1)}, func() [][]float64 {
			return one(fill(n, 1, func(j, _ int) float64 {
				sum := 0.0
				for i := range t {
					sum += z.at(i, j) * dy.at(i, j)
				}
				return sum / length.f[j]
			}))
		})
		dm.accumulate = true
		list = append(list, dm)
	}
	return list
}

// positive draws lengths that nothing is divided by too small a number with.
func positive(g *gen, n int) tensor {
	x := g.w(n, 1)
	for i, v := range x.f {
		x.set(i, 0.5+math.Abs(v))
	}
	return x
}

// doraNormTrial compares with the lengths of the rows of W + scale B A itself.
func doraNormTrial(g *gen, n, rank, cols int) trial {
	const scale = 0.75
	w, a, b := g.w(n, cols), g.w(rank, cols), g.w(n, rank)
	squares, products, own := zeros(n, 1), zeros(rank, n), zeros(rank, rank)
	for i := range n {
		for j := range cols {
			squares.add(i, 0, w.at(i, j)*w.at(i, j))
		}
	}
	for k := range rank {
		for j := range cols {
			for i := range n {
				products.add(k, i, a.at(k, j)*w.at(i, j))
			}
			for l := range rank {
				own.add(k, l, a.at(k, j)*a.at(l, j))
			}
		}
	}
	in := []tensor{
		newTensor(device.F64, n, 1, squares.f), b, newTensor(g.wide(), rank, n, products.f), newTensor(g.wide(), rank, rank, own.f),
	}
	return makeTrial("dora_norm", fmt.Sprintf("N%d,R%d", n, rank), device.LoRA{Scale: scale}, in, []tensor{empty(g.wide(), n, 1)}, func() [][]float64 {
		return one(fill(n, 1, func(i, _ int) float64 {
			sum := 0.0
			for j := range cols {
				x := w.at(i, j)
				for k := range rank {
					x += scale * b.at(i, k) * a.at(k, j)
				}
				sum += x * x
			}
			return math.Sqrt(sum)
		}))
	})
}
