package kern

import (
	"math"
	"unsafe"
)

// trialWeighing is the weights of a row, ds of a pair of rows with the same scores and a
// finished row, and what the vector functions behind them give.
func (s *Set) trialWeighing() (got, want []float32) {
	const n, stride = selfTestSize, selfTestSize + 2*GradBehind
	x, dp := wave(2*stride, 1), wave(2*stride, 2)
	copy(x[stride:], x[:n])
	weights, ds := make([]float32, n), make([]float32, n)
	s.ExpSum(weights, x[:n], 2, 2*s.Max(x[:n]))
	s.SoftmaxGrad(ds, weights, dp[:n], 0.5, 2)
	row := GradRow{Seen: n, LSE: 2 * s.Max(x[:n]), Delta: 0.5}
	p, words, scores := make([]float32, stride), make([]float32, stride), append([]float32(nil), x...)
	s.GradPairs(first(scores, 1), first(dp, 1), first(p, 1), first(words, 1), 4*stride, []GradRow{row, row}, 2)
	rows := []WeighRow{{Seen: n, Largest: -100}}
	s.WeighRows(first(x, 1), 0, rows, n, 2)
	got = append(s.widened(first(x, 1), n), append(s.widened(first(dp, 1), n), rows[0].Largest)...)
	want = append(s.narrowed(weights), append(s.narrowed(ds), row.LSE)...)
	for i := range n {
		got = append(got, s.widened(first(p[i:], 1), 1)...)
		want = append(want, got[i])
	}
	finished, of := s.trialFinish(dp[stride:])
	return append(got, finished...), append(want, of...)
}

// trialFinish is a finished row of o and its sum of squares.
func (s *Set) trialFinish(o []float32) (got, want []float32) {
	half, lse, sum := make([]uint16, MaxLanes), FinishLogs{}, make([]float32, 1)
	table := [MaxRows]unsafe.Pointer{first(half, 1)}
	s.FinishRows(first(o, 1), 0, &table, MaxLanes, []float32{1}, []float64{0.5}, &lse)
	s.DotRows(sum, half, half, MaxLanes)
	wide := make([]float32, MaxLanes)
	s.Scale(wide, o[:MaxLanes], 2)
	want = s.narrowed(wide)
	got = append(s.widened(first(half, 1), MaxLanes), lse[0], sum[0])
	return got, append(want, float32(1+math.Log(0.5)), s.Dot(want, want))
}

// widened is n bfloat16 in float32.
func (s *Set) widened(half unsafe.Pointer, n int) []float32 {
	x := make([]float32, n)
	s.FromBF16(x, halves(half, n))
	return x
}

// narrowed is x rounded to bfloat16.
func (s *Set) narrowed(x []float32) []float32 {
	half := make([]uint16, len(x))
	s.ToBF16(half, x)
	return s.widened(first(half, 1), len(x))
}
