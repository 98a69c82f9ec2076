package main

import "fmt"

// Attention's weights of AVX512_BF16, for rows of queries. What goes to them and what comes
// from them lies in the first cache: the products before and behind are tiles of the same rows.

const (
	zShift       = 30 // what the scores of a row are relative to
	zRowScale    = 31
	weighSeen    = 0 // fields of package kern's WeighRow
	weighLargest = 8
	weighSum     = 12
	weighSize    = 16
)

// emitWeighRows first raises the largest score of all rows, whose sums of lanes can overlap,
// then makes the weights.
func emitWeighRows(f *file) {
	fr := f.function("weighRows", "turns n rows of scores, rowBytes apart, into weights in bfloat16 in their place, with zeros up to element fill, as rows, package kern's WeighRow, say.",
		[]arg{{"scores", "unsafe.Pointer"}, {"rowBytes", "int"}, {"rows", "unsafe.Pointer"}, {"n", "int"}, {"fill", "int"}, {"scale", "float32"}}, nil)
	e := &emitter{f: f, isa: avx512, frame: fr, base: map[string]string{"x": "DI", "y": "DI"}}
	weights := e.render(e.weights)
	for i, load := range e.held {
		f.op(load, firstHeld+i)
	}
	f.op("MOVQ %s, R10", fr.slot("rowBytes"))
	f.op("VBROADCASTSS %s, Z%d", fr.slot("scale"), zRowScale)
	e.overQueries(func() {
		e.of(largest())
		e.join(0)
		f.op("VMULSS X%d, X%d, X%[2]d", zRowScale, firstAccumulator)
		f.op("VMAXSS %d(R12), X%d, X%[2]d", weighLargest, firstAccumulator) // NaN: the old one
		f.op("VMOVSS X%d, %d(R12)", firstAccumulator, weighLargest)
	})
	f.op("MOVQ %s, R8", fr.slot("fill"))
	e.overQueries(func() { f.text.Write(weights) })
	f.ret()
}

// overQueries runs body for each row, in DI and R12.
func (e *emitter) overQueries(body func()) {
	f, row := e.f, e.f.label("row")
	for _, m := range [][2]string{{"scores", "DI"}, {"rows", "R12"}, {"n", "R13"}} {
		f.op("MOVQ %s, %s", e.frame.slot(m[0]), m[1])
	}
	f.mark(row)
	f.op("MOVQ %d(R12), CX", weighSeen)
	f.op("XORQ AX, AX")
	body()
	f.op("ADDQ R10, DI")
	f.op("ADDQ $%d, R12", weighSize)
	f.op("DECQ R13")
	f.op("JNZ %s", row)
}

// of runs the loops of a vector function.
func (e *emitter) of(v vector) {
	e.v, e.tail, e.ahead = v, false, 0
	e.clearAccumulators()
	e.loops()
}

// weights is a row's weights and their sum, with the bits of expSum's.
func (e *emitter) weights() {
	f := e.f
	f.op("VBROADCASTSS %d(R12), Z%d", weighLargest, zShift)
	e.of(vector{half: []string{"y"}, results: []string{"sum"}, join: "VADDPS", unroll: 4, body: func(e *emitter, u int) {
		e.load("x", 0)
		e.op("VMULPS", zRowScale, 0, 0)
		e.op("VSUBPS", zShift, 0, 0)
		e.exp(0)
		e.zeroRest(0)
		e.op("VADDPS", 0, e.accumulator(0, u), e.accumulator(0, u))
		e.store(0, "y") // the rest too
	}})
	e.to = fmt.Sprintf("%d(R12)", weighSum)
	e.finish()
	zeros, filled := f.label("zeros"), f.label("filled")
	f.op("LEAQ 15(AX)(CX*1), AX")
	f.op("ANDQ $-16, AX")
	f.op("VPXORQ Z0, Z0, Z0")
	f.mark(zeros)
	f.op("CMPQ AX, R8")
	f.op("JGE %s", filled)
	f.op("VMOVUPS Y0, (DI)(AX*2)")
	f.op("ADDQ $16, AX")
	f.op("JMP %s", zeros)
	f.mark(filled)
}

