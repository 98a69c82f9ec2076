package main

// exceeded moves the reference of this item's rows where a score exceeds it too
// far, or is NaN, makes what they have summed relative to it, and the item's weights
// again. The scores are no longer there: they are computed again too.
func (f flash) exceeded(next string) {
	f.op("MOVQ %d(R8), AX", itemSize+itemK)
	f.op("CMPQ AX, %d(R8)", itemSize+itemV)
	f.op("JEQ %s", next) // nothing's item
	f.op("MOVQ %d(R8), AX", itemSize+itemQ)
	f.op("MOVQ %d(R8), BX", itemSize+itemK)
	var jobs []product
	for group := range flashKeys / flashGroup {
		jobs = append(jobs, f.scores(group, partAgain))
	}
	w := weave{file: f.file}
	w.through(jobs)
	f.hide(itemSize, partAgain)
	f.op("MOVQ %d(R8), AX", itemSize+itemRefer)
	f.op("MOVQ %d(R8), DX", itemSize+itemO)
	for half := range 2 {
		f.largest(half)
		f.move(half)
	}
	row := f.label("again")
	f.op("LEAQ %d(DI), AX", partAgain)
	f.op("MOVQ R10, BX")
	f.op("LEAQ %d(DI), CX", partShift)
	f.op("MOVQ $%d, DX", flashRows)
	f.mark(row)
	f.op("VBROADCASTSS (CX), Z8")
	for group := range flashKeys / flashGroup {
		f.weighAt(group)
	}
	f.op("ADDQ $%d, AX", scoreStride)
	f.op("ADDQ $%d, BX", weightStride)
	f.op("ADDQ $4, CX")
	f.op("DECQ DX")
	f.op("JNZ %s", row)
}

// weighAt is 32 weights of the row of scores at AX, to those at BX.
func (f flash) weighAt(group int) {
	f.weigh("AX", 128*group, "BX", 64*group, 2*group, func() {})
}

// largest leaves the largest scores of 16 rows in register 16, and NaN where
// there is one.
func (f flash) largest(half int) {
	f.op("XORQ BX, BX")
	for r := 15; r >= 0; r-- {
		row := partAgain + (16*half+r)*scoreStride
		f.op("VMOVUPS %d(DI), Z%d", row, 16+r)
		f.op("VCMPPS $7, Z%d, Z%d, K2", 16+r, 16+r) // ordered
		for at := 64; at < scoreStride; at += 64 {
			f.op("VMOVUPS %d(DI), Z0", row+at)
			f.op("VCMPPS $7, Z0, Z0, K2, K2")
			f.op("VMAXPS Z0, Z%d, Z%d", 16+r, 16+r)
		}
		f.op("KORTESTW K2, K2")
		f.op("ADCL BX, BX") // a bit for each row of numbers alone
	}
	f.op("NOTL BX")
	f.op("KMOVW BX, K3")
	// Each level joins two registers, half of whose elements go.
	for level, low := range []string{"VSHUFF64X2 $0x44", "VSHUFF32X4 $0x88", "VSHUFPS $0x44", "VSHUFPS $0x88"} {
		high := []string{"VSHUFF64X2 $0xee", "VSHUFF32X4 $0xdd", "VSHUFPS $0xee", "VSHUFPS $0xdd"}[level]
		n := 8 >> level
		for i := range n {
			f.op("%s, Z%d, Z%d, Z0", low, 16+i+n, 16+i)
			f.op("%s, Z%d, Z%d, Z1", high, 16+i+n, 16+i)
			f.op("VMAXPS Z0, Z1, Z%d", 16+i)
		}
	}
	order := [16]uint32{}
	for p := range 16 {
		row := []int{0, 8, 4, 12}[p/4] + []int{0, 2, 1, 3}[p%4]
		order[row] = uint32(p)
	}
	f.op("VMOVUPS %s, Z0", f.dwords("rows", func(i int) uint32 { return order[i] }))
	f.op("VPERMPS Z16, Z0, Z16")
	f.op("VMOVUPS %s, K3, Z16", f.dwords("nan", func(int) uint32 { return 0x7fc00000 }))
}

// move makes the references of 16 rows, their shifts, and what the rows have
// summed relative to them.
func (f flash) move(half int) {
	same, row := f.label("same"), f.label("row")
	f.op("VMOVUPS %d(AX), Z17", 64*half) // the reference before
	f.op("VMOVUPS %d(DI), Z19", partShift+64*half)
	f.op("VFMADD231PS Z16, Z%d, Z19", zLog)
	f.op("VCMPPS $4, Z%d, Z16, K2", zLowest) // sees a key
	f.op("VCMPPS $5, Z%d, Z19, K2, K2", zLimit)
	f.op("VCMPPS $7, Z17, Z17, K2, K2") // what is NaN stays it
	f.op("KTESTW K2, K2")
	f.op("JEQ %s", same)
	f.op("VMOVAPS Z17, Z18")
	f.op("VMOVAPS Z16, K2, Z18")
	f.op("VMOVUPS Z18, %d(AX)", 64*half)
	f.op("VMOVUPS %s, Z19", f.wide(weightOfRefer))
	f.op("VFNMADD231PS Z%d, Z18, Z19", zLog)
	f.op("VMOVUPS Z19, %d(DI)", partShift+64*half)
	f.op("VSUBPS Z18, Z17, Z17")
	f.op("VMULPS Z%d, Z17, Z17", zLog)
	f.op("VMULPS %s, Z17, Z17", f.wide(1.0/512))
	f.op("VMAXPS %s, Z17, Z17", f.wide(-200)) // 2^-200 is 0
	f.op("VRNDSCALEPS $0, Z17, Z18")
	f.op("VSUBPS Z18, Z17, Z17")
	f.op("VMOVUPS %s, Z19", f.wide(series(7)))
	for i := 6; i >= 0; i-- {
		f.op("VFMADD213PS %s, Z17, Z19", f.wide(series(i)))
	}
	f.op("VSCALEFPS Z18, Z19, Z19")
	f.op("VMOVUPS Z19, %d(DI)", partShrink)
	f.op("KMOVW K2, CX")
	f.mark(row)
	f.op("TZCNTL CX, BX")
	f.op("VBROADCASTSS %d(DI)(BX*4), Z0", partShrink)
	f.op("IMUL3Q $%d, BX, BX", f.outStride())
	for at := 0; at < f.outStride(); at += 64 {
		f.op("VMULPS %d(DX)(BX*1), Z0, Z1", at+16*half*f.outStride())
		f.op("VMOVUPS Z1, %d(DX)(BX*1)", at+16*half*f.outStride())
	}
	f.op("BLSRL CX, CX")
	f.op("JNZ %s", row)
	f.mark(same)
}
