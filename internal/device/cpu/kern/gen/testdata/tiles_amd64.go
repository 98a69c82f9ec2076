package feature

import "golang.org/x/sys/cpu"

// hasTiles is true where all is there that the emulation needs: this file takes
// the place of the one that asks the processor for tiles (scripts/emulate-amx.sh).
func hasTiles() bool { return cpu.X86.HasAVX512VBMI }
