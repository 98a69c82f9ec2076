//go:build linux && (amd64 || arm64) && !nogpu

package driver_test

import (
	"encoding/binary"
	"math"
	"sync"
	"testing"

	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakedriver"
)

// fake is made once: its functions are never freed.
var fake = sync.OnceValue(fakedriver.New)

// scalePTX has a kernel y[i] = a*x[i], whose work the fake does in Go, and one
// that the fake lets fault.
const scalePTX = `
.version 7.0
.target sm_80
.address_size 64
.visible .entry scale(
	.param .u64 scale_param_0,
	.param .u64 .ptr .global .align 4 scale_param_1,
	.param .f32 scale_param_2,
	.param .u32 scale_param_3
)
{
	.reg .pred %p<2>;
	.reg .b32 %r<6>;
	.reg .f32 %f<4>;
	.reg .b64 %rd<6>;
	ld.param.u64 %rd1, [scale_param_0];
	ld.param.u64 %rd2, [scale_param_1];
	ld.param.f32 %f1, [scale_param_2];
	ld.param.u32 %r1, [scale_param_3];
	mov.u32 %r2, %ctaid.x;
	mov.u32 %r3, %ntid.x;
	mov.u32 %r4, %tid.x;
	mad.lo.s32 %r5, %r2, %r3, %r4;
	setp.ge.u32 %p1, %r5, %r1;
	@%p1 bra DONE;
	cvta.to.global.u64 %rd1, %rd1;
	cvta.to.global.u64 %rd2, %rd2;
	mul.wide.u32 %rd3, %r5, 4;
	add.s64 %rd4, %rd1, %rd3;
	add.s64 %rd5, %rd2, %rd3;
	ld.global.f32 %f2, [%rd5];
	mul.rn.f32 %f3, %f1, %f2;
	st.global.f32 [%rd4], %f3;
DONE:
	ret;
}
.visible .entry stray(
	.param .u64 stray_param_0
)
{
	ret;
}
`

// script is two cards of 1 MiB and 2 MiB with the kernels of scalePTX.
func script() fakedriver.Script {
	return fakedriver.Script{
		Version: 12040,
		Cards: []fakedriver.Card{
			{Name: "Fake A", Major: 8, Minor: 9, Units: 128, Memory: 1 << 20},
			{Name: "Fake B", Major: 9, Minor: 0, Units: 132, Memory: 2 << 20},
		},
		Kernels: map[string]fakedriver.Kernel{
			"scale": scale,
			"stray": func(*fakedriver.Driver, fakedriver.Launch) int { return fakedriver.IllegalAddress },
		},
		Parameters: map[string]int{"scale": 4, "stray": 1},
	}
}

func scale(d *fakedriver.Driver, l fakedriver.Launch) int {
	y, x := d.Bytes(l.Args[0]), d.Bytes(l.Args[1])
	a, n := math.Float32frombits(uint32(l.Args[2])), int(uint32(l.Args[3]))
	if len(x) < 4*n || len(y) < 4*n || int(l.Grid[0]*l.Block[0]) < n {
		return fakedriver.IllegalAddress
	}
	for i := range n {
		put(y, i, a*get(x, i))
	}
	return 0
}

func get(b []byte, i int) float32    { return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])) }
func put(b []byte, i int, v float32) { binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v)) }

// play opens the fake with a script.
func play(t *testing.T, s fakedriver.Script) *driver.Library {
	t.Helper()
	fake().Reset(s)
	l, err := driver.OpenWith("fake", fake().Resolve)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// open opens a card of the usual script, closed when the test ends.
func open(t *testing.T, ordinal int) *driver.Device {
	t.Helper()
	d, err := play(t, script()).Device(ordinal)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// within runs f inside Do.
func within(t *testing.T, d *driver.Device, f func() error) {
	t.Helper()
	if err := d.Do(f); err != nil {
		t.Fatal(err)
	}
}

// must panics inside Do, where a test cannot be ended.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
