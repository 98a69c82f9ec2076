package cpu

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/host"
)

// group is linear layers that read one x of k columns. dx says whether its gradient is
// held as products round it, as x is.
type group struct {
	k      int
	dx     bool
	layers []layerOf
}

// layerOf is a layer of n columns, and whether its y and dy are held as products round
// them.
type layerOf struct {
	n     int
	y, dy bool
}

// BenchmarkLoRA is what an adapter of rank 16 adds to linear layers, forward and
// backward: in turns with the layers alone, one thread, the best of each call by
// processor time. share is the adapter's part of the sum.
func BenchmarkLoRA(b *testing.B) {
	gate := func(k, n int) group { return group{k, false, []layerOf{{n, true, true}}} }
	small := []group{
		{768, false, []layerOf{{768, false, true}, {256, false, true}, {256, true, false}}}, {768, true, []layerOf{{768, false, false}}},
		{768, false, []layerOf{{2048, true, true}, {2048, true, true}}}, {2048, true, []layerOf{{768, false, false}}},
	}
	for _, level := range []feature.Level{feature.AMX, feature.AVX512BF16, feature.AVX512, feature.AVX2} {
		if !feature.Has(level) {
			continue
		}
		for _, s := range []struct {
			name   string
			tokens int
			groups []group
		}{
			{"layer=110m", 1024, small}, {"n=2048/k=2048", 512, []group{gate(2048, 2048)}}, {"n=8192/k=2048", 512, []group{gate(2048, 8192)}},
		} {
			for _, dropped := range []bool{false, true} {
				b.Run(fmt.Sprintf("impl=%s/%s/t=%d/dropped=%v", level, s.name, s.tokens, dropped), func(b *testing.B) {
					benchmarkLoRA(b, level, s.tokens, s.groups, dropped)
				})
			}
		}
	}
}

func benchmarkLoRA(b *testing.B, level feature.Level, tokens int, groups []group, dropped bool) {
	x := bench{b, start(b, Options{Threads: 1, Activations: device.F32, Level: &level, Precision: device.BF16})}
	var layers []*adapted
	for _, g := range groups {
		layers = append(layers, x.adapt(tokens, g, dropped)...)
	}
	for b.Loop() {
		for with := range 2 {
			for range 3 {
				x.pass(layers, with == 1)
			}
		}
	}
	alone, with := 0.0, 0.0
	for _, l := range layers {
		alone += best(l.forward) + best(l.backward)
		with += best(l.forwardLoRA) + best(l.backwardLoRA)
	}
	b.ReportMetric(100*(with-alone)/with, "share-%")
	b.ReportMetric(alone*1e3, "ms-alone")
	b.ReportMetric(with*1e3, "ms-adapted")
}

// adapted is one linear layer: the calls without an adapter and with it.
type adapted struct {
	first                     bool // of those that read its x
	forward, backward         []loraCall
	forwardLoRA, backwardLoRA []loraCall
}

type loraCall struct {
	run  device.Kernel
	c    device.Call
	best float64 // seconds of the fastest run
}

// best is the seconds of the calls.
func best(calls []loraCall) (sum float64) {
	for i := range calls {
		sum += calls[i].best
	}
	return sum
}

