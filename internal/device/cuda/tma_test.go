//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"bytes"
	"errors"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakedriver"
	"align/internal/device/cuda/ptxsim"
	"align/internal/device/devicetest"
)

// openTMA is openHopper with the sides of products fetched by the copy engine.
func openTMA(t *testing.T) *cuda.Backend {
	t.Helper()
	openBulk(t) // or skips
	t.Setenv(cuda.Variable, "tma")
	return openHopper(t)
}

// fedLaunches are those of gemm_tma.cu and of gemm_sm90.cu on what was opened last.
func fedLaunches(kind string) (tma, wgmma int64, simulated bool) {
	for _, shape := range []string{"wide", "square"} {
		n, is := cudatest.Launches("tma_" + kind + "_" + shape)
		o, _ := cudatest.Launches("wgmma_" + kind + "_" + shape)
		tma, wgmma, simulated = tma+n, wgmma+o, is
	}
	return tma, wgmma, simulated
}

// The large products of the suite that the CPU passes, fetched by the copy engine.
func TestConformanceOfTMA(t *testing.T) {
	alike := addAlike(t)
	devicetest.CheckLarge(t, openTMA(t), device.BF16, roundedBF16, alike)
	for _, kind := range []string{"nt", "nn", "tn"} {
		if tma, _, simulated := fedLaunches(kind); simulated && tma == 0 {
			t.Errorf("no product %s was fetched by the copy engine", kind)
		}
	}
}

// adapterBits are the bytes of a layer with an adapter, its gradients and a sum in parts.
func adapterBits(t *testing.T, b *cuda.Backend) []byte {
	t.Helper()
	const m, n, k, rank, rows = 130, 264, 200, 8, 1100
	r := &trial{t, b, random(9)}
	x, w, dy, du := r.array(m, k, 1).view, r.array(n, k, 1).view, r.array(m, n, 1).view, r.array(m, rank, 1).view
	down, up := r.floats(rank, k), r.floats(n, rank)
	y, dx, dw, parts := r.room(device.BF16, m, n), r.room(device.BF16, m, k), r.room(device.F32, n, k), r.room(device.F32, 72, 136)
	r.run("lora_linear", device.LoRA{Scale: 0.5}, []device.View{y}, []device.View{x, x, w, down, up})
	r.run("lora_dx", nil, []device.View{dx}, []device.View{dy, w, du, down})
	r.run("matmul_tn", device.MatMul{Alpha: 1}, []device.View{dw}, []device.View{dy, x})
	r.run("matmul_tn", device.MatMul{Alpha: 1}, []device.View{parts}, []device.View{r.array(rows, 72, 1).view, r.array(rows, 136, 1).view})
	var all []byte
	for _, v := range []device.View{y, dx, dw, parts} {
		raw := make([]byte, v.Bytes())
		if err := b.Download(raw, v); err != nil {
			t.Fatal(err)
		}
		all = append(all, raw...)
	}
	return all
}

// Whoever feeds wgmma, the bits are the same: so is the name of the numerics.
func TestTMALayersHaveTheBitsOfWgmma(t *testing.T) {
	t.Setenv(cuda.Variable, "wgmma")
	b := openHopper(t)
	want, name := adapterBits(t, b), b.Numerics()
	b = openTMA(t)
	if got := adapterBits(t, b); !bytes.Equal(got, want) || b.Numerics() != name {
		t.Errorf("the bits differ, %s and %s", b.Numerics(), name)
	}
	for _, kind := range []string{"nt", "nn", "tn"} {
		if tma, wgmma, simulated := fedLaunches(kind); simulated && (tma == 0 || wgmma > 0) {
			t.Errorf("%s: %d products were fetched by the copy engine and %d by threads", kind, tma, wgmma)
		}
	}
}

