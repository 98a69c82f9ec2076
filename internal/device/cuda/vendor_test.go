//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"encoding/binary"
	"math"
	"sync"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cublaslt"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakecublaslt"
	"align/internal/device/cuda/fakedriver"
	"align/internal/device/cuda/ptxsim"
)

// fakeLt is made once: its functions are never freed.
var fakeLt = sync.OnceValue(fakecublaslt.New)

// vendorBackend is a simulated card of the given generation with a cuBLASLt
// made of Go functions.
func vendorBackend(t *testing.T, major int32) *cuda.Backend {
	t.Helper()
	fake().Reset(fakedriver.Script{Version: 12040, Sim: &ptxsim.Sim{},
		Cards: []fakedriver.Card{{Name: "ptxsim", Major: major, Units: 4, Memory: 1 << 30}}})
	l, err := driver.OpenWith("ptxsim", fake().Resolve)
	if err != nil {
		t.Fatal(err)
	}
	b, err := cuda.OpenOn(l, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	lt := fakeLt()
	lt.Refuse, lt.Bytes, lt.Enqueue = false, fake().Bytes, fake().Enqueue
	library, err := cublaslt.OpenWith("fake", lt.Resolve)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.UseCUBLASLt(library); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if n := lt.Live(); n != 0 {
			t.Errorf("%d things of the library were not given back", n)
		}
	})
	return b
}

// upload is a view of float32 on the card.
func upload(t *testing.T, b *cuda.Backend, rows, cols int, values []float32) device.View {
	t.Helper()
	m, err := b.Alloc(int64(4 * rows * cols))
	if err != nil {
		t.Fatal(err)
	}
	v := m.At(0, device.F32, rows, cols)
	raw := make([]byte, 0, 4*len(values))
	for _, x := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	if err := b.Upload(v, raw); err != nil {
		t.Fatal(err)
	}
	return v
}

// convert is a matrix in another type.
func convert(t *testing.T, b *cuda.Backend, x device.View, to device.Type) device.View {
	t.Helper()
	rows := make([]byte, 4*x.Rows)
	for i := range x.Rows {
		binary.LittleEndian.PutUint32(rows[4*i:], uint32(i))
	}
	m, err := b.Alloc(int64(len(rows)) + int64(x.Len()*to.Size()) + 256)
	if err != nil {
		t.Fatal(err)
	}
	ids, y := m.At(0, device.I32, x.Rows, 1), m.At(int64(len(rows)+255)/256*256, to, x.Rows, x.Cols)
	if err := b.Upload(ids, rows); err != nil {
		t.Fatal(err)
	}
	embed, err := b.Bind("embed", nil)
	if err == nil {
		err = embed(&device.Call{Out: []device.View{y}, In: []device.View{x, ids}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return y
}

func download(t *testing.T, b *cuda.Backend, v device.View) []float64 {
	t.Helper()
	raw := make([]byte, v.Bytes())
	if err := b.Download(raw, v); err != nil {
		t.Fatal(err)
	}
	out := make([]float64, v.Len())
	for i := range out {
		out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
	}
	return out
}

// The library multiplies on Hopper, adapters and biases and all, and not on
// Ampere nor where it refuses; the numbers are the same.
func TestVendorProducts(t *testing.T) {
	const m, n, k, r = 130, 136, 40, 3
	rng := random(9)
	values := func(count int) []float32 {
		x := make([]float32, count)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	x, w, a, up, bias, before := values(m*k), values(n*k), values(r*k), values(n*r), values(n), values(m*n)
	run := func(t *testing.T, b *cuda.Backend) (out [3][]float64) {
		call := func(kernel string, attr any, accumulate bool, y device.View, in ...device.View) []float64 {
			f, err := b.Bind(kernel, attr)
			if err != nil {
				t.Fatal(err)
			}
			if err := f(&device.Call{Out: []device.View{y}, In: in, Accumulate: accumulate}); err != nil {
				t.Fatal(err)
			}
			if y.Type != device.F32 {
				return nil
			}
			return download(t, b, y)
		}
		vx, vw := upload(t, b, m, k, x), upload(t, b, n, k, w)
		out[0] = call("lora_linear", device.LoRA{Scale: 0.5}, false, upload(t, b, m, n, make([]float32, m*n)),
			vx, vx, vw, upload(t, b, r, k, a), upload(t, b, n, r, up), upload(t, b, n, 1, bias))
		out[1] = call("matmul_nn", device.MatMul{Alpha: 2}, true, upload(t, b, m, n, before), vx, upload(t, b, k, n, w))
		narrow := func(rows, cols int, x []float32) device.View {
			return convert(t, b, upload(t, b, rows, cols, x), device.BF16)
		}
		y := narrow(m, n, before)
		call("linear_dx", nil, true, y, narrow(m, k, x), narrow(k, n, w))
		out[2] = download(t, b, convert(t, b, y, device.F32))
		return out
	}
	var want [3][]float64
	for _, c := range []struct {
		name     string
		major    int32
		refuse   bool
		products int
		numerics string
	}{
		{"ampere", 8, false, 0, "cuda8.0-bf16-keys1024-own"},
		{"hopper", 9, false, 3, "cuda9.0-bf16-keys1024-cublaslt"},
		{"hopper, refused", 9, true, 0, "cuda9.0-bf16-keys1024-cublaslt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := vendorBackend(t, c.major)
			fakeLt().Refuse = c.refuse
			before := fakeLt().Products()
			got := run(t, b)
			if n := fakeLt().Products() - before; n != c.products {
				t.Errorf("the library made %d products: want %d", n, c.products)
			}
			if b.Numerics() != c.numerics {
				t.Errorf("numerics %q: want %q", b.Numerics(), c.numerics)
			}
			if want[0] == nil {
				want = got
			}
			for i := range want {
				limit := 1e-4
				if i == 2 {
					limit = largest(want[i]) / 256 // results of bf16
				}
				if d := distance(got[i], want[i]); d > limit {
					t.Errorf("product %d differs by %g", i, d)
				}
			}
		})
	}
}
