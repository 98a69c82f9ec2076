package cpu

import (
	"math"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// Ensure that a row of a product with a weight in blocks has the same bits
// beside any number of others, with an adapter and without, and as bfloat16: few
// rows go another way than many.
func TestRowsOfQuantisedProducts(t *testing.T) {
	for _, shape := range [][2]int{{96, 2560}, {2176, 256}} { // tasks of one panel, and of eight or four
		for level := feature.AVX2; level <= feature.Highest; level++ {
			if feature.Has(level) {
				testRowsOfQuantised(t, level, shape[0], shape[1])
			}
		}
	}
}

func testRowsOfQuantised(t *testing.T, level feature.Level, n, k int) {
	const most, rank = 40, 8
	for _, typ := range quantised {
		b := start(t, Options{Threads: 2, Activations: device.F32, Level: &level, Precision: device.BF16})
		x := bench{backend: b}
		w := placeRandom(t, b, typ, n, k)
		in, bias, down, up := x.view(device.F32, most, k), x.view(device.F32, n, 1), x.view(device.F32, rank, k), x.view(device.F32, n, rank)
		halves := x.view(device.BF16, most, k)
		run := func(rows int, kernel string) []float32 {
			y := x.view(device.F32, rows, n)
			left := in.Row(0, rows)
			if kernel == "linear of bfloat16" {
				kernel, left = "linear", halves.Row(0, rows)
			}
			call := device.Call{Out: []device.View{y}, In: []device.View{left, w, bias}}
			var attr any
			if kernel == "lora_linear" {
				attr, call.In = device.LoRA{Scale: 2}, []device.View{left, left, w, down, up, bias}
			}
			k, err := b.Bind(kernel, attr)
			if err != nil {
				t.Fatal(err)
			}
			if err := k(&call); err != nil {
				t.Fatal(err)
			}
			return device.Slice[float32](y)
		}
		kernels := []string{"linear", "lora_linear"}
		if level >= feature.AVX512BF16 {
			kernels = append(kernels, "linear of bfloat16")
			b.fast.set.ToBF16(device.Slice[uint16](halves), device.Slice[float32](in))
		}
		for _, kernel := range kernels {
			all := run(most, strings.TrimSuffix(kernel, " of bfloat16"))
			for _, rows := range []int{1, 3, 8, 14, 16, 17} {
				for i, v := range run(rows, kernel) {
					if math.Float32bits(v) != math.Float32bits(all[i]) {
						t.Fatalf("%s, %s of %s: element %d of %d rows is %g, of %d rows %g", level, kernel, typ, i, rows, v, most, all[i])
					}
				}
			}
		}
	}
}
