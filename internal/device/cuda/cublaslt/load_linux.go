//go:build (amd64 || arm64) && !nogpu

package cublaslt

import "github.com/ebitengine/purego"

func load(place string) (resolver, error) {
	handle, err := purego.Dlopen(place, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	return func(name string) (uintptr, error) { return purego.Dlsym(handle, name) }, nil
}

// invoke calls a function of the library. Pointers that are turned into numbers
// in its argument list itself are kept alive and in place during the call.
//
//go:uintptrescapes
func invoke(fn uintptr, args ...uintptr) uintptr {
	result, _, _ := purego.SyscallN(fn, args...)
	return result
}
