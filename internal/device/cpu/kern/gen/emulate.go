package main

import (
	"fmt"
	"strconv"
	"strings"
)

// An emulated file does without AMX: each instruction on tiles is a call of a
// routine that does the same on memory, so that everything around the tiles runs
// on a processor that has AVX512_BF16 and AVX512_VBMI alone. The tiles lie in the
// frame of the function that uses them, as they live no longer than its call.
//
// A routine keeps all registers and flags but the tiles, as the instruction does,
// and faults where that would: it ends in UD2.

const (
	emulatedTiles  = 0
	emulatedConfig = emulatedTiles + 8*turnTile // as LDTILECFG reads it; palette 0 is not configured
	emulatedArgs   = emulatedConfig + 64
	emulatedSaved  = emulatedArgs + 4*8
	emulatedSize   = emulatedSaved + savedSize

	emulatedCall = "CALL ·emulated"
)

// number is a constant as an operand.
func number(n int) string { return "$" + strconv.Itoa(n) }

// emulate calls the routine of an instruction on tiles, in an emulated file.
// Moves and calls leave the flags alone.
func (f *file) emulate(instruction string, args ...string) bool {
	if !f.emulated {
		return false
	}
	if !f.framed {
		f.beginEmulated()
	}
	for i, a := range args {
		f.op("MOVQ %s, %d(SP)", a, emulatedArgs+8*i)
	}
	f.op("%s%s(SB)", emulatedCall, instruction)
	return true
}

// beginEmulated gives the function at work a frame, for which the stack may have to
// grow, and no tiles yet.
func (f *file) beginEmulated() {
	f.framed = true
	text := f.text.String()
	f.text.Truncate(f.begun)
	head, code, _ := strings.Cut(text[f.begun:], "NOSPLIT, $0-")
	args, code, _ := strings.Cut(code, "\n")
	fmt.Fprintf(&f.text, "%s0, $%d-%s\n", head, emulatedSize, args)
	f.op("NO_LOCAL_POINTERS")
	f.op("MOVQ $0, %d(SP)", emulatedConfig)
	f.text.WriteString(code)
}

// endEmulated faults where a function would leave tiles behind.
func (f *file) endEmulated() {
	released := f.label("released")
	f.op("CMPB %d(SP), $0", emulatedConfig)
	f.op("JEQ %s", released)
	f.op("UD2")
	f.mark(released)
}
