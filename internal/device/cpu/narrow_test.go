package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// A product with few columns has the same bits either way round, and allocates
// nothing.
func TestNarrowProducts(t *testing.T) {
	for level := feature.AVX2; level <= feature.Detect(); level++ {
		for _, precision := range []device.Type{device.F32, device.BF16} {
			t.Run(fmt.Sprintf("%s/%s", level, precision), func(t *testing.T) {
				b := start(t, Options{Threads: 2, Activations: device.F32, Level: &level, Precision: precision})
				for _, n := range []int{16, 32} {
					for _, accumulate := range []bool{false, true} {
						checkNarrow(t, b, 45, n, 131, accumulate)
					}
				}
			})
		}
	}
}

func checkNarrow(t *testing.T, b *Backend, m, n, k int, accumulate bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(n)))
	view := func(rows, cols int) device.View {
		mem, err := b.Alloc(int64(4 * rows * cols))
		if err != nil {
			t.Fatal(err)
		}
		v := mem.At(0, device.F32, rows, cols)
		for i, s := 0, device.Slice[float32](v); i < len(s); i++ {
			s[i] = float32(r.NormFloat64())
		}
		return v
	}
	q := &product[float32]{y: view(m, n), x: view(k, m), w: view(k, n), alpha: 0.5, accumulate: accumulate}
	if !b.fast.isNarrow(q) {
		t.Fatalf("%d columns are not narrow", n)
	}
	before := slices.Clone(device.Slice[float32](q.y))
	run := func(product func(*product[float32]) error) []float32 {
		copy(device.Slice[float32](q.y), before)
		if err := product(q); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(device.Slice[float32](q.y))
	}
	want := run(func(q *product[float32]) error { return b.fast.multiply(q, true, true) })
	if got := run(b.fast.tn); !slices.Equal(got, want) {
		t.Errorf("n=%d accumulate=%v: the product differs the other way round", n, accumulate)
	}
	if n := testing.AllocsPerRun(5, func() { _ = b.fast.tn(q) }); n != 0 {
		t.Errorf("a product allocates %v times", n)
	}
}
