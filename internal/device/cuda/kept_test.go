//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakedriver"
	"align/internal/device/cuda/ptxsim"
)

// A product sees what kernels, uploads and new reservations have done to its x
// since it was rounded, and rounds nothing anew where nothing was done.
func TestKeptSidesFollowTheirMemory(t *testing.T) {
	const m, n, k = 20, 40, 33
	sim := &ptxsim.Sim{}
	fake().Reset(fakedriver.Script{Version: 12040, Sim: sim,
		Cards: []fakedriver.Card{{Name: "ptxsim", Major: 8, Units: 4, Memory: 1 << 30}}})
	l, err := driver.OpenWith("ptxsim", fake().Resolve)
	if err != nil {
		t.Fatal(err)
	}
	b, err := cuda.OpenOn(l, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	rng := random(4)
	view := func(rows, cols int) device.View {
		values := make([]float32, rows*cols)
		for i := range values {
			values[i] = float32(rng.NormFloat64())
		}
		return upload(t, b, rows, cols, values)
	}
	run := func(name string, attr any, out device.View, in ...device.View) {
		t.Helper()
		kernel, err := b.Bind(name, attr)
		if err != nil {
			t.Fatal(err)
		}
		if err := kernel(&device.Call{Out: []device.View{out}, In: in}); err != nil {
			t.Fatal(err)
		}
	}
	x, w, one, y := view(m, k), view(n, k), view(m, k), view(m, n)
	other := func() { // x leaves no trace among the kept sides
		for range 4 {
			run("linear", nil, view(m, n), view(m, k), w)
		}
	}
	roundings := func() int64 {
		if err := b.Sync(); err != nil {
			t.Fatal(err)
		}
		return sim.Stats("round_f32").Launches
	}
	check := func(what string, kept bool) {
		t.Helper()
		before := roundings()
		run("linear", nil, y, x, w)
		// The weight is F32 and rounded every time.
		if got := roundings()-before == 1; got != kept {
			t.Errorf("%s: x is kept: %v, want %v", what, got, kept)
		}
		got := download(t, b, y)
		other()
		run("linear", nil, y, x, w)
		if !slices.Equal(got, download(t, b, y)) {
			t.Errorf("%s: the product is of an x that was", what)
		}
	}
	run("linear", nil, y, x, w)
	check("nothing done", true)
	run("accumulate", nil, x, one)
	check("a kernel wrote it", false)
	run("accumulate", nil, x.Row(m-1, 1), one.Row(0, 1))
	check("a kernel wrote its last row", false)
	run("accumulate", nil, one, x)
	check("a kernel read it", true)
	if err := b.Upload(x.Row(3, 1), make([]byte, 4*k)); err != nil {
		t.Fatal(err)
	}
	check("a row was uploaded", false)
	b.Free(device.Memory{Addr: y.Addr})
	y = view(m, n)
	check("memory was given back", false)
}
