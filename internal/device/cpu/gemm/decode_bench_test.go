package gemm

import (
	"fmt"
	"testing"
	"time"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
)

// BenchmarkDecode is a product of few rows, which the memory bounds: the rate
// is of the weight's bytes, beside that of a sum over the same bytes.
func BenchmarkDecode(b *testing.B) {
	const n, k = 8192, 4096
	set := kern.New(feature.Detect())
	typ := device.F32
	if set.BF16.Rows > 0 {
		typ = device.BF16
	}
	for _, m := range []int{1, 4, 8, 12, 16} {
		for threads := 1; threads <= 2; threads++ {
			b.Run(fmt.Sprintf("impl=%s/type=%s/m=%d/n=%d/k=%d/threads=%d", set.Level, typ, m, n, k, threads), func(b *testing.B) {
				e := engine(b, set, typ, threads)
				p, where := benchmarkCase(b, set, kind{packed: device.BF16}, e, m, n, k)
				bytes := float64(PackedBytes(device.BF16, n, k))
				var best, read float64
				for b.Loop() {
					read = max(read, bytes/readTime(set, p.W.Packed, threads)/1e9)
					start := time.Now()
					if err := e.Run(p, where); err != nil {
						b.Fatal(err)
					}
					best = max(best, bytes/time.Since(start).Seconds()/1e9)
				}
				b.ReportMetric(best, "GB/s")
				b.ReportMetric(best/read, "of-read")
			})
		}
	}
}

// reading sums the bytes of a weight, a panel in a task.
type reading struct {
	set *kern.Set
	w   Packed
}

func (r *reading) Do(task, _ int) {
	n := r.w.panelBytes() / 4
	r.set.Max(elementsAt(r.w.panel(task, 0), n))
}

func readTime(set *kern.Set, w Packed, threads int) float64 {
	start := time.Now()
	_ = goPool(threads).Run(&reading{set, w}, blocks(w.N, kern.Cols))
	return time.Since(start).Seconds()
}
