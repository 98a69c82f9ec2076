package kern

import (
	"math"
	"testing"
)

func TestColumns(t *testing.T) {
	twin := generic()
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, n := range []int{1, 31, 32, 64, 100, 192} {
			for _, rows := range []int{0, 1, 2, 17} {
				stride, r := n+3, newRand(n*100+rows)
				x, dy := random(r, (rows+1)*stride), random(r, (rows+1)*stride)
				scales := make([]float64, rows)
				for i := range scales {
					scales[i] = r.Float64()
				}
				sums := func(s *Set) []float64 {
					sums := make([]float64, 2*n+1)
					for i := range sums {
						sums[i] = float64(i)
					}
					s.ColumnSums(sums[:n], x, rows, stride)
					s.NormColumns(sums[n:2*n], x, dy, scales, stride)
					return sums
				}
				got, want := sums(s), sums(twin)
				for i := range want {
					if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
						t.Fatalf("%d rows of %d columns: sum %d is %g, want %g", rows, n, i, got[i], want[i])
					}
				}
			}
		}
	})
}
