//go:build linux && (amd64 || arm64) && !nogpu

package driver_test

import (
	"bufio"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"align/internal/device/cuda/dlopen"
	"align/internal/device/cuda/driver"
)

// NVIDIA's own library on a machine without a card, which ALIGN_LIBCUDA names: every
// function that the binding asks for is there, it refuses by a typed error and says why,
// and Go's signals still work beside its threads.
func TestTheRealDriverWithoutACard(t *testing.T) {
	place := os.Getenv(driver.Variable)
	if place == "" || os.Getenv("ALIGN_TEST_GPU") == "1" {
		t.Skip(driver.Variable + " names no library, or there is a card")
	}
	resolve, err := dlopen.Open(place)
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range driver.Names() {
		if found := first(resolve, names); found == "" {
			t.Errorf("%s lacks %s", place, names[0])
		} else if found != names[0] {
			t.Logf("%s stands for %s", found, names[0])
		}
	}
	before := signalsOf(t)
	_, err = driver.Open()
	t.Log(err)
	var call *driver.Error
	if !errors.Is(err, driver.ErrNoDevice) || !errors.As(err, &call) || call.Call != "cuInit" || call.Text == "" {
		t.Errorf("error %v: want ErrNoDevice of cuInit with the driver's sentence", err)
	}
	if after := signalsOf(t); after != before {
		t.Errorf("signals that are caught and ignored: %s, and before the driver %s", after, before)
	}
	everyThreadPassesSignals(t)
}

// first is the first of the names that is found.
func first(resolve func(string) (uintptr, error), names []string) string {
	for _, name := range names {
		if at, err := resolve(name); err == nil && at != 0 {
			return name
		}
	}
	return ""
}

// signalsOf is what the process catches and ignores.
func signalsOf(t *testing.T) string {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	defer f.Close()
	var found []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "SigCgt") || strings.HasPrefix(line, "SigIgn") {
			found = append(found, line)
		}
	}
	return strings.Join(found, " ")
}

// everyThreadPassesSignals sends a signal to each thread of the process, the driver's own
// among them, and collects garbage, which stops goroutines by signals.
func everyThreadPassesSignals(t *testing.T) {
	t.Helper()
	arrived := make(chan os.Signal, 64)
	signal.Notify(arrived, syscall.SIGUSR2)
	defer signal.Stop(arrived)
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range threads {
		id, _ := strconv.Atoi(filepath.Base(at))
		name, _ := os.ReadFile(at + "/comm")
		if syscall.Tgkill(os.Getpid(), id, syscall.SIGUSR2) != nil {
			continue // it has ended
		}
		select {
		case <-arrived:
		case <-time.After(20 * time.Second):
			t.Errorf("a signal to thread %d, %q, did not arrive", id, strings.TrimSpace(string(name)))
		}
	}
	t.Logf("signals to %d threads arrived", len(threads))
	var stop atomic.Bool
	go func() {
		for !stop.Load() { // that only a signal takes from its thread
		}
	}()
	defer stop.Store(true)
	for range 20 {
		runtime.GC()
	}
}
