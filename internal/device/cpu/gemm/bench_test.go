package gemm

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
)

// peakRate is the rate in registers of one core, in GFLOP/s: the best of some
// runs.
func peakRate(p *kern.Products) float64 {
	const rounds = 200_000
	var best float64
	for range 10 {
		start := processTime()
		p.Peak(rounds)
		best = max(best, float64(rounds*p.PeakFlops)/(processTime()-start).Seconds()/1e9)
	}
	return best
}

// rateAfter is the rate in registers right after other work, at the clock that this
// work has left: the median of some rounds of 20 microseconds behind the first ones,
// in which the loop itself has yet to get going. The clock stays for a millisecond.
func rateAfter(p *kern.Products) float64 {
	const warm, measured = 3, 15
	var rates [warm + measured]float64
	for i := range rates {
		rounds := 4_000_000 / p.PeakFlops
		start := time.Now()
		p.Peak(rounds)
		rates[i] = float64(rounds*p.PeakFlops) / time.Since(start).Seconds() / 1e9
	}
	slices.Sort(rates[warm:])
	return rates[warm+measured/2]
}

// BenchmarkProduct gives the best rate of the runs beside the rate in
// registers, both per second of processor time: other work on the machine slows
// single runs down. A machine may lower its clock under products more than under
// that loop, which loads nothing: Sapphire Rapids gives the loop of AVX-512 3.8 GHz
// for as long as it runs, and tiles, whose multiplications come with loads, 3.4 to
// 3.8. of-peak-after holds each run to the loop right after it, and is the median of
// these ratios.
func BenchmarkProduct(b *testing.B) {
	shapes := [][3]int{{512, 2048, 2048}, {512, 8192, 2048}, {512, 2048, 8192}, {64, 2048, 2048}, {512, 768, 768}, {2048, 256, 256}}
	forms := []kind{{name: "nt", packed: device.BF16}, {name: "nn", packed: device.BF16, across: true},
		{name: "nt_f32", packed: device.F32},
		{name: "nt_plain"}, {name: "nn_plain", across: true}, {name: "tn_plain", across: true, xAcross: true}, {name: "lora", packed: device.BF16, rank: 16, down: true}, {name: "lora_dx", packed: device.BF16, rank: 16, across: true}}
	for level := feature.AVX2; level <= feature.Detect(); level++ {
		if !feature.Has(level) {
			continue
		}
		set := kern.New(level)
		typ := device.F32
		if level >= feature.AVX512BF16 {
			typ = device.BF16
		}
		for _, form := range forms {
			for _, s := range shapes {
				for threads := 1; threads <= 2; threads++ {
					name := fmt.Sprintf("impl=%s/type=%s/form=%s/m=%d/n=%d/k=%d/threads=%d", level, typ, form.name, s[0], s[1], s[2], threads)
					b.Run(name, func(b *testing.B) { benchmarkProduct(b, set, typ, form, s, threads) })
				}
			}
		}
	}
}

func benchmarkProduct(b *testing.B, set *kern.Set, typ device.Type, form kind, s [3]int, threads int) {
	e := engine(b, set, typ, threads)
	p, where := benchmarkCase(b, set, form, e, s[0], s[1], s[2])
	flops := 2 * float64(s[0]) * float64(s[1]) * float64(s[2])
	var best, peak float64
	var same []float64
	for b.Loop() {
		peak = max(peak, peakRate(e.tiles))
		start := processTime()
		if err := e.Run(p, where); err != nil {
			b.Fatal(err)
		}
		rate := flops / (processTime() - start).Seconds() / 1e9
		best = max(best, rate)
		same = append(same, rate/rateAfter(e.tiles))
	}
	slices.Sort(same)
	b.ReportMetric(best, "GFLOP/s/core")
	b.ReportMetric(best/peak, "of-peak")
	b.ReportMetric(same[len(same)/2], "of-peak-after")
}

// benchmarkCase is a product whose operands and workspace lie in huge pages.
func benchmarkCase(b *testing.B, set *kern.Set, form kind, e *Engine, m, n, k int) (*Product, Space) {
	p := &newTrial(b, set, form, m, n, k).p
	p.Alpha = 1 // as a layer's: spans take no other
	return inHugePages(e, p)
}

// inHugePages moves a product's operands there, with workspace beside them.
func inHugePages(e *Engine, p *Product) (*Product, Space) {
	p.X, p.Y = inPages(p.X), inPages(p.Y)
	if w := &p.W.Packed; w.Data != nil {
		bytes := PackedBytes(w.Type, w.N, w.K)
		to := pages(bytes)
		copy(unsafe.Slice((*byte)(to), bytes), unsafe.Slice((*byte)(w.Data), bytes))
		w.Data = to
	} else {
		p.W.Plain = inPages(p.W.Plain)
	}
	sizes := e.Sizes(p)
	where := Space{Shared: pages(sizes.Shared)}
	for range e.own {
		where.Worker = append(where.Worker, pages(sizes.Worker))
	}
	return p, where
}

func inPages(m Matrix) Matrix {
	data := elementsAt(pages(4*int64(len(m.Data))), len(m.Data))
	copy(data, m.Data)
	return Matrix{Data: data, Stride: m.Stride}
}

func elementsAt(p unsafe.Pointer, n int) []float32 { return unsafe.Slice((*float32)(p), n) }
