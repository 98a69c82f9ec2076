package kern

import (
	"fmt"
	"testing"

	"align/internal/device/cpu/feature"
)

// BenchmarkSweep is panels of x, packed or as they lie, over 8 panels of w: all come from
// the second cache.
func BenchmarkSweep(b *testing.B) {
	const rows, panels, lefts = 14, 8, 16
	if !feature.Has(feature.AVX512BF16) {
		b.Skip("the machine does not multiply bfloat16")
	}
	p := &New(feature.AVX512BF16).BF16
	for _, k := range []int{128, 344, 384} { // words
		for _, aRow := range []int{0, 4 * k} {
			b.Run(fmt.Sprintf("plain=%t/k=%d", aRow > 0, 2*k), func(b *testing.B) {
				peak := peakRate(p)
				a, w := make([]uint32, lefts*k*rows), make([]uint32, k*Cols*panels)
				c, work := make([]float32, rows*Cols*panels), make([]float32, rows*Cols)
				i := 0
				reportRate(b, func() {
					i = (i + 1) % lefts
					next := pointer(a[(i+1)%lefts*k*rows:])
					p.Sweep(rows, &Sweep{K: k, A: pointer(a[i*k*rows:]), ARow: aRow, B: pointer(w), BStep: k * Stride, C: pointer(c), LDC: panels * Stride, Panels: panels, Alpha: 1, Work: pointer(work), Next: next, NextPanels: 4, Then: next})
				}, 2*float64(2*k*rows*Cols*panels), peak)
			})
		}
	}
}

// BenchmarkThinRows is an adapter's product of 28 rows of pairs, packed or as they lie.
func BenchmarkThinRows(b *testing.B) {
	if !feature.Has(feature.AVX512BF16) {
		b.Skip("the machine does not multiply bfloat16")
	}
	p := &New(feature.AVX512BF16).BF16
	for _, k := range []int{128, 256, 344, 384} { // words
		a, w, c := make([]uint32, 2*k*p.Rows), make([]uint32, k*Cols), make([]float32, 2*p.Rows*ThinCols)
		for name, run := range map[string]func(){
			"panels": func() { p.Thin(k, pointer(a), 4*k*p.Rows, pointer(w), pointer(c), 1, 0) },
			"rows":   func() { p.ThinRows(k, pointer(a), 4*k, pointer(w), pointer(c), 1, 0) },
		} {
			b.Run(fmt.Sprintf("of=%s/k=%d", name, 2*k), func(b *testing.B) {
				reportRate(b, run, 2*float64(2*k*2*p.Rows*ThinCols), peakRate(p))
			})
		}
	}
}
