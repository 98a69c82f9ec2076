package kern

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"
)

// weighing is rows of scores with NaN behind those that a row sees.
func weighing(seed, rows, stride int, seen func(row int) int) []float32 {
	x := random(newRand(seed), rows*stride)
	for row := range rows {
		for i := max(0, seen(row)); i < stride; i++ {
			x[row*stride+i] = float32(math.NaN())
		}
	}
	return x
}

// Rows of weights have the bits of one row after the other.
func TestWeighRows(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		if !s.HasWeighing() {
			t.Skip("the level has none")
		}
		for _, n := range []int{1, 2, 13, 14} {
			for _, keys := range []int{1, 7, 16, 33, 64, 65, 130, 512} {
				for _, last := range []float32{float32(math.Inf(-1)), -1, 100} {
					checkWeighRows(t, s, n, keys, last)
				}
			}
		}
	})
}

func checkWeighRows(t *testing.T, s *Set, n, keys int, last float32) {
	t.Helper()
	const scale = 1.5
	name := fmt.Sprintf("n=%d keys=%d last=%v", n, keys, last)
	stride := keys + 35
	seen := func(row int) int { return max(0, keys-2*(n-1-row)) }
	scores := weighing(keys, n, stride, seen)
	scores[0] = float32(math.NaN()) // shows in its own row
	g := newGuarded(scores)
	rows := make([]WeighRow, n)
	for i := range rows {
		rows[i] = WeighRow{Seen: seen(i), Largest: last}
	}
	s.WeighRows(pointer(g.slice()), 4*stride, rows, keys, scale)
	g.check(t, name)
	for i, row := range rows {
		x := scores[i*stride:][:row.Seen]
		largest := max(last, scale*s.Max(x))
		if len(x) > 0 && math.IsInf(float64(s.Max(x)), -1) {
			largest = last
		}
		weights, want := make([]float32, row.Seen), make([]uint16, keys)
		sum := s.ExpSum(weights, x, scale, largest)
		s.ToBF16(want[:row.Seen], weights)
		got := halves(pointer(g.slice()[i*stride:]), keys)
		same := math.Float32bits(sum) == math.Float32bits(row.Sum) || sum != sum && row.Sum != row.Sum
		if row.Largest != largest || !same || !sameHalves(got, want) {
			t.Fatalf("%s: row %d: largest %v, sum %v, weights %x, want %v, %v, %x", name, i, row.Largest, row.Sum, got, largest, sum, want)
		}
	}
}

// sameHalves compares bfloat16, of which every NaN is the same.
func sameHalves(a, b []uint16) bool {
	nan := func(x uint16) bool { return x&0x7fff > 0x7f80 }
	return slices.EqualFunc(a, b, func(x, y uint16) bool { return x == y || nan(x) && nan(y) })
}

// Pairs of rows have the bits of one row after the other.
func TestGradPairs(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		if !s.HasWeighing() {
			t.Skip("the level has none")
		}
		for _, n := range []int{1, 2, 13, 14} {
			for _, first := range []int{1, 7, 15, 16, 31, 33, 64, 130, 499} {
				for _, step := range []int{0, 1} {
					checkGradPairs(t, s, n, first, step)
				}
			}
		}
	})
}

// checkGradPairs has rows that see first keys, then step more each.
func checkGradPairs(t *testing.T, s *Set, n, first, step int) {
	t.Helper()
	const scale, lse, delta = 1.5, 2, 0.25
	name := fmt.Sprintf("n=%d first=%d step=%d", n, first, step)
	places := n + n%2
	stride := first + places + 2*GradBehind
	seen := func(row int) int {
		if row == n {
			return 0
		}
		return first + step*row
	}
	scores := weighing(1, places, stride, seen)
	dp := weighing(2, places, stride, seen)
	rows := make([]GradRow, places)
	for i := range rows {
		rows[i] = GradRow{Seen: seen(i), LSE: lse + float32(i), Delta: delta * float32(i)}
	}
	in, grads := newGuarded(scores), newGuarded(dp)
	words := [2]guarded{newGuarded(make([]float32, places/2*stride)), newGuarded(make([]float32, places/2*stride))}
	s.GradPairs(pointer(in.slice()), pointer(grads.slice()), pointer(words[0].slice()), pointer(words[1].slice()), 4*stride, rows, scale)
	for _, g := range []guarded{in, grads, words[0], words[1]} {
		g.check(t, name)
	}
	for i, row := range rows {
		visible := row.Seen + GradBehind
		want := [2][]uint16{make([]uint16, visible), make([]uint16, visible)}
		p, ds := make([]float32, row.Seen), make([]float32, row.Seen)
		s.ExpSum(p, scores[i*stride:][:row.Seen], scale, row.LSE)
		s.SoftmaxGrad(ds, p, dp[i*stride:][:row.Seen], row.Delta, scale)
		s.ToBF16(want[0][:row.Seen], p)
		s.ToBF16(want[1][:row.Seen], ds)
		for which, g := range words {
			got := make([]uint16, visible)
			pairs := unsafe.Slice((*uint16)(pointer(g.slice()[i/2*stride:])), 2*visible)
			for j := range got {
				got[j] = pairs[2*j+i%2]
			}
			if !slices.Equal(got, want[which]) {
				t.Fatalf("%s: row %d: words %d are %x, want %x", name, i, which, got, want[which])
			}
		}
		if got := halves(pointer(grads.slice()[i*stride:]), visible); !slices.Equal(got, want[1]) {
			t.Fatalf("%s: row %d: ds is %x, want %x", name, i, got, want[1])
		}
	}
}

// Finished rows have the bits of Scale and ToBF16, and their logarithms those of math.Log.
func TestFinishRows(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		if !s.HasWeighing() {
			t.Skip("the level has none")
		}
		r := newRand(1)
		for try := range 4000 {
			sums, largest := make([]float64, 1+try%FinishMost), make([]float32, 1+try%FinishMost)
			for i := range sums {
				sums[i], largest[i] = math.Exp(r.NormFloat64()*float64(try%40)), float32(r.NormFloat64())
			}
			copy(sums, [][]float64{{math.Sqrt2, 1}, {math.Sqrt2 / 2, 2}, {0, 1}, {math.Inf(1), math.NaN()}, {}}[try%5])
			if sums[0] == 0 {
				largest[0] = float32(math.Inf(-1))
			}
			checkFinishRows(t, s, 16*(1+try%5), largest, sums)
		}
	})
}

func checkFinishRows(t *testing.T, s *Set, n int, largest []float32, sums []float64) {
	t.Helper()
	o, out := random(newRand(n), len(sums)*(n+3)), newGuarded(make([]float32, len(sums)*n/2))
	var table [MaxRows]unsafe.Pointer
	for i := range sums {
		table[i] = pointer(out.slice()[i*n/2:])
	}
	var lse FinishLogs
	s.FinishRows(pointer(o), 4*(n+3), &table, n, largest, sums, &lse)
	out.check(t, "FinishRows")
	for i, sum := range sums {
		want, inverse := float32(float64(largest[i])+math.Log(sum)), float32(0)
		if sum != 0 {
			inverse = float32(1 / sum)
		}
		row, wide := make([]uint16, n), make([]float32, n)
		s.Scale(wide, o[i*(n+3):][:n], inverse)
		s.ToBF16(row, wide)
		if got := halves(table[i], n); !sameHalves(got, row) || lse[i] != want && !(lse[i] != lse[i] && want != want) {
			t.Fatalf("sum %v of %d: lse %v and %x, want %v and %x", sum, len(sums), lse[i], got, want, row)
		}
	}
}
