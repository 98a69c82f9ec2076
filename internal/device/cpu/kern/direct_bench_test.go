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

// BenchmarkDirect multiplies rows of x by a weight in blocks of K 2048, in turns with the
// tile of the same rows on the weight in bfloat16, in the second cache and from memory; the
// best of each by processor time. of-bf16 is the ratio of their times.
func BenchmarkDirect(b *testing.B) {
	if !feature.Has(feature.AVX512BF16) {
		b.Skip("the machine has no bfloat16")
	}
	s := New(feature.AVX512BF16)
	for _, rows := range []int{128, 16384} {
		for _, m := range []int{1, 4, 8} {
			for _, d := range s.directTrials() {
				b.Run(fmt.Sprintf("rows=%d/m=%d/type=%s", rows, m, d.name), func(b *testing.B) { benchmarkDirect(b, s, d, rows, m) })
			}
		}
	}
}

func benchmarkDirect(b *testing.B, s *Set, d directTrial, rows, m int) {
	const k = 2048
	n := k / d.elements
	step := blockBack + n*d.bytes
	src, panels := randomBlocks(rows*step), make([]uint32, rows*k/2)
	for i := range src {
		src[i] |= 0x30 // no scale is subnormal, which would take another time
	}
	x, c := randomPanel(m, k/2*m, 2), make([]float32, m*Cols)
	for i := range panels {
		panels[i] = uint32(i) // which is not all the same page
	}
	work := DirectWork{Ahead: DirectRows * step}
	ways := [2]func(row int){
		func(row int) {
			s.BF16.Tile[m](k/2, pointer(x), pointer(panels[row*k/2:]), pointer(c), Stride, 1, 0, pointer(x))
		},
		func(row int) {
			d.Direct(pointer(c), pointer(x), unsafe.Pointer(&src[row*step+blockBack]), n, step, m, &work)
		},
	}
	best := [2]float64{math.Inf(1), math.Inf(1)}
	for b.Loop() {
		for i, way := range ways {
			for range 2 {
				before, times := host.ProcessorTime(), max(1, 2048/rows)
				for range times {
					for row := 0; row < rows; row += Cols {
						way(row)
					}
				}
				best[i] = min(best[i], (host.ProcessorTime()-before).Seconds()/float64(times))
			}
		}
	}
	b.ReportMetric(best[1]/best[0], "of-bf16")
	b.ReportMetric(float64(rows*k)/best[1]/1e9, "elements/ns")
}