// emitGradPairs takes rows two by two: sums over rows read their words, those over keys the
// rows themselves.
func emitGradPairs(f *file) {
	fr := f.function("gradPairs", "turns pairs of rows of scores and of do v', rowBytes apart, into words of two rows, p and ds, as far apart, and the rows of do v' into ds in bfloat16 in their place, as rows, package kern's GradRow, say. Behind the keys that a pair sees come zeros, at least 16.",
		[]arg{{"s", "unsafe.Pointer"}, {"dp", "unsafe.Pointer"}, {"p", "unsafe.Pointer"}, {"ds", "unsafe.Pointer"}, {"rowBytes", "int"}, {"rows", "unsafe.Pointer"}, {"pairs", "int"}, {"scale", "float32"}}, nil)
	e := &emitter{f: f, isa: avx512, frame: fr}
	pair := e.render(e.gradPair)
	for i, load := range e.held {
		f.op(load, firstHeld+i)
	}
	for _, m := range [][2]string{{"s", "DI"}, {"dp", "DX"}, {"p", "R8"}, {"ds", "R9"}, {"rowBytes", "R10"}, {"rows", "R12"}, {"pairs", "R13"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("VBROADCASTSS %s, Z%d", fr.slot("scale"), zRowScale)
	f.op("VMOVUPS %s, Z%d", f.dwords("interleave", func(i int) uint32 { return uint32(i) | uint32(16+i)<<16 }), zPairOrder)
	f.op("VMOVUPS %s, Z%d", f.dwords("counting", func(i int) uint32 { return uint32(i) }), zPairKeys)
	f.op("LEAQ (DI)(R10*1), SI")
	f.op("LEAQ (DX)(R10*1), BX")
	row := f.label("pair")
	f.mark(row)
	f.text.Write(pair)
	for _, r := range []string{"DI", "SI", "DX", "BX"} {
		f.op("LEAQ (%s)(R10*2), %s", r, r)
	}
	f.op("ADDQ R10, R8")
	f.op("ADDQ R10, R9")
	f.op("ADDQ $%d, R12", 2*weighSize)
	f.op("DECQ R13")
	f.op("JNZ %s", row)
	f.ret()
}

// Registers of a pair: weights in 0 and 1, ds in 2 and 3.
const (
	zPairSeen  = 6 // of two rows
	zPairLSE   = 8
	zPairKeys  = 10 // 0 to 15
	zPairFirst = 14 // keys of a step
	zPairDelta = 28 // of two rows
	zPairOrder = 15
)

func (e *emitter) gradPair() {
	f := e.f
	for row := range 2 {
		f.op("MOVQ %d(R12), %s", row*weighSize+weighSeen, []string{"CX", "R11"}[row])
		f.op("VPBROADCASTD %s, Z%d", []string{"CX", "R11"}[row], zPairSeen+row)
		f.op("VBROADCASTSS %d(R12), Z%d", row*weighSize+weighLargest, zPairLSE+row)
		f.op("VBROADCASTSS %d(R12), Z%d", row*weighSize+weighSum, zPairDelta+row)
	}
	whole, some, part, seen := f.label("whole"), f.label("some"), f.label("part"), f.label("seen")
	f.op("MOVQ CX, R14") // the fewer
	f.op("CMPQ R11, R14")
	f.op("CMOVQLT R11, R14")
	f.op("CMPQ R11, CX")
	f.op("CMOVQGT R11, CX") // the more
	f.op("XORQ AX, AX")
	f.op("SUBQ $16, R14")
	f.op("JLT %s", some)
	f.mark(whole)
	e.gradStep(false)
	f.op("ADDQ $16, AX")
	f.op("CMPQ AX, R14")
	f.op("JLE %s", whole)
	f.mark(some)
	f.op("CMPQ AX, CX")
	f.op("JGE %s", seen)
	f.mark(part)
	e.gradStep(true)
	f.op("ADDQ $16, AX")
	f.op("CMPQ AX, CX")
	f.op("JLT %s", part)
	f.mark(seen)
	f.op("VPXORQ Z0, Z0, Z0")
	for _, at := range []string{"(DX)(AX*2)", "(BX)(AX*2)"} {
		f.op("VMOVUPS Y0, %s", at)
	}
	for _, at := range []string{"(R8)(AX*4)", "(R9)(AX*4)"} {
		f.op("VMOVUPS Z0, %s", at)
	}
}

// gradStep is 16 keys of two rows, with masked 0 where a row does not see one. The bits are
// those of expSum and softmaxGrad, rounded.
func (e *emitter) gradStep(masked bool) {
	f, zero := e.f, [2]string{}
	if masked {
		f.op("VPBROADCASTD AX, Z%d", zPairFirst)
		f.op("VPADDD Z%d, Z%d, Z%[2]d", zPairKeys, zPairFirst)
		for row := range 2 {
			f.op("VPCMPD $6, Z%d, Z%d, K%d", zPairFirst, zPairSeen+row, 1+row) // seen > key
			zero[row] = fmt.Sprintf("K%d, ", 1+row)
		}
	}
	for row, at := range []string{"(DI)(AX*4)", "(SI)(AX*4)"} {
		f.op("VMULPS %s, Z%d, Z%d", at, zRowScale, row)
		f.op("VSUBPS Z%d, Z%d, Z%[2]d", zPairLSE+row, row)
		e.exp(row)
		if masked {
			f.op("VMOVAPS.Z Z%d, %sZ%[1]d", row, zero[row])
		}
	}
	multiply := "VMULPS"
	if masked {
		multiply = "VMULPS.Z"
	}
	for row, at := range []string{"(DX)(AX*4)", "(BX)(AX*4)"} {
		f.op("VMOVUPS %s, Z%d", at, 2+row)
		f.op("VSUBPS Z%d, Z%d, Z%[2]d", zPairDelta+row, 2+row)
		f.op("VMULPS Z%d, Z%d, Z4", zRowScale, row)
		f.op("%s Z4, Z%d, %sZ%[2]d", multiply, 2+row, zero[row])
	}
	f.convertTwo(0, 1, 4)
	f.op("VPERMW Z4, Z%d, Z4", zPairOrder)
	f.op("VMOVUPS Z4, (R8)(AX*4)")
	f.convertTwo(2, 3, 4)
	f.op("VMOVUPS Y4, (DX)(AX*2)")
	f.op("VEXTRACTF64X4 $1, Z4, (BX)(AX*2)")
	f.op("VPERMW Z4, Z%d, Z4", zPairOrder)
	f.op("VMOVUPS Z4, (R9)(AX*4)")
}
