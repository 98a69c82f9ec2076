package main

import "fmt"

// A panel of a left side under a mask: each of its words is a vector, a lane for each row,
// and masks, which lie across as the panel does, a lane for each row too. What the vectors
// are wide beyond the rows is written over by the next word.

var keepPanelArgs = []arg{{"y", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"masks", "unsafe.Pointer"}, {"row", "int"}, {"words", "int"}}

const (
	panelMasks = 0 // of a step, and of its first and second half in pairs
	panelKept  = 3 // of 3 registers that words pass through
	panelHalf  = 6 // where the shuffles lie that pairs of halves are made with
	panelBits  = 8 // the bits of the elements of a word, of pairs
)

func emitKeepPanel(f *file) {
	f.keepPanel("keepPanelF32", "float32", maskWord, func() {}, func() {}, func(word int) {
		bits := f.dwords(fmt.Sprintf("panel_bits%d", word/16), func(i int) uint32 { return 1 << (word/16*16 + i) })
		f.op("VPTESTMD.BCST %s, Z%d, K%d", offset(bits, 4*(word%16)), panelMasks, 1+word%4)
		f.op("VMOVUPS.Z (SI), K%d, Z%d", 1+word%4, panelKept+word%3)
	})
	f.keepPanel("keepPanelBF16", "pairs of bfloat16", maskWord/2, f.pairMasks, f.pairHalves, func(word int) {
		f.op("VPTESTMW Z%d, Z%d, K%d", panelBits+word%8, panelMasks+1+word/8, 1+word%4)
		f.op("VMOVDQU16.Z (SI), K%d, Z%d", 1+word%4, panelKept+word%3)
	})
}

// keepPanel goes over the steps of a panel, so many words for each word of the masks.
func (f *file) keepPanel(name, of string, words int, constants, masks func(), keep func(word int)) {
	fr := f.function(name, "is y = x where the mask has a 1, else 0, for words of panels of rows of "+of+", row bytes for each; masks is 16 lanes of the rows' words of 32 elements, one behind the other. It writes 64 bytes for each word.", keepPanelArgs, nil)
	for _, m := range [][2]string{{"y", "DI"}, {"x", "SI"}, {"masks", "DX"}, {"row", "BX"}, {"words", "CX"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	constants()
	step, done := f.label("step"), f.label("done")
	f.mark(step)
	f.op("VMOVDQU32 (DX), Z%d", panelMasks)
	f.op("ADDQ $64, DX")
	masks()
	for word := range words {
		keep(word)
		f.op("VMOVUPS Z%d, (DI)", panelKept+word%3)
		f.op("ADDQ BX, SI")
		f.op("ADDQ BX, DI")
		f.op("DECQ CX")
		f.op("JEQ %s", done)
	}
	f.op("JMP %s", step)
	f.mark(done)
	f.ret()
}

// pairMasks loads what pairs of bits become masks of pairs with.
func (f *file) pairMasks() {
	for i := range 2 {
		f.op("VMOVDQU32 %s, Z%d", f.dwords(fmt.Sprintf("panel_half%d", i), func(lane int) uint32 { return 0x01000100 + uint32(4*(lane%4)+2*i)*0x01010101 }), panelHalf+i)
	}
	for i := range 8 {
		f.op("VMOVDQU32 %s, Z%d", f.dwords(fmt.Sprintf("panel_pair%d", i), func(int) uint32 { return 1<<(2*i) | 1<<(2*i+1+16) }), panelBits+i)
	}
}

// pairHalves brings each half of the masks to both halves of its lane.
func (f *file) pairHalves() {
	for i := range 2 {
		f.op("VPSHUFB Z%d, Z%d, Z%d", panelHalf+i, panelMasks, panelMasks+1+i)
	}
}

// offset is an address behind the beginning of a symbol.
func offset(symbol string, bytes int) string {
	return fmt.Sprintf("%s+%d(SB)", symbol[:len(symbol)-len("(SB)")], bytes)
}
