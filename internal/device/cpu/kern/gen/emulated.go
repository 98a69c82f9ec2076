package main

import "fmt"

// What a routine saves, in its caller's frame.
var (
	savedGeneral = []string{"AX", "BX", "CX", "DX", "SI", "DI", "R8", "R9", "R10", "R11"}
	savedMasks   = []string{"K1", "K2"}
)

const (
	savedVectors = 6
	savedFlags   = emulatedSaved + 8*12
	savedMXCSR   = savedFlags + 8
	emulatedMode = savedMXCSR + 4 // MXCSR of TDPBF16PS
	savedZ       = savedFlags + 16
	savedSize    = savedZ + 64*savedVectors - emulatedSaved
)

// block is a place of the caller's frame, behind the return address.
func block(at int) string { return fmt.Sprintf("%d(SP)", 8+at) }

// emitEmulated writes the routines, after the operations of Intel's manual, volume 2, chapter 3, "AMX instructions".
func emitEmulated(f *file) {
	f.routine("LDTILECFG", (*file).emulatedLoadConfig)
	f.routine("TILERELEASE", func(f *file, _ string) { f.op("MOVQ $0, %s", block(emulatedConfig)) })
	f.routine("TILEZERO", func(f *file, fault string) {
		f.tileOf(0, "DI", fault)
		f.op("VPXORQ Z0, Z0, Z0")
		for row := range amxRows {
			f.op("VMOVDQU64 Z0, %d(DI)", row*amxBytes)
		}
	})
	f.routine("TILELOADD", func(f *file, fault string) {
		f.eachRow(fault, func() {
			f.op("VMOVDQU8.Z (SI), K1, Z0")
			f.op("VMOVDQU64 Z0, (DI)")
		})
	})
	f.routine("TILESTORED", func(f *file, fault string) {
		f.eachRow(fault, func() {
			f.op("VMOVDQU64 (DI), Z0")
			f.op("VMOVDQU8 Z0, K1, (SI)")
		})
	})
	f.routine("TDPBF16PS", (*file).emulatedDot)
}

// routine writes what an instruction does, with registers to work with.
func (f *file) routine(instruction string, does func(f *file, fault string)) {
	fmt.Fprintf(&f.text, "\nTEXT ·emulated%s(SB), NOSPLIT|NOFRAME, $0-0\n", instruction)
	f.op("MOVQ AX, %s", block(emulatedSaved))
	f.op("PUSHFQ")
	f.op("POPQ AX")
	f.op("MOVQ AX, %s", block(savedFlags))
	saved := func(move func(op, register string, at int)) {
		for i, r := range savedGeneral[1:] {
			move("MOVQ", r, emulatedSaved+8*(i+1))
		}
		for i, k := range savedMasks {
			move("KMOVQ", k, emulatedSaved+8*(len(savedGeneral)+i))
		}
		for z := range savedVectors {
			move("VMOVUPS", fmt.Sprintf("Z%d", z), savedZ+64*z)
		}
	}
	saved(func(op, register string, at int) { f.op("%s %s, %s", op, register, block(at)) })
	fault := f.label("fault")
	does(f, fault)
	saved(func(op, register string, at int) { f.op("%s %s, %s", op, block(at), register) })
	f.op("MOVQ %s, AX", block(savedFlags))
	f.op("PUSHQ AX")
	f.op("POPFQ")
	f.op("MOVQ %s, AX", block(emulatedSaved))
	f.op("RET")
	f.mark(fault)
	f.op("UD2")
}

// emulatedLoadConfig takes palette 1, and clears the tiles. Palette 0, which releases
// them, and a row to begin at faults as well: nobody asks for either.
func (f *file) emulatedLoadConfig(fault string) {
	f.op("MOVQ %s, SI", block(emulatedArgs))
	f.op("CMPB (SI), $1")
	f.op("JNE %s", fault)
	f.op("VMOVDQU64 (SI), Z0")
	// Bytes by their place: the palette, rows of up to 64 bytes, up to 16 of them, of 8 tiles.
	f.op("VPCMPUB $6, %s, Z0, K1", f.dwords("config_limits", func(i int) uint32 {
		return map[int]uint32{0: 1, 4: 0x400040, 5: 0x400040, 6: 0x400040, 7: 0x400040, 12: 0x10101010, 13: 0x10101010}[i]
	}))
	f.op("KORTESTQ K1, K1")
	f.op("JNE %s", fault)
	f.op("VMOVDQU 16(SI), X1") // a tile has rows and bytes, or neither
	f.op("VPTESTMW X1, X1, K1")
	f.op("MOVQ 48(SI), X1")
	f.op("VPTESTMB X1, X1, K2")
	f.op("KXORW K1, K2, K1")
	f.op("KORTESTW K1, K1")
	f.op("JNE %s", fault)
	f.op("VMOVDQU64 Z0, %s", block(emulatedConfig))
	f.op("VPXORQ Z0, Z0, Z0")
	for at := 0; at < 8*turnTile; at += amxBytes {
		f.op("VMOVDQU64 Z0, %s", block(emulatedTiles+at))
	}
}

