//go:build linux && (amd64 || arm64) && !nogpu

package driver_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakedriver"

	"github.com/google/go-cmp/cmp"
)

func TestNoDriverTellsWhereItLooked(t *testing.T) {
	place := filepath.Join(t.TempDir(), "libcuda.so.1")
	t.Setenv(driver.Variable, place)
	_, err := driver.Open()
	if !errors.Is(err, driver.ErrNoDriver) {
		t.Fatalf("error %v: want ErrNoDriver", err)
	}
	for _, want := range []string{"no NVIDIA driver found: tried " + place, "cannot open shared object file", "--device cpu"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestAnotherLibraryIsNoDriver(t *testing.T) {
	t.Setenv(driver.Variable, "libc.so.6")
	_, err := driver.Open()
	if err == nil || !strings.Contains(err.Error(), "libc.so.6 is no NVIDIA driver") {
		t.Errorf("error %v: want one that says so", err)
	}
}

func TestDriversThatDoNotServe(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *fakedriver.Script)
		is     error
		says   string
	}{
		{"old", func(s *fakedriver.Script) { s.Version = 11020 }, driver.ErrTooOld, "fake is for CUDA 11.2: 11.4 or later is needed"},
		{"lacking", func(s *fakedriver.Script) { s.Missing = map[string]bool{"cuGraphLaunch": true} }, driver.ErrTooOld, "it lacks cuGraphLaunch"},
		{"no card", func(s *fakedriver.Script) { s.Cards = nil }, driver.ErrNoDevice, "the driver's library is here (fake, CUDA 12.4)"},
		{"hidden", func(s *fakedriver.Script) { s.Cards = nil }, driver.ErrNoDevice, `CUDA_VISIBLE_DEVICES is "-1"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CUDA_VISIBLE_DEVICES", "-1") // and what it was comes back
			if c.name != "hidden" {
				os.Unsetenv("CUDA_VISIBLE_DEVICES")
			}
			s := script()
			c.change(&s)
			fake().Reset(s)
			_, err := driver.OpenWith("fake", fake().Resolve)
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v: want %v that says %q", err, c.is, c.says)
			}
		})
	}
}

// What a machine's set-up lacks comes with what to do about it.
func TestHintsFollowTheirCodes(t *testing.T) {
	s := script()
	s.Init = fakedriver.Unknown
	fake().Reset(s)
	_, err := driver.OpenWith("fake", fake().Resolve)
	const want = "cuda: cuInit: unknown error (CUDA_ERROR_UNKNOWN, 999): the module nvidia-uvm may not be loaded: run nvidia-modprobe -u as root"
	if err == nil || err.Error() != want {
		t.Errorf("error %v: want %q", err, want)
	}
}

func TestDevicesAreDescribed(t *testing.T) {
	l := play(t, script())
	got, err := l.Devices()
	want := []driver.Info{
		{Ordinal: 0, Name: "Fake A", Major: 8, Minor: 9, Units: 128, SharedMemory: 99 << 10, Memory: 1 << 20},
		{Ordinal: 1, Name: "Fake B", Major: 9, Minor: 0, Units: 132, SharedMemory: 227 << 10, Memory: 2 << 20},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("devices (-want +got, error %v):\n%s", err, diff)
	}
	if v := l.Version().String(); v != "12.4" {
		t.Errorf("version %s: want 12.4", v)
	}
}

func TestAMissingOrdinalIsTold(t *testing.T) {
	_, err := play(t, script()).Device(2)
	if !errors.Is(err, driver.ErrNoDevice) || !strings.Contains(err.Error(), "device 2") {
		t.Errorf("error %v: want ErrNoDevice for device 2", err)
	}
}

// A goroutine that moves to another thread between the loader's call and the
// question for its error had no reason to tell.
func TestReasonSurvivesManyGoroutines(t *testing.T) {
	t.Setenv(driver.Variable, filepath.Join(t.TempDir(), "libcuda.so.1"))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 200 {
				if _, err := driver.Open(); !strings.Contains(err.Error(), "cannot open shared object file") {
					t.Errorf("%q lacks the loader's reason", err)
					return
				}
			}
		})
	}
	all.Wait()
}
