package devicetest

import (
	"fmt"

	"align/internal/device"
)

// droppedTrials: what reads a mask: lora_dropped_dx, and lora_linear and matmul_tn under
// one.
func droppedTrials(g *gen) []trial {
	var list []trial
	attr := device.Dropout{P: 0.25, Stream: 9}
	for i, s := range append(shapes(), [3]int{70, 96, 128}, [3]int{64, 64, 300}, [3]int{33, 512, 64}, [3]int{70, 64, 192}, [3]int{100, 32, 128}, [3]int{64, 32, 256}, [3]int{33, 40, 320}) {
		m, n, k, rank := s[0], s[1], s[2], [...]int{16, 4, 8, 33, 16}[i%5]
		name := fmt.Sprintf("T%d,N%d,C%d,R%d,%s", m, n, k, rank, weightTypes[i%4])
		dy, w, du, a, x, key := g.a(m, n), g.normal(weightTypes[i%4], n, k, 1), g.a(m, rank), g.w(rank, k), g.a(m, k), g.ints(m, 0, 1<<30)
		mask := maskOf(attr, [2]uint32{5, 6}, key, k)
		keeps := func(t, j int) bool { return isKept(attr, [2]uint32{5, 6}, uint32(key.f[t]), j) }
		xd := func(t, j int) float64 {
			if !keeps(t, j) {
				return 0
			}
			return x.at(t, j)
		}
		dx := makeTrial("lora_dropped_dx", name, attr, []tensor{dy, w, du, a, mask}, []tensor{empty(g.act, m, k)}, func() [][]float64 {
			y, low := dotOracle(m, k, n, dy.at, turned(w)), dotOracle(m, k, rank, du.at, turned(a))
			return one(fill(m, k, func(t, j int) float64 {
				if !keeps(t, j) {
					return y.at(t, j)
				}
				return y.at(t, j) + low.at(t, j)*attr.Scale()
			}))
		})
		dx.placed, dx.byRows, dx.accumulate = 1, []int{0, 2, 4}, true
		up := g.w(n, rank)
		linear := makeTrial("lora_linear", "mask,"+name, device.LoRA{Scale: 0.75}, []tensor{x, mask, w, a, up}, []tensor{empty(g.act, m, n), empty(g.act, m, rank)},
			func() [][]float64 {
				y, u := dotOracle(m, n, k, x.at, w.at), dotOracle(m, rank, k, xd, a.at)
				low := dotOracle(m, n, rank, u.at, up.at)
				return [][]float64{fill(m, n, func(i, j int) float64 { return y.at(i, j) + 0.75*low.at(i, j) }),
					fill(m, rank, func(i, j int) float64 { return 0.75 * u.at(i, j) })}
			})
		linear.placed, linear.byRows = 2, []int{0, 1}
		da := makeTrial("matmul_tn", "mask,"+name, device.MatMul{Alpha: 1.25}, []tensor{du, x, mask}, []tensor{empty(g.wide(), rank, k)}, func() [][]float64 {
			y := dotOracle(rank, k, m, turned(du), func(j, t int) float64 { return xd(t, j) })
			return one(fill(rank, k, func(i, j int) float64 { return 1.25 * y.at(i, j) }))
		})
		da.accumulate = true
		list = append(list, dx, linear, da, maskTrial(attr, name, key, mask))
	}
	return list
}

// maskTrial: dropout_mask.
func maskTrial(attr device.Dropout, name string, key, mask tensor) trial {
	r := makeTrial("dropout_mask", name, attr, []tensor{key, ints(5, 6)}, []tensor{empty(device.I32, mask.rows, mask.cols)}, func() [][]float64 { return one(mask.f) })
	r.byRows = []int{0}
	return r
}

// maskOf is the mask of rows of so many columns.
func maskOf(attr device.Dropout, seed [2]uint32, key tensor, columns int) tensor {
	words := (columns + 31) / 32
	values := make([]float64, key.rows*words)
	for i := range values {
		var word uint32
		for bit := range 32 {
			if isKept(attr, seed, uint32(key.f[i/words]), i%words*32+bit) {
				word |= 1 << bit
			}
		}
		values[i] = float64(int32(word))
	}
	return newTensor(device.I32, key.rows, words, values)
}

// isKept says whether dropout keeps a column of a row with the key.
func isKept(attr device.Dropout, seed [2]uint32, key uint32, column int) bool {
	words := philox([4]uint32{uint32(column / 8), key, attr.Stream, 0}, seed)
	bits := words[column%8/2]
	if column%2 == 1 {
		bits >>= 16
	}
	return bits%(1<<16) >= attr.Limit()
}

// philox is Philox4x32-10 (https://doi.org/10.1145/2063384.2063405).
func philox(counter [4]uint32, key [2]uint32) [4]uint32 {
	for range 10 {
		a, b := 0xD2511F53*uint64(counter[0]), 0xCD9E8D57*uint64(counter[2])
		counter = [4]uint32{uint32(b>>32) ^ counter[1] ^ key[0], uint32(b), uint32(a>>32) ^ counter[3] ^ key[1], uint32(a)}
		key[0] += 0x9E3779B9
		key[1] += 0xBB67AE85
	}
	return counter
}
