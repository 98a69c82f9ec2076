//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"math"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// Chunks of every width give the same statistics as the whole row, and the
// lowest id of equal largest logits.
func TestSoftmaxInChunks(t *testing.T) {
	const rows, ids, ld = 5, 700, 704
	rng := random(3)
	z := make([]float32, rows*ld)
	for i := range z {
		z[i] = float32(rng.NormFloat64()) * 4
	}
	for _, tie := range []int{650, 20, 300} { // in row 1, in several chunks
		z[ld+tie] = 30
	}
	z[2*ld+5], z[2*ld+690] = -200, 90 // the largest comes last
	targets := []int32{0, 20, 690, -1, 699}
	for _, width := range []int{ids, 8, 256, 264} {
		c := cudatest.Open(t)
		up := func(x []int32) driver.Arg { return driver.Ptr(cudatest.Upload(t, c, x)) }
		states, aims, logits := driver.Ptr(cudatest.Alloc[uint8](t, c, 40*rows)), up(targets), cudatest.Upload(t, c, z)
		for col := 0; col < ids; col += width {
			c.Run(t, ptxOf(t, "logprob"), "logprob_fold", line(rows), line(256), 0,
				states, driver.U64(logits.Address+uint64(4*col)), aims, integer(ld), integer(col), integer(min(width, ids-col)))
		}
		var out [4]*driver.Buffer
		args := make([]driver.Arg, 4)
		for i := range out {
			out[i] = cudatest.Alloc[float32](t, c, rows)
			args[i] = driver.Ptr(out[i])
		}
		c.Run(t, ptxOf(t, "logprob"), "logprob_finish", line(1), line(256), 0, append(args, states, aims, integer(rows))...)
		for i, want := range statistics(z, ld, ids, targets) {
			got := widened(cudatest.Download[float32](t, c, out[i], rows))
			if d := distance(got, want); d > 1e-6*max(1, largest(want)) {
				t.Errorf("chunks of %d: output %d is %v: want %v", width, i, got, want)
			}
		}
	}
}

// statistics are lp, lse, entropy and hit in float64.
func statistics(z []float32, ld, ids int, targets []int32) [4][]float64 {
	var out [4][]float64
	for i, target := range targets {
		row := z[i*ld:][:ids]
		best, sum, entropy := 0, 0.0, 0.0
		for j, x := range row {
			if x > row[best] {
				best = j
			}
		}
		for _, x := range row {
			sum += math.Exp(float64(x - row[best]))
		}
		lse := float64(row[best]) + math.Log(sum)
		for _, x := range row {
			entropy -= math.Exp(float64(x)-lse) * (float64(x) - lse)
		}
		lp, hit := 0.0, 0.0
		if target >= 0 {
			lp = float64(row[target]) - lse
			if int(target) == best {
				hit = 1
			}
		}
		for j, v := range []float64{lp, lse, entropy, hit} {
			out[j] = append(out[j], v)
		}
	}
	return out
}
