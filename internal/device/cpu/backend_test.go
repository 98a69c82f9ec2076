package cpu

import (
	"testing"

	"align/internal/device"
	"align/internal/device/devicetest"
)

func open(t testing.TB, threads int, activations device.Type) *Backend {
	t.Helper()
	b, err := New(Options{Threads: threads, Activations: activations})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestConformance(t *testing.T) {
	devicetest.Run(t, func(t *testing.T, activations device.Type) device.Backend {
		return open(t, 2, activations)
	})
}

// TestThreadsMoveNoBit compares every kernel on 1, 2 and 5 threads.
func TestThreadsMoveNoBit(t *testing.T) {
	for _, act := range []device.Type{device.F32, device.F64} {
		one := open(t, 1, act)
		for _, threads := range []int{2, 5} {
			devicetest.Same(t, act, one, open(t, threads, act))
		}
	}
}

// TestKernelsAllocateNothing runs every kernel of the suite again and again.
func TestKernelsAllocateNothing(t *testing.T) {
	for _, act := range []device.Type{device.F32, device.F64} {
		b := open(t, 2, act)
		devicetest.Calls(t, b, act, func(name string, k device.Kernel, c *device.Call) {
			var err error
			if got := testing.AllocsPerRun(1, func() { err = k(c) }); got != 0 || err != nil {
				t.Errorf("%s: %v allocations per run (error %v)", name, got, err)
			}
		})
	}
}
