package feature

import "syscall"

// permitTiles asks Linux for the tiles' data, which a process has no room for in
// its signal frames until it says so (Documentation/arch/x86/xstate.rst). Go's
// signal stacks of 32 KiB are large enough for them; the kernel checks.
func permitTiles() bool {
	const archPrctl, requestPermission, tileData = 158, 0x1023, 18
	_, _, errno := syscall.RawSyscall(archPrctl, requestPermission, tileData, 0)
	return errno == 0
}
