//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakedriver"
	"align/internal/device/cuda/ptxsim"
	"align/internal/device/devicetest"
)

// openCard opens a real card where ALIGN_TEST_GPU is 1, else one that runs the
// PTX in the simulator; what that finds wrong fails the test.
func openCard(t *testing.T) *cuda.Backend {
	t.Helper()
	return openRacing(t, true)
}

// openRacing is openCard that may do without looking for races. A real card makes the
// choices of the simulated one, of four multiprocessors without wgmma: so the shapes of
// tests reach the kernels that they are there for, which on a large card they are too
// small for.
func openRacing(t *testing.T, races bool) *cuda.Backend {
	t.Helper()
	t.Setenv(cuda.Variable, "mma")
	return openAs(t, cudatest.Library(t, races), cudatest.Ampere)
}

// openHopper is openCard with wgmma for all products and attention that it takes. A card
// without it, and one that is asked to do without it, skip the test.
func openHopper(t *testing.T) *cuda.Backend {
	t.Helper()
	b := openAs(t, cudatest.LibraryTarget(t, cudatest.Hopper, true), cudatest.Hopper)
	if b.Products() != "wgmma" {
		t.Skipf("%s: wgmma is not in use", b.Info().Name)
	}
	return b
}

func openAs(t *testing.T, l *driver.Library, target cudatest.Target) *cuda.Backend {
	t.Helper()
	b, err := cuda.OpenOn(l, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	b.HaveUnits(cudatest.Units(target))
	return b
}

// roundedBF16 is the relative error of a product's input in bfloat16.
const roundedBF16 = 1.0 / (1 << 8)

// The suite that the CPU's backend passes, with the activations that runs have
// and, without looking for races, with those of F32.
func TestConformance(t *testing.T) {
	for _, act := range []device.Type{device.BF16, device.F32} {
		t.Run(act.String(), func(t *testing.T) {
			devicetest.CheckRounded(t, openRacing(t, act == device.BF16), act, roundedBF16)
			for _, typ := range append(device.BlockTypes(), device.BF16) {
				if n, simulated := cudatest.Launches("gemv_narrow_" + typ.String()); simulated && n == 0 {
					t.Errorf("no product of few columns ran with a weight of %s", typ)
				}
			}
		})
	}
}

// The large products and heads of the suite on wgmma. The rows of a large product have
// the bits of a small one, which mma.sync makes, where both instructions add alike.
func TestConformanceOfHopper(t *testing.T) {
	alike := addAlike(t)
	devicetest.CheckLarge(t, openHopper(t), device.BF16, roundedBF16, alike)
	for _, kind := range []string{"nt", "nn", "tn"} {
		wide, simulated := cudatest.Launches("wgmma_" + kind + "_wide")
		square, _ := cudatest.Launches("wgmma_" + kind + "_square")
		if simulated && wide+square == 0 {
			t.Errorf("no product %s ran on wgmma", kind)
		}
	}
	for _, entry := range []string{"attention_wgmma_64", "attention_queries_grad_wgmma_64", "attention_keys_grad_wgmma_64"} {
		if n, simulated := cudatest.Launches(entry); simulated && n == 0 {
			t.Errorf("%s did not run", entry)
		}
	}
}

// Weight-decomposed adaptation, by the suite's trials of it.
func TestDoRA(t *testing.T) {
	for _, act := range []device.Type{device.BF16, device.F32} {
		t.Run(act.String(), func(t *testing.T) { devicetest.CheckDoRA(t, openCard(t), act) })
	}
}

// Work has the same bits every time. The simulator has no other order than one:
// this is for a card.
func TestSameBits(t *testing.T) {
	if os.Getenv("ALIGN_TEST_GPU") != "1" {
		t.Skip("needs a card: set ALIGN_TEST_GPU=1")
	}
	for name, open := range map[string]func(*testing.T) *cuda.Backend{"mma": openCard, "wgmma": openHopper} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			devicetest.Same(t, device.F32, b, b)
			devicetest.Same(t, device.BF16, b, b)
		})
	}
}

// A kernel's call allocates nothing on the host once it has run, not even in
// the change to the device's thread.
func TestCallsAllocateNothing(t *testing.T) {
	nothing, err := fakedriver.Nothing()
	if err != nil {
		t.Skip("no C library: ", err)
	}
	fake().Reset(fakedriver.Script{
		Version: 12040, Sim: &ptxsim.Sim{}, Cards: []fakedriver.Card{{Name: "Fake", Major: 8, Units: 4, Memory: 4 << 30}},
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
	seen := map[string]bool{}
	check := func(name string, k device.Kernel, c *device.Call) {
		kernel, _, _ := strings.Cut(name, "/")
		if seen[kernel] || len(c.Out) > 0 && c.Out[0].Rows < 2 {
			return // shapes do not change what is allocated
		}
		seen[kernel] = true
		failed := k(c)
		n := testing.AllocsPerRun(20, func() { failed = errors.Join(failed, k(c)) })
		if failed != nil || n != 0 {
			t.Errorf("%s: %v allocations in a call, error %v", name, n, failed)
		}
	}
	devicetest.Calls(t, b, device.F32, check)
	clear(seen)
	devicetest.Calls(t, b, device.BF16, check)
}
