package kern

import (
	"fmt"
	"math"
	"testing"
	"time"
	"unsafe"

	"align/internal/device/cpu/feature"
)

// BenchmarkPackRows packs 512 rows that lie in memory, 14 or 6 at a time.
func BenchmarkPackRows(b *testing.B) {
	for level := feature.AVX2; level <= feature.Detect(); level++ {
		if !feature.Has(level) {
			continue
		}
		s := New(level)
		p := &s.F32
		if s.BF16.Rows > 0 {
			p = &s.BF16
		}
		for _, k := range []int{2048, 8192} {
			b.Run(fmt.Sprintf("impl=%s/k=%d", level, k), func(b *testing.B) {
				const rows = 504
				src := make([]float32, rows*k)
				for i := range src {
					src[i] = 1 // or every page would be the one page of zeros
				}
				dst := make([]uint32, rows*k+1024)
				var table [MaxLanes]unsafe.Pointer
				best := math.Inf(1)
				for b.Loop() {
					start := time.Now()
					for row := 0; row < rows; row += p.Rows {
						for i := range table {
							table[i] = pointer(src[(row+min(i, p.Rows-1))*k:])
						}
						p.PackRows(pointer(dst[row*k/p.PerWord:]), unsafe.Pointer(&table), k, 4*p.Rows)
					}
					best = min(best, time.Since(start).Seconds())
				}
				b.ReportMetric(4*rows*float64(k)/best/1e9, "GB/s")
			})
		}
	}
}
