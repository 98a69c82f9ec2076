package gemm

import (
	"fmt"
	"math"
	"testing"
	"time"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
)

// BenchmarkLowRank is the products of a LoRA layer's own gradients, T tokens
// and rank 16: dA = du' x and dB = dy' u.
func BenchmarkLowRank(b *testing.B) {
	for level := feature.AVX2; level <= feature.Detect(); level++ {
		if !feature.Has(level) {
			continue
		}
		set := kern.New(level)
		typ := device.F32
		if level >= feature.AVX512BF16 {
			typ = device.BF16
		}
		for _, s := range [][3]int{{16, 2048, 512}, {2048, 16, 512}, {8192, 16, 512}, {16, 8192, 512}, {2048, 2048, 512}} {
			b.Run(fmt.Sprintf("impl=%s/type=%s/form=tn/m=%d/n=%d/k=%d/threads=1", level, typ, s[0], s[1], s[2]), func(b *testing.B) {
				e := engine(b, set, typ, 1)
				p, where := benchmarkCase(b, set, kind{xAcross: true, across: true}, e, s[0], s[1], s[2])
				best := math.Inf(1)
				for b.Loop() {
					start := time.Now()
					if err := e.Run(p, where); err != nil {
						b.Fatal(err)
					}
					best = min(best, time.Since(start).Seconds())
				}
				b.ReportMetric(best*1e6, "us")
				b.ReportMetric(2*float64(s[0]*s[1]*s[2])/best/1e9, "GFLOP/s")
			})
		}
	}
}
