package gemm

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pages is n bytes of huge pages where the system has them, as the backend's
// arena gives: without them a product spends time on looking up addresses.
// They stay until the process ends.
func pages(n int64) unsafe.Pointer {
	const huge = 2 << 20
	mem, err := syscall.Mmap(-1, 0, int(n)+2*huge, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return memory(n)
	}
	_ = syscall.Madvise(mem, syscall.MADV_HUGEPAGE)
	p := unsafe.Pointer(unsafe.SliceData(mem))
	return unsafe.Add(p, (huge-int(uintptr(p)%huge))%huge)
}

// processTime is the processor time of all threads of the process: unlike the
// clock on the wall it leaves other processes out.
func processTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
