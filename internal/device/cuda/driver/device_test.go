//go:build linux && (amd64 || arm64) && !nogpu

package driver_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"align/internal/device/cuda/driver"
)

func TestContextIsCurrentInsideDoOnly(t *testing.T) {
	d := open(t, 0)
	within(t, d, d.Sync)
	var call *driver.Error
	if err := d.Sync(); !errors.As(err, &call) || call.Code != 201 {
		t.Errorf("outside Do: error %v: want CUDA_ERROR_INVALID_CONTEXT", err)
	}
}

func TestCloseGivesTheContextBack(t *testing.T) {
	d := open(t, 0)
	d.Close()
	d.Close()
	if err := d.Do(func() error { return nil }); !errors.Is(err, driver.ErrClosed) {
		t.Errorf("error %v: want ErrClosed", err)
	}
	if n := fake().Live(); n != 0 {
		t.Errorf("%d things are left", n)
	}
}

func TestTwoDevicesKeepApart(t *testing.T) {
	l := play(t, script())
	for ordinal, want := range []uint64{1 << 20, 2 << 20} {
		d, err := l.Device(ordinal)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		within(t, d, func() error {
			_, err := d.Alloc(1000)
			if err != nil {
				return err
			}
			free, total, err := d.Free()
			if free != want-1000 || total != want {
				t.Errorf("device %d: %d of %d bytes free: want %d of %d", ordinal, free, total, want-1000, want)
			}
			return err
		})
	}
}

func TestCopiesGoThereAndBack(t *testing.T) {
	d := open(t, 0)
	within(t, d, func() error {
		s, a, b := must(d.Stream()), must(d.Alloc(64)), must(d.Alloc(64))
		in, out := must(d.Stage(16)), must(d.Stage(64))
		for i := range in.Bytes {
			in.Bytes[i] = byte(i + 1)
		}
		if err := errors.Join(s.Fill(a, 7), s.Upload(a, 8, in, 16), s.Copy(b, a, 64), s.Download(out, b, 0, 64), s.Sync()); err != nil {
			return err
		}
		want := bytes.Repeat([]byte{7}, 64)
		copy(want[8:], in.Bytes)
		if !bytes.Equal(out.Bytes, want) {
			t.Errorf("read %v: want %v", out.Bytes, want)
		}
		for _, err := range []error{s.Upload(a, 56, in, 16), s.Upload(a, 0, in, 17), s.Download(out, a, -1, 4), s.Copy(a, b, 65)} {
			if err == nil || !strings.Contains(err.Error(), "too small") {
				t.Errorf("error %v: want a refusal", err)
			}
		}
		return errors.Join(a.Free(), a.Free(), b.Free(), in.Free(), out.Free(), s.Close())
	})
	d.Close()
	if n := fake().Live(); n != 0 {
		t.Errorf("%d things are left", n)
	}
}

func TestAFullCardGoesOn(t *testing.T) {
	d := open(t, 0)
	within(t, d, func() error {
		b := must(d.Alloc(1 << 19))
		_, err := d.Alloc(1 << 20)
		if !errors.Is(err, driver.ErrOutOfMemory) || errors.Is(err, driver.ErrLost) {
			t.Errorf("error %v: want ErrOutOfMemory", err)
		}
		const want = "cuda: device 0: out of memory: 1.0 MiB asked for, 0.5 of 1.0 MiB free"
		if err != nil && err.Error() != want {
			t.Errorf("error %q: want %q", err, want)
		}
		return errors.Join(b.Free(), must(d.Alloc(1<<20)).Free())
	})
}

func TestABrokenContextStaysBroken(t *testing.T) {
	d := open(t, 0)
	within(t, d, func() error {
		s, l := must(d.Stream()), bound(t, d, "stray")
		if err := errors.Join(l.Set(driver.U64(12)), l.On(s)); err != nil {
			return err
		}
		first := s.Sync()
		if !errors.Is(first, driver.ErrLost) || !strings.Contains(first.Error(), "an illegal memory access was encountered") {
			t.Errorf("error %v: want ErrLost with its cause", first)
		}
		calls := fake().Calls("cuMemAlloc_v2")
		if _, err := d.Alloc(8); err == nil || err.Error() != first.Error() {
			t.Errorf("then %v: want %v", err, first)
		}
		if fake().Calls("cuMemAlloc_v2") != calls {
			t.Error("a lost device called the driver")
		}
		return nil
	})
}

func TestEventsOrderAndMeasure(t *testing.T) {
	d := open(t, 0)
	within(t, d, func() error {
		a, b := must(d.Stream()), must(d.Stream())
		start, end := must(d.Event()), must(d.Event())
		var call *driver.Error
		if _, err := end.Since(start); !errors.As(err, &call) || call.Code != 400 {
			t.Errorf("time of events that were never recorded: error %v: want CUDA_ERROR_INVALID_HANDLE", err)
		}
		err := errors.Join(start.Record(a), end.Record(a), b.Wait(end))
		if _, early := end.Since(start); !errors.As(early, &call) || call.Code != 600 {
			t.Errorf("time of events that are not reached: error %v: want CUDA_ERROR_NOT_READY", early)
		}
		err = errors.Join(err, a.Sync(), end.Sync())
		took, measured := end.Since(start)
		// The fake's clock ticks a millisecond per mark that is reached.
		if took != time.Millisecond {
			t.Errorf("took %v: want 1ms", took)
		}
		return errors.Join(err, measured, start.Close(), end.Close(), a.Close(), b.Close())
	})
}
