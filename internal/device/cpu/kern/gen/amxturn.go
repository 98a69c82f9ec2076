package main

import "fmt"

// Turned panels: 32 rows of 32 bfloat16 of a left side, one step of it, become two
// tiles of their pairs along the rows. Unpacking 4 columns of each 8 at a time is
// cheap; it leaves the columns in the order
//
//	0-3, 8-11, 16-19, 24-27 and 4-7, 12-15, 20-23, 28-31
//
// of two tiles, which holds for the sums as well until they are put in order.
const (
	turnSteps = 2 // of a left side at a time: four accumulators
	turnTile  = amxRows * amxBytes
)

// amxTurn sums over panels of a left side: b is two steps of each. The rows of
// a panel are joined in the first cache one panel ahead of the tiles.
func amxTurn(f *file) {
	const masked = "is %s where the mask of b's elements has a 1; its rows are maskRow bytes apart."
	turn(f, "amxTurn", "is c = a b, or c += a b, for the pairs of rows of panels of a left side, bNext bytes apart, of which b is two steps of 32 rows; c is four tiles of 16 rows of 64 bytes, their columns as amxTurn leaves them; work is 8 KiB.", (*file).turnJoin)
	turn(f, "amxTurnKept", fmt.Sprintf(masked, "amxTurn"), (*file).turnJoinKept, "mask", "maskRow")
	turn(f, "amxTurnRows", "is amxTurn for plain rows of bfloat16, bRow bytes apart, 32 of which are taken at a time, bNext bytes; b is 64 columns of them.", (*file).rowsJoin, "bRow")
	turn(f, "amxTurnRowsKept", fmt.Sprintf(masked, "amxTurnRows"), (*file).rowsJoinKept, "bRow", "mask", "maskRow")
}

// turnRegisters hold what some of the forms take besides.
var turnRegisters = map[string]string{"bRow": "BX", "mask": "AX", "maskRow": "R14"}