// large is a linear of rows that wgmma takes.
func large(t *testing.T, b *cuda.Backend) (run func() error, y device.View) {
	t.Helper()
	const m, n, k = 130, 136, 72
	r := &trial{t, b, random(3)}
	x, w, y := r.array(m, k, 1).view, r.array(n, k, 1).view, r.room(device.BF16, m, n)
	linear, err := b.Bind("linear", nil)
	if err != nil {
		t.Fatal(err)
	}
	call := &device.Call{Out: []device.View{y}, In: []device.View{x, w}}
	return func() error { return linear(call) }, y
}

// A captured product has the maps that it has when it is captured, whatever comes after;
// one whose sides have none yet is fed by threads.
func TestCapturesHaveTheirMaps(t *testing.T) {
	for name, before := range map[string]bool{"mapped before": true, "not mapped before": false} {
		t.Run(name, func(t *testing.T) {
			b := openTMA(t)
			run, y := large(t, b)
			other, z := large(t, b)
			if !before {
				run, other, y = other, run, z
			}
			if err := errors.Join(other(), b.Sync()); err != nil {
				t.Fatal(err)
			}
			if before {
				if err := run(); err != nil {
					t.Fatal(err)
				}
			}
			want := make([]byte, y.Bytes())
			replay, err := b.Capture(run)
			if err != nil {
				t.Fatal(err)
			}
			b.ForgetMaps()
			tma, wgmma, simulated := fedLaunches("nt")
			if err := errors.Join(other(), b.Upload(y, want), replay(), b.Download(want, y)); err != nil {
				t.Fatal(err)
			}
			more, fed, _ := fedLaunches("nt")
			if simulated && (more-tma != 1+int64(oneIf(before)) || fed-wgmma != int64(oneIf(!before))) {
				t.Errorf("%d products by the copy engine and %d by threads", more-tma, fed-wgmma)
			}
			got := make([]byte, y.Bytes())
			if err := errors.Join(run(), b.Download(got, y)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("what was captured makes other numbers: %v", err)
			}
		})
	}
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// Where nothing is proven, a driver without tensor maps leaves products to threads.
func TestDriversWithoutTensorMaps(t *testing.T) {
	t.Setenv(cuda.Variable, "tma")
	fake().Reset(fakedriver.Script{
		Version: 12040, Sim: &ptxsim.Sim{}, Cards: []fakedriver.Card{{Name: "Fake", Major: 9, Units: 1, Memory: 4 << 30}},
		Missing: map[string]bool{"cuTensorMapEncodeTiled": true},
	})
	l, err := driver.OpenWith("fake", fake().Resolve)
	if err != nil {
		t.Fatal(err)
	}
	b, err := cuda.OpenOn(l, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	run, _ := large(t, b)
	if err := errors.Join(run(), b.Sync()); err != nil || b.Means().TMA || !b.Means().Wgmma {
		t.Errorf("means %+v, error %v", b.Means(), err)
	}
}

// A product whose sides have maps allocates nothing on the host.
func TestTMAProductsAllocateNothing(t *testing.T) {
	nothing, err := fakedriver.Nothing()
	if err != nil {
		t.Skip("no C library: ", err)
	}
	t.Setenv(cuda.Variable, "tma")
	fake().Reset(fakedriver.Script{
		Version: 12040, Sim: &ptxsim.Sim{}, Cards: []fakedriver.Card{{Name: "Fake", Major: 9, Units: 1, Memory: 4 << 30}},
	})
	l, err := driver.OpenWith("fake", func(name string) (uintptr, error) {
		if name == "cuLaunchKernel" {
			return nothing, nil
		}
		return fake().Resolve(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := cuda.OpenOn(l, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	run, _ := large(t, b)
	failed := run()
	maps := fake().Calls("cuTensorMapEncodeTiled")
	n := testing.AllocsPerRun(20, func() { failed = errors.Join(failed, run()) })
	if failed != nil || n != 0 || maps != 2 || fake().Calls("cuTensorMapEncodeTiled") != maps {
		t.Errorf("%v allocations in a call, %d maps, error %v", n, maps, failed)
	}
}
