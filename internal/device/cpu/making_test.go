package cpu

import (
	"math"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// Ensure that a product that makes panels while it multiplies has the bits of one
// of a panel's rows, which decodes first.
func TestMakingPanels(t *testing.T) {
	const n, k, rank = 2080, 2304, 8
	level := feature.AMX
	if !feature.Has(level) {
		t.Skip("the machine has no tiles")
	}
	for _, typ := range quantised {
		for threads := 1; threads <= 2; threads++ {
			b := start(t, Options{Threads: threads, Activations: device.F32, Level: &level, Precision: device.BF16})
			x := bench{backend: b}
			w := placeRandom(t, b, typ, n, k)
			in, dy, bias, down, up := x.view(device.F32, 600, k), x.view(device.F32, 600, n), x.view(device.F32, n, 1), x.view(device.F32, rank, k), x.view(device.F32, n, rank)
			run := func(rows int, kernel string) []float32 {
				y, left := x.view(device.F32, rows, n), in.Row(0, rows)
				call, attr := device.Call{Out: []device.View{y}, In: []device.View{left, w}}, any(nil)
				switch kernel {
				case "linear_dx":
					y, left = x.view(device.F32, rows, k), dy.Row(0, rows)
					call = device.Call{Out: []device.View{y}, In: []device.View{left, w}}
				case "lora_linear":
					attr, call.In = device.LoRA{Scale: 2}, []device.View{left, left, w, down, up, bias}
				}
				bound, err := b.Bind(kernel, attr)
				if err != nil {
					t.Fatal(err)
				}
				if err := bound(&call); err != nil {
					t.Fatal(err)
				}
				return device.Slice[float32](y)
			}
			for _, kernel := range []string{"linear", "lora_linear", "linear_dx"} {
				want := run(32, kernel)
				for _, rows := range []int{64, 110, 600} {
					got := run(rows, kernel)
					for i, v := range want {
						if math.Float32bits(got[i]) != math.Float32bits(v) {
							t.Fatalf("%s of %s, %d threads: element %d of %d rows is %g, of a panel's %g", kernel, typ, threads, i, rows, got[i], v)
						}
					}
				}
			}
		}
	}
}
