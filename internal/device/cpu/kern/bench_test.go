package kern

import (
	"fmt"
	"testing"
	"time"

	"align/internal/device/cpu/feature"
)

// peakRate is the machine's rate in registers, in GFLOP/s: the best of a few
// short runs, since other work may share the machine.
func peakRate(p *Products) float64 {
	const rounds = 20_000
	var best float64
	for range 200 {
		start := time.Now()
		p.Peak(rounds)
		best = max(best, float64(rounds*p.PeakFlops)/time.Since(start).Seconds()/1e9)
	}
	return best
}

// BenchmarkTile is a tile whose panels stay in the first two caches.
func BenchmarkTile(b *testing.B) {
	for level := feature.AVX2; level <= feature.Detect(); level++ {
		if !feature.Has(level) {
			continue
		}
		s := New(level)
		for name, p := range map[string]*Products{"f32": &s.F32, "bf16": &s.BF16} {
			for _, k := range []int{128, 1024} {
				if p.Rows == 0 {
					continue
				}
				b.Run(fmt.Sprintf("impl=%s/type=%s/m=%d/n=32/k=%d", level, name, p.Rows, k*p.PerWord), func(b *testing.B) {
					peak := peakRate(p)
					a, w := make([]uint32, k*p.Rows), make([]uint32, k*Cols)
					c := make([]float32, p.Rows*Cols)
					run := func() { p.Tile[p.Rows](k, pointer(a), pointer(w), pointer(c), Stride, 1, 0, pointer(w)) }
					reportRate(b, run, 2*float64(k*p.PerWord*p.Rows*Cols), peak)
				})
			}
		}
	}
}

func reportRate(b *testing.B, run func(), flops, peak float64) {
	var best float64
	for b.Loop() {
		start := time.Now()
		for range 16 {
			run()
		}
		best = max(best, 16*flops/time.Since(start).Seconds()/1e9)
	}
	b.ReportMetric(best, "GFLOP/s")
	b.ReportMetric(best/peak, "of-peak")
}

// BenchmarkVector is every vector function on rows of 2048, in the first
// caches.
func BenchmarkVector(b *testing.B) {
	const n = 2048
	for _, c := range vectorCases() {
		for level := feature.Generic; level <= feature.Detect(); level++ {
			if !feature.Has(level) {
				continue
			}
			if level == feature.AVX512BF16 {
				continue // the same functions
			}
			b.Run(fmt.Sprintf("impl=%s/op=%s/n=%d", level, c.name, n), func(b *testing.B) {
				s := New(level)
				var x [][]float32
				for i := range c.outs + c.ins {
					x = append(x, random(newRand(i), n))
				}
				for b.Loop() {
					c.run(s, x)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
			})
		}
	}
}

func BenchmarkSelfTest(b *testing.B) {
	s := New(feature.Detect())
	for b.Loop() {
		if err := s.SelfTest(); err != nil {
			b.Fatal(err)
		}
	}
}
