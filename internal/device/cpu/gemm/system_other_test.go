//go:build !linux

package gemm

import (
	"time"
	"unsafe"
)

func pages(n int64) unsafe.Pointer { return memory(n) }

var started = time.Now()

// processTime is the time on the wall, where no better clock is known.
func processTime() time.Duration { return time.Since(started) }
