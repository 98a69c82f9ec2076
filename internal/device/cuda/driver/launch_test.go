//go:build linux && (amd64 || arm64) && !nogpu

package driver_test

import (
	"errors"
	"strings"
	"testing"

	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakedriver"

	"github.com/ebitengine/purego"
	"github.com/google/go-cmp/cmp"
)

// bound loads scalePTX and binds a kernel of it to one block of 64.
func bound(t *testing.T, d *driver.Device, name string) *driver.Launch {
	t.Helper()
	k := must(must(d.Load(scalePTX)).Kernel(name))
	if k.Registers != 32 || k.LocalBytes != 0 {
		t.Errorf("%d registers, %d local bytes: want 32 and 0", k.Registers, k.LocalBytes)
	}
	return must(k.Bind(driver.Dim{X: 1, Y: 1, Z: 1}, driver.Dim{X: 64, Y: 1, Z: 1}, 0))
}

func TestArgumentsAndGeometryArrive(t *testing.T) {
	s := script()
	var got []fakedriver.Launch
	s.Kernels["scale"] = func(_ *fakedriver.Driver, l fakedriver.Launch) int { got = append(got, l); return 0 }
	d := must(play(t, s).Device(1))
	defer d.Close()
	within(t, d, func() error {
		k := must(must(d.Load(scalePTX)).Kernel("scale"))
		l := must(k.Bind(driver.Dim{X: 2, Y: 3, Z: 4}, driver.Dim{X: 5, Y: 6, Z: 7}, 64<<10))
		on := must(d.Stream())
		err := errors.Join(l.Set(driver.U64(1<<40), driver.U64(3), driver.F32(-1), driver.I32(-2)), l.On(on))
		// The arguments of the first launch are the driver's by now.
		return errors.Join(err, l.Set(driver.U64(9), driver.U64(8), driver.F32(1), driver.U32(7)), l.On(on), on.Sync())
	})
	launch := func(args ...uint64) fakedriver.Launch {
		return fakedriver.Launch{Grid: [3]uint32{2, 3, 4}, Block: [3]uint32{5, 6, 7}, SharedMemory: 64 << 10, Args: args}
	}
	want := []fakedriver.Launch{launch(1<<40, 3, 0xbf800000, 0xfffffffe), launch(9, 8, 0x3f800000, 7)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("launches (-want +got):\n%s", diff)
	}
}

func TestWrongArgumentListsAreRefused(t *testing.T) {
	d := open(t, 0)
	within(t, d, func() error {
		l := bound(t, d, "scale")
		few := l.Set(driver.U64(1))
		wide := l.Set(driver.U64(1), driver.U64(1), driver.U64(1), driver.U32(1))
		for err, want := range map[error]string{few: "1 arguments: it takes 4", wide: "argument 2 has 8 bytes: the parameter has 4"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v: want %q", err, want)
			}
		}
		k := must(must(d.Load(scalePTX)).Kernel("scale"))
		if _, err := k.Bind(driver.Dim{X: 1, Y: 1}, driver.Dim{X: 1, Y: 1, Z: 1}, 0); err == nil {
			t.Error("a grid without depth was bound")
		}
		if _, err := k.Bind(driver.Dim{X: 1, Y: 1, Z: 1}, driver.Dim{X: 1, Y: 1, Z: 1}, 1<<20); err == nil {
			t.Error("more shared memory than the card has was bound")
		}
		for _, size := range [][2]driver.Dim{
			{{X: 1, Y: 1 << 16, Z: 1}, {X: 1, Y: 1, Z: 1}}, {{X: 1, Y: 1, Z: 1 << 16}, {X: 1, Y: 1, Z: 1}},
			{{X: 1, Y: 1, Z: 1}, {X: 33, Y: 32, Z: 1}}, {{X: 1, Y: 1, Z: 1}, {X: 1, Y: 1, Z: 65}},
		} {
			if err := l.Shape(size[0], size[1]); err == nil {
				t.Errorf("grid %v of blocks %v was taken", size[0], size[1])
			}
		}
		return nil
	})
}

