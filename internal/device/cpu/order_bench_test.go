package cpu

import (
	"fmt"
	"math"
	"testing"
	"time"

	"align/internal/device"
)

// BenchmarkOrderOfSums holds the gradients of weights, the sums over tokens, to the
// fastest order that hangs on the number of threads: two threads take half of the
// tokens each, one of them beside the gradients, and what it has is added. Ours
// cut the output instead. It tells the least time of ours over the least of
// theirs: dA and dB of an adapter, and dW of a whole weight.
func BenchmarkOrderOfSums(b *testing.B) {
	const tokens = 1024
	for _, precision := range []device.Type{device.F32, device.BF16} {
		for name, size := range map[string][2]int{"dA": {16, 768}, "dB": {2048, 16}, "dW": {2048, 768}} {
			b.Run(fmt.Sprintf("precision=%s/%s", precision, name), func(b *testing.B) {
				o := Options{Threads: 2, Activations: device.F32, Precision: precision}
				fixed := bench{b, start(b, o)}
				o.Threads = 1
				halves := [2]bench{{b, start(b, o)}, {b, start(b, o)}}
				x, w := fixed.view(device.F32, tokens, size[0]), fixed.view(device.F32, tokens, size[1])
				y, part := fixed.view(device.F32, size[0], size[1]), fixed.view(device.F32, size[0], size[1])
				whole := fixed.sum(b, device.Call{Out: []device.View{y}, In: []device.View{x, w}, Accumulate: true})
				first := halves[0].sum(b, device.Call{Out: []device.View{y}, In: []device.View{x.Row(0, tokens/2), w.Row(0, tokens/2)}, Accumulate: true})
				second := halves[1].sum(b, device.Call{Out: []device.View{part}, In: []device.View{x.Row(tokens/2, tokens/2), w.Row(tokens/2, tokens/2)}})
				add, err := halves[0].backend.Bind("accumulate", nil)
				if err != nil {
					b.Fatal(err)
				}
				ask, done := make(chan struct{}), make(chan struct{})
				defer close(ask)
				go func() {
					for range ask {
						second()
						done <- struct{}{}
					}
				}()
				split := func() {
					ask <- struct{}{}
					first()
					<-done
					if err := add(&device.Call{Out: []device.View{y}, In: []device.View{part}}); err != nil {
						panic(err)
					}
				}
				ours, theirs := math.Inf(1), math.Inf(1)
				for b.Loop() {
					ours, theirs = min(ours, timeOf(whole)), min(theirs, timeOf(split))
				}
				b.ReportMetric(ours/theirs, "ours/theirs")
				b.ReportMetric(ours*1e6, "us")
			})
		}
	}
}

// sum is a product over tokens with nothing kept from the one before.
func (b bench) sum(t *testing.B, c device.Call) func() {
	k, err := b.backend.Bind("matmul_tn", device.MatMul{Alpha: 1})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if b.backend.fast != nil {
			b.backend.fast.kept.forget()
		}
		if err := k(&c); err != nil {
			panic(err)
		}
	}
}

func timeOf(f func()) float64 {
	from := time.Now()
	f()
	return time.Since(from).Seconds()
}
