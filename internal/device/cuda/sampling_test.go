//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"math/rand/v2"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// Drawing with a cut by number and one by probability takes three searches: few
// instructions for each 32 logits.
func TestSampleCounters(t *testing.T) {
	const n, most = 32 * 768, 1750
	c := cudatest.Open(t)
	r := rand.New(rand.NewPCG(5, 0))
	z := make([]float32, n)
	for i := range z {
		z[i] = float32(r.NormFloat64() * 3)
	}
	id, lp := cudatest.Alloc[int32](t, c, 1), cudatest.Alloc[float64](t, c, 1)
	c.Run(t, ptxOf(t, "sampling"), "sample", line(1), line(768), 0, driver.Ptr(id), driver.Ptr(lp), driver.Ptr(cudatest.Alloc[uint64](t, c, n)),
		driver.Ptr(cudatest.Upload(t, c, z)), driver.Ptr(cudatest.Upload(t, c, []float64{0.5})), integer(n), driver.F64(0.8), integer(200), driver.F64(0.9), driver.F64(0))
	if s, simulated := c.Stats("sample"); simulated {
		if each := float64(s.Instructions) / (n / 32); each > most || s.Local != 0 {
			t.Errorf("%.0f instructions for 32 logits, %d uses of local memory: want at most %d and 0", each, s.Local, most)
		} else {
			t.Logf("%.0f instructions for 32 logits", each)
		}
	}
}
