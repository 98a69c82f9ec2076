//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/kernels"
)

// Tests of single entries: values against float64, and the counters that stand
// for speed. Package devicetest holds the whole kernels to their contract.

// ptxOf is the text of kernels/FILE.cu.
func ptxOf(t testing.TB, file string) string {
	t.Helper()
	text, err := kernels.PTX(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func line(x int) driver.Dim       { return driver.Dim{X: x, Y: 1, Z: 1} }
func integer(n int) driver.Arg    { return driver.I32(int32(n)) }
func ceil(n, size int) int        { return (n + size - 1) / size }
func fromBF16(b uint16) float64   { return float64(math.Float32frombits(uint32(b) << 16)) }
func random(n uint64) *rand.Rand  { return rand.New(rand.NewPCG(n, 5)) }
func largest(x []float64) float64 { return distance(x, make([]float64, len(x))) }

// toBF16 rounds to the nearest, ties to even.
func toBF16(x float32) uint16 {
	u := math.Float32bits(x)
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// distance is the largest difference, infinite where one is no number.
func distance(a, b []float64) float64 {
	most := 0.0
	for i, x := range a {
		if d := math.Abs(x - b[i]); d > most || math.IsNaN(d) {
			most = d
		}
		if math.IsNaN(most) {
			return math.Inf(1)
		}
	}
	return most
}

func widened(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// matrix is a side of a product: rows of ld bf16, 0 past the last column.
type matrix struct {
	rows, cols, ld int
	raw            []uint16
}

func newMatrix(rng *rand.Rand, rows, cols int) matrix {
	m := matrix{rows: rows, cols: cols, ld: ceil(cols, 8) * 8}
	m.raw = make([]uint16, max(8, rows*m.ld))
	for i := range rows {
		for j := range cols {
			m.raw[i*m.ld+j] = toBF16(float32(rng.NormFloat64()))
		}
	}
	return m
}

// at is element k of vector i, a row or, if across, a column.
func (m matrix) at(i, k int, across bool) float64 {
	if across {
		i, k = k, i
	}
	return fromBF16(m.raw[i*m.ld+k])
}

// limits are counters that a change must not make worse.
type limits struct {
	conflicts  float64 // wavefronts of shared memory per needed one
	perProduct float64 // instructions per matrix instruction
}

// holds checks an entry's counters on the simulated card.
func (l limits) holds(t *testing.T, c *cudatest.Card, entry string) {
	t.Helper()
	s, simulated := c.Stats(entry)
	if !simulated {
		return
	}
	if s.Conflicts() > l.conflicts || s.PerProduct() > l.perProduct || s.Local != 0 {
		t.Errorf("%s: %.2f wavefronts per needed one, %.2f instructions per product, %d uses of local memory: want at most %.2f, %.2f and 0",
			entry, s.Conflicts(), s.PerProduct(), s.Local, l.conflicts, l.perProduct)
	}
}