// adapt makes the layers of a group; their calls are those of
// graph.LoRALinear, with the dropout itself.
func (b bench) adapt(tokens int, g group, dropped bool) (layers []*adapted) {
	const rank, scale = 16, 2
	matrix := func(rows, cols int) device.View { return b.view(device.F32, rows, cols) }
	held := func(rows, cols int, rounded bool) device.View {
		if rounded {
			return b.side(rows, cols)
		}
		return matrix(rows, cols)
	}
	x, dx := b.side(tokens, g.k), held(tokens, g.k, g.dx)
	for i, of := range g.layers {
		n := of.n
		xd, drops := x, device.Dropout{P: 0.05, Stream: uint32(i)}
		if dropped {
			xd = b.view(device.I32, tokens, g.k/32)
		}
		w, a, up := b.randomWeight(device.BF16, n, g.k), matrix(rank, g.k), matrix(n, rank)
		y, dy, da, dup, u, du := held(tokens, n, of.y), held(tokens, n, of.dy), matrix(rank, g.k), matrix(n, rank), matrix(tokens, rank), matrix(tokens, rank)
		l := &adapted{first: i == 0}
		l.forward = []loraCall{b.call("linear", nil, false, y, x, w)}
		l.forwardLoRA = []loraCall{b.call("lora_linear", device.LoRA{Scale: scale}, false, y, x, xd, w, a, up)}
		l.forwardLoRA[0].c.Out = append(l.forwardLoRA[0].c.Out, u)
		l.backward = []loraCall{b.call("linear_dx", nil, i > 0, dx, dy, w)}
		l.backwardLoRA = []loraCall{
			b.call("lora_du", device.LoRA{Scale: scale}, true, dup, dy, up, u),
			b.call("matmul_tn", device.MatMul{Alpha: 1}, true, da, du, xd),
		}
		l.backwardLoRA[0].c.Out = append(l.backwardLoRA[0].c.Out, du)
		if dropped {
			key, seed := b.view(device.I32, tokens, 1), b.view(device.I32, 2, 1)
			l.forwardLoRA = append([]loraCall{b.call("dropout_mask", drops, false, xd, key, seed)}, l.forwardLoRA...)
			l.backwardLoRA[1] = b.call("matmul_tn", device.MatMul{Alpha: drops.Scale()}, true, da, du, x, xd)
			l.backwardLoRA = append(l.backwardLoRA, b.call("lora_dropped_dx", drops, i > 0, dx, dy, w, du, a, xd))
		} else {
			l.backwardLoRA = append(l.backwardLoRA, b.call("lora_dx", nil, i > 0, dx, dy, w, du, a))
		}
		layers = append(layers, l)
	}
	together(layers)
	return layers
}

// together moves the gradients of a group's A to the last one's, as programs take them.
func together(layers []*adapted) {
	last := layers[len(layers)-1]
	for _, l := range layers[:len(layers)-1] {
		last.backwardLoRA = slices.Insert(last.backwardLoRA, len(last.backwardLoRA)-2, l.backwardLoRA[1])
		l.backwardLoRA = slices.Delete(l.backwardLoRA, 1, 2)
	}
}

// side is an x as products alone read it.
func (b bench) side(rows, cols int) device.View {
	x := b.view(device.F32, rows, cols)
	if b.backend.Rounded() != device.BF16 {
		return x
	}
	half := b.view(device.BF16, rows, cols)
	b.backend.fast.set.ToBF16(device.Slice[uint16](half), device.Slice[float32](x))
	return half
}

func (b bench) call(kernel string, attr any, accumulate bool, out device.View, in ...device.View) loraCall {
	run, err := b.backend.Bind(kernel, attr)
	if err != nil {
		b.Fatal(err)
	}
	return loraCall{run, device.Call{Out: []device.View{out}, In: in, Accumulate: accumulate}, math.Inf(1)}
}

// pass runs the layers forward and backward, with their adapters or without.
// Each group's x and each dy is new when its calls begin.
func (b bench) pass(layers []*adapted, with bool) {
	for _, l := range layers {
		if l.first {
			b.backend.fast.kept.forget()
		}
		if with {
			b.runAll(l.forwardLoRA)
		} else {
			b.runAll(l.forward)
		}
	}
	for _, l := range layers {
		if l.first {
			b.backend.fast.kept.forget()
		}
		if with {
			b.runAll(l.backwardLoRA)
		} else {
			b.runAll(l.backward)
		}
	}
}

func (b bench) runAll(calls []loraCall) {
	for i := range calls {
		before := host.ProcessorTime()
		if err := calls[i].run(&calls[i].c); err != nil {
			b.Fatal(err)
		}
		calls[i].best = min(calls[i].best, (host.ProcessorTime() - before).Seconds())
	}
}