// turn is the code of all: join brings 32 rows into the order of tiles.
func turn(f *file, name, does string, join func(f *file, to string), more ...string) {
	args := []arg{{"config", "unsafe.Pointer"}, {"panels", "int"}, {"a", "unsafe.Pointer"}, {"aStep", "int"}, {"b", "unsafe.Pointer"}, {"bNext", "int"}, {"c", "unsafe.Pointer"}, {"add", "int"}, {"work", "unsafe.Pointer"}}
	for _, m := range more {
		args = append(args, arg{m, map[bool]string{true: "unsafe.Pointer", false: "int"}[m == "mask"]})
	}
	fr := f.function(name, does, args, nil)
	for _, m := range [][2]string{{"config", "AX"}, {"panels", "CX"}, {"a", "DI"}, {"aStep", "R9"}, {"b", "SI"}, {"bNext", "R10"}, {"c", "DX"}, {"work", "R11"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.loadConfig("AX")
	for _, m := range more {
		f.op("MOVQ %s, %s", fr.slot(m), turnRegisters[m])
	}
	f.op("MOVQ $%d, R8", amxBytes)
	f.op("LEAQ %d(R11), R12", 2*turnSteps*turnTile)
	loop, last, begin := f.label("panel"), f.label("last"), f.label("begin")
	for t := range 2 * turnSteps {
		f.zeroTile(t)
	}
	f.op("CMPQ %s, $0", fr.slot("add"))
	f.op("JEQ %s", begin)
	for t := range 2 * turnSteps {
		f.loadTile("DX", "R8", t*turnTile, t)
	}
	f.mark(begin)
	join(f, "R11")
	f.mark(loop)
	f.op("ADDQ R10, SI")
	f.op("DECQ CX")
	f.op("JEQ %s", last)
	join(f, "R12")
	f.turnMultiply("R11")
	f.op("XCHGQ R11, R12")
	f.op("JMP %s", loop)
	f.mark(last)
	f.turnMultiply("R11")
	for t := range 2 * turnSteps {
		f.storeTileAt(t, "DX", "R8", t*turnTile)
	}
	f.releaseTiles()
	f.ret()
}

// turnJoin writes the tiles of a panel's steps, and brings the next panel's in.
func (f *file) turnJoin(to string) {
	for step := range turnSteps {
		for pair := range amxRows {
			from, at := (step*amxRows+pair)*2*amxBytes, step*2*turnTile+pair*amxBytes
			f.op("PREFETCHT0 %d(SI)(R10*1)", from)
			f.op("PREFETCHT0 %d(SI)(R10*1)", from+amxBytes)
			f.op("VMOVDQU32 %d(SI), Z0", from)
			f.op("VMOVDQU32 %d(SI), Z1", from+amxBytes)
			f.op("VPUNPCKLWD Z1, Z0, Z2")
			f.op("VPUNPCKHWD Z1, Z0, Z3")
			f.op("VMOVDQU32 Z2, %d(%s)", at, to)
			f.op("VMOVDQU32 Z3, %d(%s)", at+turnTile, to)
		}
	}
}

// rowsJoin is turnJoin for plain rows: R13 and R15 are a pair of them.
func (f *file) rowsJoin(to string) {
	f.op("MOVQ SI, R13")
	for pair := range amxRows {
		f.op("LEAQ (R13)(BX*1), R15")
		for step := range turnSteps {
			from, at := step*amxBytes, step*2*turnTile+pair*amxBytes
			f.op("PREFETCHT0 %d(R13)(R10*1)", from)
			f.op("PREFETCHT0 %d(R15)(R10*1)", from)
			f.op("VMOVDQU32 %d(R13), Z0", from)
			f.op("VMOVDQU32 %d(R15), Z1", from)
			f.op("VPUNPCKLWD Z1, Z0, Z2")
			f.op("VPUNPCKHWD Z1, Z0, Z3")
			f.op("VMOVDQU32 Z2, %d(%s)", at, to)
			f.op("VMOVDQU32 Z3, %d(%s)", at+turnTile, to)
		}
		f.op("LEAQ (R15)(BX*1), R13")
	}
}

// turnJoinKept is turnJoin under a mask, whose rows it goes along.
func (f *file) turnJoinKept(to string) {
	for pair := range amxRows {
		for step := range turnSteps {
			from, at := (step*amxRows+pair)*2*amxBytes, step*2*turnTile+pair*amxBytes
			f.op("PREFETCHT0 %d(SI)(R10*1)", from)
			f.op("PREFETCHT0 %d(SI)(R10*1)", from+amxBytes)
			f.joinKept(step, fmt.Sprintf("%d(SI)", from), fmt.Sprintf("%d(SI)", from+amxBytes), at, to)
		}
		f.op("LEAQ (AX)(R14*2), AX")
	}
}

// rowsJoinKept is rowsJoin under a mask.
func (f *file) rowsJoinKept(to string) {
	f.op("MOVQ SI, R13")
	for pair := range amxRows {
		f.op("LEAQ (R13)(BX*1), R15")
		for step := range turnSteps {
			from, at := step*amxBytes, step*2*turnTile+pair*amxBytes
			f.op("PREFETCHT0 %d(R13)(R10*1)", from)
			f.op("PREFETCHT0 %d(R15)(R10*1)", from)
			f.joinKept(step, fmt.Sprintf("%d(R13)", from), fmt.Sprintf("%d(R15)", from), at, to)
		}
		f.op("LEAQ (R15)(BX*1), R13")
		f.op("LEAQ (AX)(R14*2), AX")
	}
}

// joinKept joins a pair of rows of a step.
func (f *file) joinKept(step int, first, second string, at int, to string) {
	f.op("KMOVD %d(AX), K1", 4*step)
	f.op("KMOVD %d(AX)(R14*1), K2", 4*step)
	f.op("VMOVDQU16.Z %s, K1, Z0", first)
	f.op("VMOVDQU16.Z %s, K2, Z1", second)
	f.op("VPUNPCKLWD Z1, Z0, Z2")
	f.op("VPUNPCKHWD Z1, Z0, Z3")
	f.op("VMOVDQU32 Z2, %d(%s)", at, to)
	f.op("VMOVDQU32 Z3, %d(%s)", at+turnTile, to)
}

func (f *file) turnMultiply(from string) {
	f.loadTile("DI", "R8", 0, 4)
	for t := range 2 * turnSteps {
		b := 5 + t%3
		f.loadTile(from, "R8", t*turnTile, b)
		f.dotTiles(4, b, t)
	}
	f.op("ADDQ R9, DI")
}

// turnedColumns are the columns of the two tiles of a step.
func turnedColumn(tile, i int) int { return i/4*8 + tile*4 + i%4 }

// amxTurned brings sums in order, and amxUnturned the other way.
func amxTurned(f *file) {
	args := []arg{{"c", "unsafe.Pointer"}, {"ldc", "int"}, {"t", "unsafe.Pointer"}, {"rows", "int"}, {"alpha", "float32"}, {"add", "int"}}
	fr := f.function("turnedOut", "is c = alpha t, or c += alpha t, for rows of 64 float32 and tiles t as amxTurn leaves them.", args, nil)
	f.loadTurned(fr)
	f.op("VBROADCASTSS %s, Z8", fr.slot("alpha"))
	f.op("MOVQ %s, AX", fr.slot("add"))
	row := f.label("row")
	for half := range 2 {
		f.op("VMOVDQU32 %s, Z%d", f.dwords(fmt.Sprintf("turned_%d", half), func(i int) uint32 {
			column := 16*half + i
			return uint32(column/4%2*16 + column/8*4 + column%4)
		}), 6+half)
	}
	f.mark(row)
	for step := range turnSteps {
		f.op("VMULPS %d(SI), Z8, Z0", step*2*turnTile)
		f.op("VMULPS %d(SI), Z8, Z1", step*2*turnTile+turnTile)
		f.op("VMOVAPS Z0, Z2")
		f.op("VPERMT2PS Z1, Z6, Z0")
		f.op("VPERMT2PS Z1, Z7, Z2")
		store := f.label("store")
		f.op("TESTQ AX, AX")
		f.op("JEQ %s", store)
		f.op("VADDPS %d(DX), Z0, Z0", 128*step)
		f.op("VADDPS %d(DX), Z2, Z2", 128*step+64)
		f.mark(store)
		f.op("VMOVUPS Z0, %d(DX)", 128*step)
		f.op("VMOVUPS Z2, %d(DX)", 128*step+64)
	}
	f.nextTurned(row)
	fr = f.function("turnedIn", "brings rows of 64 float32 into the tiles t.", args[:4], nil)
	f.loadTurned(fr)
	row = f.label("row")
	for half := range 2 {
		f.op("VMOVDQU32 %s, Z%d", f.dwords(fmt.Sprintf("unturned_%d", half), func(i int) uint32 { return uint32(turnedColumn(half, i)) }), 6+half)
	}
	f.mark(row)
	for step := range turnSteps {
		f.op("VMOVUPS %d(DX), Z0", 128*step)
		f.op("VMOVUPS %d(DX), Z1", 128*step+64)
		f.op("VMOVAPS Z0, Z2")
		f.op("VPERMT2PS Z1, Z6, Z0")
		f.op("VPERMT2PS Z1, Z7, Z2")
		f.op("VMOVUPS Z0, %d(SI)", step*2*turnTile)
		f.op("VMOVUPS Z2, %d(SI)", step*2*turnTile+turnTile)
	}
	f.nextTurned(row)
}

func (f *file) loadTurned(fr frame) {
	for _, m := range [][2]string{{"c", "DX"}, {"ldc", "BX"}, {"t", "SI"}, {"rows", "CX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
}

// nextTurned ends the loop over rows, and the function.
func (f *file) nextTurned(row string) {
	f.op("ADDQ $%d, SI", amxBytes)
	f.op("ADDQ BX, DX")
	f.op("DECQ CX")
	f.op("JNZ %s", row)
	f.ret()
}
