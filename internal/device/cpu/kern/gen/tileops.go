package main

import "fmt"

// Go's assembler does not know AMX: these write its instructions as bytes. VEX,
// three bytes long, map 0F38, W0, 128 bits (Intel's manual, volume 2, chapter 3,
// "AMX instructions", and section 2.3). In an emulated file each is a call instead.

const (
	vexNone = 0
	vex66   = 1
	vexF3   = 2
	vexF2   = 3
)

// general is the general registers by the number of their encoding.
var general = map[string]int{"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SI": 6, "DI": 7, "R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15}

// vex writes an instruction on registers alone or, with a tail, on memory.
func (f *file) vex(prefix, opcode, vvvv, base, index, modrm int, what string, tail ...int) {
	p0 := 1<<7 | (^index>>3&1)<<6 | (^base>>3&1)<<5 | 2
	p1 := (^vvvv&15)<<3 | prefix
	text := fmt.Sprintf("LONG $0x%02x%02x%02xc4; BYTE $0x%02x", opcode, p1, p0, modrm)
	for _, b := range tail {
		text += fmt.Sprintf("; BYTE $0x%02x", b)
	}
	f.op("%s // %s", text, what)
}

// loadConfig is LDTILECFG (base); it clears the tiles.
func (f *file) loadConfig(base string) {
	if !f.emulate("LDTILECFG", base) {
		b := general[base]
		f.vex(vexNone, 0x49, 0, b, 0, b&7, fmt.Sprintf("LDTILECFG (%s)", base))
	}
}

func (f *file) releaseTiles() {
	if !f.emulate("TILERELEASE") {
		f.vex(vexNone, 0x49, 0, 0, 0, 0xc0, "TILERELEASE")
	}
}

func (f *file) zeroTile(t int) {
	if !f.emulate("TILEZERO", number(t)) {
		f.vex(vexF2, 0x49, 0, 0, 0, 0xc0|t<<3, fmt.Sprintf("TILEZERO T%d", t))
	}
}

// tileMemory is an access to rows index bytes apart.
func (f *file) tileMemory(prefix int, name string, t int, base, index string, at int) {
	if !f.emulate(name, base, index, number(at), number(t)) {
		b, i := general[base], general[index]
		what := fmt.Sprintf("%s %d(%s)(%s*1), T%d", name, at, base, index, t)
		f.vex(prefix, 0x4b, 0, b, i, 2<<6|t<<3|4, what, i&7<<3|b&7, at&255, at>>8&255, at>>16&255, at>>24&255)
	}
}

func (f *file) loadTile(base, index string, at, t int) {
	f.tileMemory(vexF2, "TILELOADD", t, base, index, at)
}

func (f *file) storeTileAt(t int, base, index string, at int) {
	f.tileMemory(vexF3, "TILESTORED", t, base, index, at)
}

// dotTiles is c += a b of tiles of pairs of bfloat16, TDPBF16PS.
func (f *file) dotTiles(a, b, c int) {
	if !f.emulate("TDPBF16PS", number(a), number(b), number(c)) {
		f.vex(vexF3, 0x5c, b, 0, 0, 0xc0|c<<3|a, fmt.Sprintf("TDPBF16PS T%d, T%d, T%d", b, a, c))
	}
}
