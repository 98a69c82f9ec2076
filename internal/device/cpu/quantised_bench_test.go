package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/host"
)

// quantised lists the types of blocks that have decoders in machine code.
var quantised = []device.Type{device.Int8, device.NF4, device.Q8_0, device.Q4_0, device.Q4_K, device.Q6_K}

// BenchmarkQuantised compares a linear layer whose weight is stored in blocks
// with the same in bfloat16: in turns, one thread, the best of each by processor
// time. of-bf16 is the ratio of their times.
func BenchmarkQuantised(b *testing.B) {
	for _, level := range []feature.Level{feature.AMX, feature.AVX512BF16, feature.AVX512, feature.AVX2} {
		if !feature.Has(level) {
			continue
		}
		for _, kernel := range []string{"linear", "linear_dx"} {
			for _, s := range [][3]int{{512, 2048, 2048}, {512, 8192, 2048}, {512, 2048, 8192}, {16, 8192, 2048}, {8, 8192, 2048}, {4, 8192, 2048}, {1, 8192, 2048}} {
				for _, t := range quantised {
					if kernel == "linear_dx" && s[0] < 512 {
						continue
					}
					b.Run(fmt.Sprintf("impl=%s/kernel=%s/m=%d/n=%d/k=%d/type=%s", level, kernel, s[0], s[1], s[2], t), func(b *testing.B) {
						benchmarkQuantised(b, level, kernel, s, t)
					})
				}
			}
		}
	}
}

func benchmarkQuantised(b *testing.B, level feature.Level, kernel string, s [3]int, t device.Type) {
	x := bench{b, start(b, Options{Threads: 1, Activations: device.F32, Level: &level, Precision: device.BF16})}
	m, n, k := s[0], s[1], s[2]
	in, out := x.view(device.F32, m, k), x.view(device.F32, m, n)
	if kernel == "linear_dx" {
		in, out = out, in
	}
	run, err := x.backend.Bind(kernel, nil)
	if err != nil {
		b.Fatal(err)
	}
	copies := 1
	if m < 512 {
		copies = 8 // so that none stays in the second cache
	}
	best := [2]float64{math.Inf(1), math.Inf(1)}
	var calls [2][]device.Call
	for i, stored := range []device.Type{device.BF16, t} {
		for range copies {
			calls[i] = append(calls[i], device.Call{Out: []device.View{out}, In: []device.View{in, x.randomWeight(stored, n, k)}})
		}
	}
	for b.Loop() {
		for i := range calls {
			for range 4 {
				before := host.ProcessorTime()
				for j := range calls[i] {
					x.backend.fast.kept.forget()
					if err := run(&calls[i][j]); err != nil {
						b.Fatal(err)
					}
				}
				best[i] = min(best[i], (host.ProcessorTime()-before).Seconds()/float64(copies))
			}
		}
	}
	elements := float64(n) * float64(k)
	b.ReportMetric(best[1]/best[0], "of-bf16")
	b.ReportMetric((best[1]-best[0])*1e9/elements, "more-ns/element")
	b.ReportMetric(elements/best[1]/1e9, "elements/ns")
	b.ReportMetric(2*float64(m)*elements/best[0]/1e9, "bf16-GFLOP/s")
}

// randomWeight is a placed weight of random numbers and scales that are finite.
func (b bench) randomWeight(t device.Type, rows, cols int) device.View {
	return placeRandom(b, b.backend, t, rows, cols)
}

func placeRandom(tb testing.TB, b *Backend, t device.Type, rows, cols int) device.View {
	tb.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	v, err := b.Place(device.Weight{Type: t, Rows: rows, Cols: cols, Read: func(dst []byte, _, _ int) error {
		for i := range dst {
			dst[i] = byte(r.Uint32())&^0x40 | 0x30 // of no float32 that is subnormal
		}
		return nil
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}
