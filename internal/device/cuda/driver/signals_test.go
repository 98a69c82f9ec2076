//go:build linux && (amd64 || arm64) && !nogpu

package driver_test

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// The driver has threads of its own, and Ctrl-C may come to any thread of the
// process: one that Go has not made must pass it on.
func TestSignalsOnForeignThreadsArrive(t *testing.T) {
	libc, err := purego.Dlopen("libc.so.6", purego.RTLD_NOW)
	if err != nil {
		t.Skip("no C library: ", err)
	}
	at := func(name string) uintptr {
		address, err := purego.Dlsym(libc, name)
		if err != nil {
			t.Skip("no C library of glibc's kind: ", err)
		}
		return address
	}
	create, kill, join, sleep := at("pthread_create"), at("pthread_kill"), at("pthread_join"), at("sleep")
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, syscall.SIGUSR2)
	defer signal.Stop(arrived)
	const seconds = 1
	thread := new(uintptr)
	if code, _, _ := purego.SyscallN(create, uintptr(unsafe.Pointer(thread)), 0, sleep, seconds); code != 0 {
		t.Fatalf("pthread_create: %d", code)
	}
	if code, _, _ := purego.SyscallN(kill, *thread, uintptr(syscall.SIGUSR2)); code != 0 {
		t.Fatalf("pthread_kill: %d", code)
	}
	select {
	case <-arrived:
	case <-time.After(20 * time.Second):
		t.Fatal("the signal did not arrive")
	}
	// The thread ends with its sleep.
	if code, _, _ := purego.SyscallN(join, *thread, 0); code != 0 {
		t.Errorf("pthread_join: %d", code)
	}
}
