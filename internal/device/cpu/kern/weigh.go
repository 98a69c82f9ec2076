package kern

import "unsafe"

// WeighRow is a query to WeighRows.
type WeighRow struct {
	// Seen is the keys that it sees.
	Seen int
	// Largest is scale times the largest score so far, which WeighRows raises; NaN may be
	// passed over.
	Largest float32
	// Sum becomes the sum of the row's weights before they are rounded.
	Sum float32
}

// GradRow is a query to GradPairs.
type GradRow struct {
	Seen       int // keys that it sees
	LSE, Delta float32
}

// GradBehind is how many keys behind those that a row sees GradPairs writes zeros for, at
// least; it may write as many more.
const GradBehind = 16

// HasWeighing says whether the level has WeighRows, GradPairs and FinishRows.
func (s *Set) HasWeighing() bool { return s.weighRows != nil }

// WeighRows turns scores of rows, rowBytes apart, into the weights exp(scale s - largest) in
// bfloat16, in their place, with zeros from the keys that a row sees up to fill, which is
// filled up to a multiple of 16. Scale is positive. The bits are those of Max, ExpSum and ToBF16.
func (s *Set) WeighRows(scores unsafe.Pointer, rowBytes int, rows []WeighRow, fill int, scale float32) {
	s.weighRows(scores, rowBytes, unsafe.Pointer(&rows[0]), len(rows), fill, scale)
}

// GradPairs turns scores and do v' of pairs of rows, rowBytes apart, into p = exp(scale s - lse)
// and ds = p (dp - delta) scale in bfloat16: words of both rows of a pair, rowBytes from pair
// to pair, and dp's rows become those of ds. A row that is not there sees no key, but has
// its place. The bits are those of ExpSum, SoftmaxGrad and ToBF16.
func (s *Set) GradPairs(scores, dp, p, ds unsafe.Pointer, rowBytes int, rows []GradRow, scale float32) {
	s.gradPairs(scores, dp, p, ds, rowBytes, unsafe.Pointer(&rows[0]), len(rows)/2, scale)
}

// FinishMost is the rows that FinishRows takes at most.
const FinishMost = 16

// FinishLogs is FinishRows' logarithms, and room behind them.
type FinishLogs [2 * FinishMost]float32

// FinishRows writes rows of o, rowBytes apart, divided by the sums of their weights, n
// columns of them, a multiple of 16, in bfloat16 to the addresses that out lists. lse becomes
// largest + log(sum). A sum of 0 gives 0 and -Inf. The bits are those of Scale, ToBF16 and math.Log.
func (s *Set) FinishRows(o unsafe.Pointer, rowBytes int, out *[MaxRows]unsafe.Pointer, n int, largest []float32, sums []float64, lse *FinishLogs) {
	s.finishRows(o, rowBytes, unsafe.Pointer(out), n, len(sums), unsafe.Pointer(&largest[0]), unsafe.Pointer(&sums[0]), unsafe.Pointer(lse))
}
