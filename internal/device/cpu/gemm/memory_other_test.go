//go:build !linux

package gemm

import "unsafe"

func pages(n int64) unsafe.Pointer { return memory(n) }
