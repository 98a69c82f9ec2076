package kern

import (
	"fmt"
	"math"
	"testing"
	"unsafe"

	"align/internal/device/cpu/feature"
	"align/internal/host"
)

// BenchmarkPackBlocks makes panels of a weight in blocks of 1024 x 2048, which
// does not fit the second cache: in registers, and by decoded rows, in turns, the
// best of each by processor time.
func BenchmarkPackBlocks(b *testing.B) {
	const rows, k = 1024, 2048
	if !feature.Has(feature.AVX512BF16) {
		b.Skip("the machine has no bfloat16")
	}
	s := New(feature.AVX512BF16)
	for _, d := range s.directTrials() {
		b.Run(fmt.Sprintf("type=%s", d.name), func(b *testing.B) {
			n := k / d.elements
			step := blockBack + n*d.bytes
			src := randomBlocks(rows * step)
			for i := range src {
				src[i] |= 0x30 // no scale is subnormal, which would take another time
			}
			panel, lines := make([]uint32, k/2*Cols), make([]uint16, 16*(512+32))
			var work DirectWork
			var table [MaxRows]unsafe.Pointer
			for i := range 16 {
				table[i] = pointer(lines[i*(512+32):])
			}
			ways := [2]func(row int){
				func(row int) {
					for lane := 0; lane < Cols; lane += 16 {
						for col := 0; col < k; col += 512 {
							at := (row+lane)*step + blockBack + col/d.elements*d.bytes
							d.decoder(&s.Halves)(pointer(lines), unsafe.Pointer(&src[at]), 512/d.elements, 16, 2*(512+32), step, 16*step, blockBack+col/d.elements*d.bytes)
							s.Words(pointer(panel[lane+col/2*Cols:]), unsafe.Pointer(&table), 256, Stride)
						}
					}
				},
				func(row int) {
					d.Pack(pointer(panel), unsafe.Pointer(&src[row*step+blockBack]), n, step, &work)
				},
			}
			best := [2]float64{math.Inf(1), math.Inf(1)}
			for b.Loop() {
				for i, way := range ways {
					before := host.ProcessorTime()
					for row := 0; row < rows; row += Cols {
						way(row)
					}
					best[i] = min(best[i], (host.ProcessorTime() - before).Seconds())
				}
			}
			b.ReportMetric(rows*k/best[0]/1e9, "elements/ns-by-rows")
			b.ReportMetric(rows*k/best[1]/1e9, "elements/ns")
		})
	}
}