func TestGraphRepeatsWhatWasCaptured(t *testing.T) {
	d := open(t, 0)
	within(t, d, func() error {
		const n = 10
		s, l := must(d.Stream()), bound(t, d, "scale")
		x, io := must(d.Alloc(4*n)), must(d.Stage(4*n))
		for i := range n {
			put(io.Bytes, i, float32(i))
		}
		err := errors.Join(s.Upload(x, 0, io, 4*n), s.Sync(), l.Set(driver.Ptr(x), driver.Ptr(x), driver.F32(2), driver.U32(n)))
		g, captured := s.Capture(func() error { return l.On(s) })
		if err := errors.Join(err, captured); err != nil {
			return err
		}
		if err := errors.Join(g.On(s), g.On(s), g.On(s), s.Download(io, x, 0, 4*n), s.Sync(), g.Close()); err != nil {
			return err
		}
		for i := range n {
			if got := get(io.Bytes, i); got != 8*float32(i) {
				t.Errorf("x[%d] = %v: want %v", i, got, 8*float32(i))
			}
		}
		return nil
	})
}

// A call that a capture does not allow breaks it, and the stream goes on.
func TestACaptureRefusesWhatWaits(t *testing.T) {
	d := open(t, 0)
	within(t, d, func() error {
		s := must(d.Stream())
		_, err := s.Capture(func() error {
			_, err := d.Alloc(8)
			return err
		})
		var call *driver.Error
		if !errors.As(err, &call) || call.Code != 900 || errors.Is(err, driver.ErrLost) {
			t.Errorf("error %v: want CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", err)
		}
		return errors.Join(must(d.Alloc(8)).Free(), s.Sync())
	})
}

func TestAFailedCaptureEnds(t *testing.T) {
	d := open(t, 0)
	within(t, d, func() error {
		s, failure := must(d.Stream()), errors.New("no")
		if _, err := s.Capture(func() error { return failure }); !errors.Is(err, failure) {
			t.Errorf("error %v: want %v", err, failure)
		}
		return s.Sync()
	})
}

func TestTranslatorsLogIsTold(t *testing.T) {
	s := script()
	s.BadPTX = "ptxas application ptx input, line 7; fatal : Parsing error"
	d := must(play(t, s).Device(0))
	defer d.Close()
	within(t, d, func() error {
		if _, err := d.Load(scalePTX); err == nil || !strings.Contains(err.Error(), "line 7; fatal") {
			t.Errorf("error %v: want the log in it", err)
		}
		return nil
	})
}

// Enqueueing allocates nothing. The fake's Go functions allocate themselves, so
// a C function that returns 0 stands for the driver's.
func TestEnqueueingAllocatesNothing(t *testing.T) {
	libc, err := purego.Dlopen("libc.so.6", purego.RTLD_NOW)
	if err != nil {
		t.Skip("no C library: ", err)
	}
	zero := must(purego.Dlsym(libc, "sched_yield"))
	fake().Reset(script())
	l := must(driver.OpenWith("fake", func(name string) (uintptr, error) {
		switch name {
		case "cuLaunchKernel", "cuGraphLaunch", "cuMemcpyHtoDAsync_v2", "cuEventRecord":
			return zero, nil
		}
		return fake().Resolve(name)
	}))
	d := must(l.Device(0))
	defer d.Close()
	within(t, d, func() error {
		s, launch, event := must(d.Stream()), bound(t, d, "scale"), must(d.Event())
		buffer, staging := must(d.Alloc(8)), must(d.Stage(8))
		graph := must(s.Capture(func() error { return nil }))
		allocs := testing.AllocsPerRun(200, func() {
			err := launch.Set(driver.Ptr(buffer), driver.Ptr(buffer), driver.F32(1), driver.U32(2))
			if err != nil || launch.On(s) != nil || graph.On(s) != nil || s.Upload(buffer, 0, staging, 8) != nil || event.Record(s) != nil {
				t.Error("an enqueued call failed")
			}
		})
		if allocs != 0 {
			t.Errorf("%v allocations: want none", allocs)
		}
		return nil
	})
}
