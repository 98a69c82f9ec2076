//go:build (amd64 || arm64) && !nogpu

package driver

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// places are where the driver's library lies, in order: the loader's own
// search, then WSL, containers and NixOS, which keep it out of that search.
func places() []string {
	return []string{
		"libcuda.so.1",
		"/usr/lib/wsl/lib/libcuda.so.1",
		"/usr/local/nvidia/lib64/libcuda.so.1",
		"/run/opengl-driver/lib/libcuda.so.1",
	}
}

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