// tileOf is the address of the tile that an argument names, which is configured, with
// its rows in R8 and their bytes in R9. Rows and bytes behind those are zero since the
// tile was configured: nothing writes others.
func (f *file) tileOf(argument int, to, fault string) {
	f.op("CMPB %s, $1", block(emulatedConfig))
	f.op("JNE %s", fault)
	f.op("MOVQ %s, %s", block(emulatedArgs+8*argument), to)
	f.op("MOVBQZX %d(SP)(%s*1), R8", 8+emulatedConfig+48, to)
	f.op("MOVWQZX %d(SP)(%s*2), R9", 8+emulatedConfig+16, to)
	f.op("TESTQ R8, R8")
	f.op("JEQ %s", fault)
	f.op("SHLQ $10, %s", to)
	f.op("LEAQ %d(SP)(%s*1), %s", 8+emulatedTiles, to, to)
}

// eachRow goes over the rows of a tile, at DI, and of memory, at SI; K1 is the
// bytes of a row. The arguments are base, index, displacement and tile.
func (f *file) eachRow(fault string, do func()) {
	f.tileOf(3, "DI", fault)
	f.op("MOVQ %s, SI", block(emulatedArgs))
	f.op("ADDQ %s, SI", block(emulatedArgs+16))
	f.op("MOVQ $-1, AX")
	f.op("BZHIQ R9, AX, AX")
	f.op("KMOVQ AX, K1")
	row := f.label("row")
	f.mark(row)
	do()
	f.op("ADDQ %s, SI", block(emulatedArgs+8))
	f.op("ADDQ $%d, DI", amxBytes)
	f.op("DECQ R8")
	f.op("JNZ %s", row)
}

// emulatedDot sums the products of the pairs' first halves and of their second ones
// apart, adds the two and that to c: without denormals, rounding to nearest, with
// no trace in MXCSR. The arguments are a, b and c.
func (f *file) emulatedDot(fault string) {
	for i, other := range []int{1, 2, 0} {
		f.op("MOVQ %s, AX", block(emulatedArgs+8*i))
		f.op("CMPQ AX, %s", block(emulatedArgs+8*other))
		f.op("JEQ %s", fault)
	}
	f.tileOf(0, "SI", fault)
	f.op("MOVQ R8, R10") // rows
	f.op("MOVQ R9, CX")  // bytes of a row of a
	f.tileOf(1, "DI", fault)
	f.op("MOVQ R8, R11") // pairs to sum
	f.op("MOVQ R9, BX")
	f.op("LEAQ (R8*4), AX")
	f.op("CMPQ AX, CX")
	f.op("JNE %s", fault)
	f.tileOf(2, "DX", fault)
	f.op("CMPQ R8, R10")
	f.op("JNE %s", fault)
	f.op("CMPQ R9, BX")
	f.op("JNE %s", fault)
	f.op("TESTQ $3, R9")
	f.op("JNE %s", fault)
	f.op("SHRQ $2, R9")
	f.op("MOVQ $-1, AX")
	f.op("BZHIQ R9, AX, AX")
	f.op("KMOVQ AX, K1")
	f.op("STMXCSR %s", block(savedMXCSR))
	f.op("MOVL $0x9fc0, %s", block(emulatedMode)) // all exceptions masked, denormals zero both ways
	f.op("LDMXCSR %s", block(emulatedMode))
	f.emulatedRows()
	f.op("LDMXCSR %s", block(savedMXCSR))
}

// emulatedRows goes over R10 rows of a, at SI, and of c, at DX, and R11 of b, at DI.
func (f *file) emulatedRows() {
	high := f.dwords("high_halves", func(int) uint32 { return 0xffff0000 })
	row, pair := f.label("row"), f.label("pair")
	f.mark(row)
	f.op("VPXORQ Z0, Z0, Z0")
	f.op("VPXORQ Z1, Z1, Z1")
	f.op("MOVQ SI, AX")
	f.op("MOVQ DI, BX")
	f.op("MOVQ R11, CX")
	f.mark(pair)
	f.op("VPBROADCASTD (AX), Z2")
	f.op("VMOVDQU32 (BX), Z3")
	f.op("VPSLLD $16, Z2, Z4")
	f.op("VPSLLD $16, Z3, Z5")
	f.op("VFMADD231PS Z5, Z4, Z0")
	f.op("VPANDD %s, Z2, Z4", high)
	f.op("VPANDD %s, Z3, Z5", high)
	f.op("VFMADD231PS Z5, Z4, Z1")
	f.op("ADDQ $4, AX")
	f.op("ADDQ $%d, BX", amxBytes)
	f.op("DECQ CX")
	f.op("JNZ %s", pair)
	f.op("VADDPS Z1, Z0, Z0")
	f.op("VMOVUPS (DX), Z1")
	f.op("VADDPS.Z Z0, Z1, K1, Z0")
	f.op("VMOVUPS Z0, (DX)")
	f.op("ADDQ $%d, SI", amxBytes)
	f.op("ADDQ $%d, DX", amxBytes)
	f.op("DECQ R10")
	f.op("JNZ %s", row)
}
