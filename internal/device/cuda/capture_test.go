//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
)

// Sides that are rounded take turns in their places: what has run before a capture
// need not have put the largest into each. A capture allocates nothing all the same,
// which would break it.
func TestCapturesAllocateNothing(t *testing.T) {
	const k, n = 72, 8
	b, err := cuda.OpenOn(cudatest.Library(t, false), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	rng := random(5)
	view := func(rows, cols int) device.View {
		values := make([]float32, rows*cols)
		for i := range values {
			values[i] = float32(rng.NormFloat64())
		}
		return upload(t, b, rows, cols, values)
	}
	linear, err := b.Bind("linear", nil)
	if err != nil {
		t.Fatal(err)
	}
	// The first one's x in bf16 is more than a place is made with.
	w, x, y := view(n, k), []device.View{view(8000, k), view(9, k), view(10, k), view(11, k)}, []device.View{}
	for _, v := range x {
		y = append(y, view(v.Rows, n))
	}
	run := func() error {
		for i := range x {
			if err := linear(&device.Call{Out: y[i : i+1], In: []device.View{x[i], w}}); err != nil {
				return err
			}
		}
		return nil
	}
	for range 2 {
		if err := run(); err != nil {
			t.Fatal(err)
		}
	}
	want := download(t, b, y[0])
	replay, err := b.Capture(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Upload(y[0], make([]byte, y[0].Bytes())); err != nil {
		t.Fatal(err)
	}
	if err := replay(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(download(t, b, y[0]), want) {
		t.Error("what was captured makes other numbers")
	}
}
