//go:build (amd64 || arm64) && !nogpu

package driver

import "github.com/ebitengine/purego"

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

func load(place string) (resolver, error) {
	handle, err := purego.Dlopen(place, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	return func(name string) (uintptr, error) { return purego.Dlsym(handle, name) }, nil
}
