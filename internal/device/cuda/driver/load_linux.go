//go:build (amd64 || arm64) && !nogpu

package driver

import "align/internal/device/cuda/dlopen"

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

func load(place string) (resolver, error) { return dlopen.Open(place) }
