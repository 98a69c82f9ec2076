package cpu

import (
	"fmt"
	"math"
	"testing"
	"time"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
)

// forEachSpeed runs a benchmark for the levels and precisions of the machine.
func forEachSpeed(b *testing.B, name string, threads int, run func(b bench)) {
	for level := feature.Generic; level <= feature.Detect(); level++ {
		if !feature.Has(level) {
			continue
		}
		for _, precision := range []device.Type{device.F32, device.BF16} {
			if precision == device.BF16 && level < feature.AVX512BF16 {
				continue
			}
			b.Run(fmt.Sprintf("impl=%s/precision=%s/threads=%d/%s", level, precision, threads, name), func(b *testing.B) {
				run(bench{b, start(b, Options{Threads: threads, Activations: device.F32, Level: new(level), Precision: precision})})
			})
		}
	}
}

// bench runs one kernel on views filled with small numbers.
type bench struct {
	*testing.B
	backend *Backend
}

func (b bench) view(t device.Type, rows, cols int) device.View {
	v := device.View{Rows: rows, Cols: cols, Type: t}
	mem, err := b.backend.Alloc(v.Bytes())
	if err != nil {
		b.Fatal(err)
	}
	v.Addr = mem.Addr
	if t == device.F32 {
		for i, s := 0, device.Slice[float32](v); i < len(s); i++ {
			s[i] = float32(i%37)/37 - 0.5
		}
	}
	if t == device.BF16 {
		wide := b.view(device.F32, rows, cols)
		b.backend.fast.set.ToBF16(device.Slice[uint16](v), device.Slice[float32](wide))
	}
	return v
}

// weight is a placed weight of bytes 0.
func (b bench) weight(t device.Type, rows, cols int) device.View {
	v, err := b.backend.Place(device.Weight{Type: t, Rows: rows, Cols: cols, Read: func([]byte, int, int) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// run reports the best time of a run as work units for each nanosecond, or, if
// inverted, nanoseconds for each unit: other work on the machine slows single
// runs down.
func (b bench) run(kernel string, attr any, out, in []device.View, work float64, unit string, inverted bool) {
	k, err := b.backend.Bind(kernel, attr)
	if err != nil {
		b.Fatal(err)
	}
	c := &device.Call{Out: out, In: in}
	best := math.Inf(1)
	for b.Loop() {
		if b.backend.fast != nil {
			b.backend.fast.kept.forget() // every run packs its inputs
		}
		start := time.Now()
		if err := k(c); err != nil {
			b.Fatal(err)
		}
		best = min(best, float64(time.Since(start).Nanoseconds()))
	}
	if inverted {
		b.ReportMetric(best/work, unit)
	} else {
		b.ReportMetric(work/best, unit)
	}
}

func BenchmarkAttention(b *testing.B) {
	for _, s := range []struct{ t, h, k, d int }{{512, 8, 4, 8}, {512, 32, 8, 64}, {2048, 32, 8, 64}} {
		attr := device.Attention{Heads: s.h, KVHeads: s.k, HeadDim: s.d, Scale: 0.1}
		name := fmt.Sprintf("t=%d/h=%d/kv=%d/d=%d", s.t, s.h, s.k, s.d)
		pairs := float64(s.t) * float64(s.t+1) / 2 * float64(s.h)
		q, kv := s.h*s.d, s.k*s.d
		held := func(x bench) device.Type {
			if s.d%kern.Cols == 0 { // as in a session
				return x.backend.Rounded()
			}
			return device.F32
		}
		inputs := func(x bench) (in, masks []device.View) {
			in = []device.View{x.view(held(x), s.t, q), x.view(held(x), s.t, kv), x.view(held(x), s.t, kv)}
			return in, []device.View{x.view(device.I32, s.t, 1), x.view(device.I32, s.t, 1), x.view(device.I32, s.t, 1)}
		}
		forEachSpeed(b, "grad=false/"+name, 1, func(x bench) {
			in, masks := inputs(x)
			out := []device.View{x.view(held(x), s.t, q), x.view(device.F32, s.t, s.h)}
			x.run("attention", attr, out, append(in, masks...), pairs*4*float64(s.d), "GFLOP/s", false)
		})
		forEachSpeed(b, "grad=true/"+name, 1, func(x bench) {
			in, masks := inputs(x)
			out := []device.View{x.view(device.F32, s.t, q), x.view(device.F32, s.t, kv), x.view(device.F32, s.t, kv)}
			in = append(in, x.view(held(x), s.t, q), x.view(device.F32, s.t, s.h), x.view(held(x), s.t, q))
			x.run("attention_grad", attr, out, append(in, masks...), pairs*10*float64(s.d), "GFLOP/s", false)
		})
	}
}

func BenchmarkElements(b *testing.B) {
	const t, c, f = 512, 2048, 8192
	const unit = "ns/element"
	forEachSpeed(b, "kernel=swiglu", 1, func(x bench) {
		in := []device.View{x.view(device.F32, t, f), x.view(device.F32, t, f)}
		x.run("swiglu", nil, []device.View{x.view(device.F32, t, f)}, in, t*f, unit, true)
	})
	forEachSpeed(b, "kernel=rmsnorm", 1, func(x bench) {
		in := []device.View{x.view(device.F32, t, c), x.view(device.F32, c, 1)}
		x.run("rmsnorm", device.Norm{Eps: 1e-5, Width: c}, []device.View{x.view(device.F32, t, c)}, in, t*c, unit, true)
	})
	forEachSpeed(b, "kernel=adamw", 1, func(x bench) {
		control := x.view(device.F64, 4, 1)
		copy(device.Slice[float64](control), []float64{1, 1e-4, 0.1, 0.01})
		out := []device.View{x.view(device.F32, t*c, 1), x.view(device.F32, t*c, 1), x.view(device.F32, t*c, 1)}
		clear(device.Slice[float32](out[2]))
		x.run("adamw", device.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}, out, []device.View{x.view(device.F32, t*c, 1), control}, t*c, unit, true)
	})
	forEachSpeed(b, "kernel=logprob", 1, func(x bench) {
		v := x.view(device.F32, t, 1)
		x.run("logprob", device.LogProb{}, []device.View{v, x.view(device.F32, t, 1), {}, {}},
			[]device.View{x.view(device.F32, t, 64), x.weight(device.F32, f, 64), x.view(device.I32, t, 1)}, t*f, unit, true)
	})
}

func BenchmarkProduct(b *testing.B) {
	for _, kernel := range []string{"linear", "linear_dx"} {
		for _, weight := range []device.Type{device.F32, device.BF16, device.Q4_0} {
			for _, s := range [][3]int{{512, 2048, 2048}, {512, 8192, 2048}, {1, 2048, 2048}} {
				m, n, k := s[0], s[1], s[2]
				for _, threads := range []int{1, 2} {
					name := fmt.Sprintf("kernel=%s/weight=%s/m=%d/n=%d/k=%d", kernel, weight, m, n, k)
					forEachSpeed(b, name, threads, func(x bench) {
						in, out := x.view(device.F32, m, k), x.view(device.F32, m, n)
						if kernel == "linear_dx" {
							in, out = out, in
						}
						flops := 2 * float64(m) * float64(n) * float64(k)
						x.run(kernel, nil, []device.View{out}, []device.View{in, x.weight(weight, n, k)}, flops, "GFLOP/s", false)
					})
				}
			}
		}
	}
}
