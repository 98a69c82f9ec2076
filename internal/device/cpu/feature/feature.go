// Package feature says which of the processor's instruction sets the kernels
// may use: one Level, found once and passed down.
//
// ALIGN_CPU=generic|avx2|avx512|avx512bf16|amx, or generic|neon on Arm, asks for a
// level up to the machine's highest, so that every path can be tested on one
// machine.
package feature

import (
	"fmt"
	"os"
	"strings"
)

// Level is a set of instructions; each includes those below it of the same
// family of processors.
type Level int

const (
	// Generic is portable Go.
	Generic Level = iota
	// AVX2 is AVX2 with FMA.
	AVX2
	// AVX512 is AVX-512 F, BW, DQ and VL.
	AVX512
	// AVX512BF16 is AVX512 with dot products of bfloat16 pairs.
	AVX512BF16
	// AMX is AVX512BF16 with products of tiles of bfloat16 (AMX-TILE and
	// AMX-BF16), which the system must permit, and AVX512_VBMI.
	AMX
	// NEON is the vectors of four float32 of 64-bit Arm.
	NEON
)

// Highest is the last of the levels.
const Highest = NEON

// Variable is the environment variable that chooses the level.
const Variable = "ALIGN_CPU"

var names = [...]string{Generic: "generic", AVX2: "avx2", AVX512: "avx512", AVX512BF16: "avx512bf16", AMX: "amx", NEON: "neon"}

// String is the level's name as ALIGN_CPU spells it.
func (l Level) String() string {
	if l < 0 || int(l) >= len(names) {
		return fmt.Sprintf("level(%d)", int(l))
	}
	return names[l]
}

// Parse is the level of a name.
func Parse(name string) (Level, error) {
	for l, n := range names {
		if n == name {
			return Level(l), nil
		}
	}
	return Generic, fmt.Errorf("feature: no level %q: want one of %s", name, strings.Join(names[:], ", "))
}

// Has says whether this machine has a level.
func Has(l Level) bool {
	have := detect()
	return l == Generic || l > Generic && l <= have && (l == NEON) == (have == NEON)
}

// Detect is the highest level of this machine.
func Detect() Level { return detect() }

// Fastest is the machine's level that multiplies fastest, and why it is not the
// highest where it is not. It goes by the processor's maker, not by a clock, so
// that a machine always chooses the same.
func Fastest() (level Level, reason string) { return fastest() }

// Select is the level that ALIGN_CPU asks for, or the machine's fastest where
// it is not set. A level that the machine lacks is an error.
func Select() (Level, error) {
	name, set := os.LookupEnv(Variable)
	if !set || name == "" {
		level, _ := Fastest()
		return level, nil
	}
	level, err := Parse(name)
	if err != nil {
		return Generic, fmt.Errorf("%s: %w", Variable, err)
	}
	if !Has(level) {
		return Generic, fmt.Errorf("feature: %s=%s: this machine has %s at most", Variable, level, Detect())
	}
	return level, nil
}
