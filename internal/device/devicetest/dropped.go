package devicetest

import (
	"fmt"
	"math"

	"align/internal/device"
)

// droppedTrials: lora_dropped_dx. Its xd is what dropout gives: -0 where an element
// is dropped.
func droppedTrials(g *gen) []trial {
	var list []trial
	attr := device.Dropout{P: 0.25, Stream: 9}
	for i, s := range append(shapes(), [3]int{70, 96, 128}, [3]int{64, 64, 300}, [3]int{33, 512, 64}) {
		m, n, k, rank := s[0], s[1], s[2], [...]int{16, 4, 8, 33, 16}[i%5]
		dy, w, du, a, x, key := g.a(m, n), g.normal(weightTypes[i%4], n, k, 1), g.a(m, rank), g.w(rank, k), g.a(m, k), g.ints(m, 0, 1<<30)
		xd := newTensor(g.act, m, k, fill(m, k, func(t, j int) float64 {
			if !isKept(attr, [2]uint32{5, 6}, uint32(key.f[t]), j) {
				return math.Copysign(0, -1)
			}
			return x.at(t, j)*attr.Scale() + 0
		}))
		dx := makeTrial("lora_dropped_dx", fmt.Sprintf("T%d,N%d,C%d,R%d,%s", m, n, k, rank, w.typ), attr,
			[]tensor{dy, w, du, a, xd, key, ints(5, 6)}, []tensor{empty(g.act, m, k)}, func() [][]float64 {
				y, low := dotOracle(m, k, n, dy.at, turned(w)), dotOracle(m, k, rank, du.at, turned(a))
				return one(fill(m, k, func(t, j int) float64 {
					if !isKept(attr, [2]uint32{5, 6}, uint32(key.f[t]), j) {
						return y.at(t, j)
					}
					return y.at(t, j) + low.at(t, j)*attr.Scale()
				}))
			})
		dx.placed, dx.byRows, dx.accumulate = 1, []int{0, 2, 4, 5}, true
		list = append(list, dx)
	}
	return list
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
