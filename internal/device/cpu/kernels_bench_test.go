package cpu

import (
	"fmt"
	"testing"

	"align/internal/device"
)

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
	return v
}

func (b bench) run(kernel string, attr any, out, in []device.View) {
	k, err := b.backend.Bind(kernel, attr)
	if err != nil {
		b.Fatal(err)
	}
	c := &device.Call{Out: out, In: in}
	for b.Loop() {
		if err := k(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAttention(b *testing.B) {
	for _, s := range []struct{ t, h, k, d int }{{512, 8, 4, 8}, {512, 32, 8, 64}, {2048, 32, 8, 64}} {
		attr := device.Attention{Heads: s.h, KVHeads: s.k, HeadDim: s.d, Scale: 0.1}
		name := fmt.Sprintf("t=%d/h=%d/kv=%d/d=%d", s.t, s.h, s.k, s.d)
		for _, grad := range []bool{false, true} {
			b.Run(fmt.Sprintf("grad=%v/%s", grad, name), func(b *testing.B) {
				x := bench{b, open(b, 1, device.F32)}
				q, k := s.h*s.d, s.k*s.d
				in := []device.View{x.view(device.F32, s.t, q), x.view(device.F32, s.t, k), x.view(device.F32, s.t, k)}
				masks := []device.View{x.view(device.I32, s.t, 1), x.view(device.I32, s.t, 1), x.view(device.I32, s.t, 1)}
				if grad {
					in = append(in, x.view(device.F32, s.t, q), x.view(device.F32, s.t, s.h), x.view(device.F32, s.t, q))
					x.run("attention_grad", attr, []device.View{x.view(device.F32, s.t, q), x.view(device.F32, s.t, k), x.view(device.F32, s.t, k)}, append(in, masks...))
				} else {
					x.run("attention", attr, []device.View{x.view(device.F32, s.t, q), x.view(device.F32, s.t, s.h)}, append(in, masks...))
				}
				pairs := float64(s.t) * float64(s.t+1) / 2 * float64(s.h)
				b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/pairs*1e9, "ns/pair")
			})
		}
	}
}

func BenchmarkElements(b *testing.B) {
	const t, c, f = 512, 2048, 8192
	per := func(b *testing.B, n int) {
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(n)*1e9, "ns/element")
	}
	b.Run("kernel=swiglu", func(b *testing.B) {
		x := bench{b, open(b, 1, device.F32)}
		x.run("swiglu", nil, []device.View{x.view(device.F32, t, f)}, []device.View{x.view(device.F32, t, f), x.view(device.F32, t, f)})
		per(b, t*f)
	})
	b.Run("kernel=rmsnorm", func(b *testing.B) {
		x := bench{b, open(b, 1, device.F32)}
		x.run("rmsnorm", device.Norm{Eps: 1e-5, Width: c}, []device.View{x.view(device.F32, t, c)}, []device.View{x.view(device.F32, t, c), x.view(device.F32, c, 1)})
		per(b, t*c)
	})
	b.Run("kernel=adamw", func(b *testing.B) {
		x := bench{b, open(b, 1, device.F32)}
		control := x.view(device.F64, 4, 1)
		copy(device.Slice[float64](control), []float64{1, 1e-4, 0.1, 0.01})
		out := []device.View{x.view(device.F32, t*c, 1), x.view(device.F32, t*c, 1), x.view(device.F32, t*c, 1)}
		clear(device.Slice[float32](out[2]))
		x.run("adamw", device.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}, out, []device.View{x.view(device.F32, t*c, 1), control})
		per(b, t*c)
	})
	b.Run("kernel=logprob", func(b *testing.B) {
		x := bench{b, open(b, 1, device.F32)}
		v := x.view(device.F32, t, 1)
		x.run("logprob", device.LogProb{}, []device.View{v, x.view(device.F32, t, 1), {}, {}},
			[]device.View{x.view(device.F32, t, 64), x.view(device.F32, f, 64), x.view(device.I32, t, 1)})
		per(b, t*f)
	})
}
