package cpu

import (
	"fmt"
	"math"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/host"
)

// BenchmarkRowSums compares kernels that sum over rows with their portable
// twins: in turns, one thread, the best of each by processor time. of-portable is
// the ratio of their times.
func BenchmarkRowSums(b *testing.B) {
	const t, c, v = 1024, 768, 4096
	ids := func(x bench, below int) device.View {
		ids := x.view(device.I32, t, 1)
		for i, s := 0, device.Slice[int32](ids); i < len(s); i++ {
			s[i] = int32(i * 37 % below)
		}
		return ids
	}
	for _, k := range []struct {
		name string
		attr any
		call func(x bench) device.Call
	}{
		{"rmsnorm_dw", device.Norm{Eps: 1e-5, Width: c}, func(x bench) device.Call {
			return device.Call{Out: []device.View{x.view(device.F32, c, 1)}, In: []device.View{x.view(device.F32, t, c), x.view(device.F32, t, c)}}
		}},
		{"bias_grad", nil, func(x bench) device.Call {
			return device.Call{Out: []device.View{x.view(device.F32, c, 1)}, In: []device.View{x.view(device.F32, t, c)}}
		}},
		{"embed_dw", nil, func(x bench) device.Call {
			return device.Call{Out: []device.View{x.view(device.F32, v, c)}, In: []device.View{x.view(device.F32, t, c), ids(x, v)}, Accumulate: true}
		}},
		{"scatter", nil, func(x bench) device.Call {
			return device.Call{Out: []device.View{x.view(device.F32, t, c)}, In: []device.View{x.view(device.F32, t, c), ids(x, t), x.view(device.F32, t, c)}}
		}},
	} {
		for _, level := range []feature.Level{feature.AVX2, feature.AVX512} {
			if !feature.Has(level) {
				continue
			}
			b.Run(fmt.Sprintf("impl=%s/kernel=%s", level, k.name), func(b *testing.B) {
				x := bench{b, start(b, Options{Threads: 1, Activations: device.F32, Level: &level})}
				call := k.call(x)
				var best [2]float64
				var runs [2]device.Kernel
				for i, table := range []map[string]binder{kernelTable[float32](x.backend, x.backend.fast), x.backend.kernels} {
					run, err := table[k.name](k.name, k.attr)
					if err != nil {
						b.Fatal(err)
					}
					runs[i], best[i] = run, math.Inf(1)
				}
				for b.Loop() {
					for i, run := range runs {
						before := host.ProcessorTime()
						for range 8 {
							if err := run(&call); err != nil {
								b.Fatal(err)
							}
						}
						best[i] = min(best[i], (host.ProcessorTime()-before).Seconds()/8)
					}
				}
				b.ReportMetric(best[1]/best[0], "of-portable")
				b.ReportMetric(best[1]*1e9/(t*c), "ns/element")
			})
		}
	}
}
