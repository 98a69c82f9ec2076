//go:build (amd64 || arm64) && !nogpu

package cublaslt

import (
	"github.com/ebitengine/purego"

	"align/internal/device/cuda/dlopen"
)

func load(place string) (resolver, error) { return dlopen.Open(place) }

// invoke calls a function of the library. Pointers that are turned into numbers
// in its argument list itself are kept alive and in place during the call.
//
//go:uintptrescapes
func invoke(fn uintptr, args ...uintptr) uintptr {
	result, _, _ := purego.SyscallN(fn, args...)
	return result
}
