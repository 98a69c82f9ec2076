//go:build (linux || windows) && (amd64 || arm64) && !nogpu

package driver

import "github.com/ebitengine/purego"

// invoke calls a function of the driver and returns its CUresult. Pointers
// that are turned into numbers in its argument list itself are kept alive and
// in place during the call.
//
//go:uintptrescapes
func invoke(fn uintptr, args ...uintptr) int {
	result, _, _ := purego.SyscallN(fn, args...)
	return int(int32(result))
}
