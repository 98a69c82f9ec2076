//go:build (amd64 || arm64) && !nogpu

package cublaslt

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// The loader keeps its last error for each thread, and purego asks for it by a
// second call: the goroutine must stay where it is, or the reason is lost.
func load(place string) (resolver, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	handle, err := purego.Dlopen(place, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	return func(name string) (uintptr, error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return purego.Dlsym(handle, name)
	}, nil
}

// invoke calls a function of the library. Pointers that are turned into numbers
// in its argument list itself are kept alive and in place during the call.
//
//go:uintptrescapes
func invoke(fn uintptr, args ...uintptr) uintptr {
	result, _, _ := purego.SyscallN(fn, args...)
	return result
}
