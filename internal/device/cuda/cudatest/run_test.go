//go:build linux && (amd64 || arm64) && !nogpu

package cudatest_test

import (
	"math"
	"os"
	"strings"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

func normPTX(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../ptxsim/testdata/norm.ptx")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// PTX goes through the binding, the C calling convention and the simulator.
func TestAKernelRuns(t *testing.T) {
	const rows, n, eps, tolerance = 3, 1000, 1e-5, 1e-6
	c := cudatest.Open(t)
	x := make([]float32, rows*n)
	for i := range x {
		x[i] = float32(i%17) - 5
	}
	in, out := cudatest.Upload(t, c, x), cudatest.Alloc[float32](t, c, rows*n)
	c.Run(t, normPTX(t), "norm", driver.Dim{X: rows, Y: 1, Z: 1}, driver.Dim{X: 256, Y: 1, Z: 1}, 0,
		driver.Ptr(out), driver.Ptr(in), driver.I32(n), driver.F32(eps))
	y := cudatest.Download[float32](t, c, out, rows*n)
	for row := range rows {
		sum := 0.0
		for _, v := range x[row*n:][:n] {
			sum += float64(v) * float64(v)
		}
		for i := range n {
			want := float64(x[row*n+i]) / math.Sqrt(sum/n+eps) * float64(i&3+1)
			if got := float64(y[row*n+i]); math.Abs(got-want) > tolerance*max(1, math.Abs(want)) {
				t.Fatalf("y[%d][%d] = %v: want %v", row, i, got, want)
			}
		}
	}
	if s, simulated := c.Stats("norm"); simulated && (s.Conflicts() != 1 || s.Local != 0 || s.Barriers != rows*8) {
		t.Errorf("%+v: want no bank conflict, no local memory, 24 barriers", s)
	}
}

func TestAFaultIsTold(t *testing.T) {
	c := cudatest.Open(t)
	if c.Sim == nil {
		t.Skip("a fault loses the card")
	}
	in, out := cudatest.Upload(t, c, make([]float32, 100)), cudatest.Alloc[float32](t, c, 99)
	err := c.TryRun(normPTX(t), "norm", driver.Dim{X: 1, Y: 1, Z: 1}, driver.Dim{X: 256, Y: 1, Z: 1}, 0,
		driver.Ptr(out), driver.Ptr(in), driver.I32(100), driver.F32(1))
	if err == nil || !strings.Contains(err.Error(), "illegal memory access") {
		t.Errorf("error %v: want an illegal access", err)
	}
	fault := c.Fault()
	for _, want := range []string{"st.global.f32", "warp 3, lane 3", "0 bytes behind the end of the buffer of 396 bytes"} {
		if fault == nil || !strings.Contains(fault.Error(), want) {
			t.Errorf("fault %v: want %q in it", fault, want)
		}
	}
}

func TestBadTextIsRefused(t *testing.T) {
	c := cudatest.Open(t)
	if c.Sim == nil {
		t.Skip("the message is the simulator's")
	}
	bad := strings.Replace(normPTX(t), "rsqrt.approx", "sqrtr.approx", 1)
	err := c.TryRun(bad, "norm", driver.Dim{X: 1, Y: 1, Z: 1}, driver.Dim{X: 256, Y: 1, Z: 1}, 0)
	if err == nil || !strings.Contains(err.Error(), `instruction "sqrtr" is not simulated`) {
		t.Errorf("error %v: want the instruction", err)
	}
}
