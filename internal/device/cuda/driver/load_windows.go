//go:build (amd64 || arm64) && !nogpu

package driver

import "golang.org/x/sys/windows"

func places() []string { return []string{"nvcuda.dll"} }

// load looks in the system's folder alone: a library of that name beside the
// program or its data is none of NVIDIA's.
func load(place string) (resolver, error) {
	handle, err := windows.LoadLibraryEx(place, 0, windows.LOAD_LIBRARY_SEARCH_SYSTEM32)
	if err != nil {
		return nil, err
	}
	return func(name string) (uintptr, error) { return windows.GetProcAddress(handle, name) }, nil
}
