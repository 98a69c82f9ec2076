package cpu

import (
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// TestKeptPanelsFollowTheirMemory: a product sees what kernels, uploads and new
// reservations have done to its x since it was packed, and packs nothing anew
// where nothing was done.
func TestKeptPanelsFollowTheirMemory(t *testing.T) {
	if feature.Detect() == feature.Generic {
		t.Skip("this machine has portable kernels only")
	}
	const m, n, k = 20, 40, 33
	b := start(t, Options{Threads: 1, Activations: device.F32, Level: new(feature.Detect())})
	view := func(rows, cols int) device.View {
		mem, err := b.Alloc(int64(4 * rows * cols))
		if err != nil {
			t.Fatal(err)
		}
		return mem.At(0, device.F32, rows, cols)
	}
	bind := func(name string) device.Kernel {
		kernel, err := b.Bind(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		return kernel
	}
	linear, accumulate := bind("linear"), bind("accumulate")
	x, w, one, y := view(m, k), view(n, k), view(m, k), view(m, n)
	for i, s := 0, device.Slice[float32](w); i < len(s); i++ {
		s[i] = float32(i%7) - 3
	}
	for i, s := 0, device.Slice[float32](one); i < len(s); i++ {
		s[i] = 1
	}
	run := func(kernel device.Kernel, out device.View, in ...device.View) {
		if err := kernel(&device.Call{Out: []device.View{out}, In: in}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, kept bool) {
		t.Helper()
		if _, holds := b.fast.kept.find(x); holds != kept {
			t.Errorf("%s: x is kept: %v, want %v", what, holds, kept)
		}
		run(linear, y, x, w)
		got := slices.Clone(device.Slice[float32](y))
		b.fast.kept.forget()
		run(linear, y, x, w)
		if !slices.Equal(got, device.Slice[float32](y)) {
			t.Errorf("%s: the product is of an x that was", what)
		}
	}
	run(linear, y, x, w)
	check("nothing done", true)
	run(accumulate, x, one)
	check("a kernel wrote it", false)
	run(accumulate, x.Row(m-1, 1), one.Row(0, 1))
	check("a kernel wrote its last row", false)
	run(accumulate, one, x)
	check("a kernel read it", true)
	if err := b.Upload(x.Row(3, 1), make([]byte, 4*k)); err != nil {
		t.Fatal(err)
	}
	check("a row was uploaded", false)
	b.Free(device.Memory{Addr: y.Addr})
	y = view(m, n)
	check("memory was given back", false)
}
