//go:build linux && (amd64 || arm64) && !nogpu

package dlopen

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// Open opens a library and returns what finds the address of a function in it. The
// loader keeps its last error for each thread, and purego asks for it by a second
// call: the goroutine must stay where it is, or the reason is lost.
func Open(place string) (find func(name string) (uintptr, error), err error) {
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
