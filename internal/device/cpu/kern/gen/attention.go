package main

import (
	"fmt"
	"math"
)

// Attention's forward pass on AMX goes over items: 32 rows of queries against
// up to 128 keys. A stage does three of them at once: the scores of the next, the
// weights of this one, the sums of the last, so that the tiles multiply while
// the vectors exponentiate.
//
// A weight is rounded to bfloat16 at once, in integers: z = 512 (127 + (s-m) log2 e)
// as a word of 16 bits has the bits of 2^(z/512-127) but for those of
// its fraction f, where 1+f stands for 2^f; a table of 64 entries takes the difference
// off. The error stays within 0.005 of the weight (bfloat16's own is 0.0039) and
// within 0.0018 in the mean of squares (0.0017).

const (
	flashRows    = 32
	flashKeys    = 64 // of an item
	flashGroup   = 32 // keys of a step of the sums
	scoreStride  = 4 * flashKeys
	weightStride = 2 * flashKeys
	sumCols      = 16 // behind the columns of the output: the sum of the weights

	// weightOne is the word of weight 1, and weightRound what rounds it to nearest.
	weightOne   = 127 * 512
	weightRound = 2.25

	// The halves of the workspace: scores and weights of an item, the shift and the
	// shrinking of each row, a mask of the rows that shrink.
	partScores  = 0
	partWeights = partScores + flashRows*scoreStride
	partShift   = partWeights + flashRows*weightStride
	partShrink  = partShift + 4*flashRows
	partChanged = partShrink + 4*flashRows
	partSize    = partChanged + 64

	// An item's fields, package kern's FlashItem.
	itemQ, itemK, itemV, itemO, itemLargest, itemSeen, itemSize = 0, 8, 16, 24, 32, 40, 48
)

// Registers: DI the half of this item, SI that of the last and the next, R8 the
// items, R9 the stages left; AX and BX the next item's q and k, CX and DX the last
// one's o and v; R12 to R15 the distances of rows of o, q, panels and scores.
const (
	zLog    = 9 // 512 log2(e) scale
	zTable  = 10
	zLowest = 11
	zKeys   = 12 // the keys of a group's first 16 columns, and of the others
	zNext   = 14
)

func emitAttention(f *file) {
	for _, d := range []int{64, 128} {
		flash{f, d}.stages()
	}
	emitFlashFinish(f)
}

type flash struct {
	*file
	d int // columns of a head
}

func (f flash) outStride() int { return 4 * (f.d + sumCols) }

// corrections is what the bits of 1+f have too much, by the first 6 bits of the
// word's fraction, and weighs what follows so that the mean square of the
// rounded weight's relative error is least.
func corrections() (table [64]byte) {
	for j := range table {
		best := math.Inf(1)
		for c := range 64 {
			var sum float64
			for k := range 8 {
				for _, d := range []float64{-0.4, -0.2, 0, 0.2, 0.4} {
					want := math.Exp2((float64(8*j+k) + d - weightRound) / 512)
					mantissa := float64((8*j + k - c) >> 2)
					got := 1 + mantissa/128
					if mantissa < 0 {
						got = 1 + mantissa/256
					}
					sum += (got/want - 1) * (got/want - 1)
				}
			}
			if sum < best {
				best, table[j] = sum, byte(c)
			}
		}
	}
	return table
}

func (f flash) stages() {
	fr := f.function(fmt.Sprintf("flash%d", f.d), fmt.Sprintf("goes over stages of attention with heads of %d columns; scale is 512 log2(e) times that of the scores.", f.d),
		[]arg{{"config", "unsafe.Pointer"}, {"items", "unsafe.Pointer"}, {"stages", "int"}, {"work", "unsafe.Pointer"}, {"scale", "float32"}}, nil)
	for _, m := range [][2]string{{"config", "AX"}, {"items", "R8"}, {"stages", "R9"}, {"work", "DI"}} {
		f.op("MOVQ %s, %s", fr.slot(m[0]), m[1])
	}
	f.op("LEAQ %d(DI), SI", partSize)
	f.op("VBROADCASTSS %s, Z%d", fr.slot("scale"), zLog)
	f.loadConfig("AX")
	f.constants()
	for _, m := range []struct {
		stride   int
		register string
	}{{amxBytes, "R13"}, {panelStride, "R14"}, {scoreStride, "R15"}, {f.outStride(), "R12"}} {
		f.op("MOVQ $%d, %s", m.stride, m.register)
	}
	stage := f.label("stage")
	f.mark(stage)
	f.shrink()
	for _, m := range []struct {
		field    int
		register string
	}{{2*itemSize + itemQ, "AX"}, {2*itemSize + itemK, "BX"}, {itemO, "CX"}, {itemV, "DX"}} {
		f.op("MOVQ %d(R8), %s", m.field, m.register)
	}
	f.products()
	f.hide()
	f.reference()
	f.op("XCHGQ DI, SI")
	f.op("ADDQ $%d, R8", itemSize)
	f.op("DECQ R9")
	f.op("JNZ %s", stage)
	f.releaseTiles()
	f.ret()
}

func (f flash) constants() {
	table := corrections()
	f.op("VMOVUPS %s, Z%d", f.dwords("corrections", func(i int) uint32 {
		return uint32(table[4*i]) | uint32(table[4*i+1])<<8 | uint32(table[4*i+2])<<16 | uint32(table[4*i+3])<<24
	}), zTable)
	f.op("VMOVUPS %s, Z%d", f.wide(math.Inf(-1)), zLowest)
	// Packing two registers of 16 scores to one of 32 words takes four of each in
	// turn: the columns of keys are such that the words are in order.
	f.op("VMOVUPS %s, Z%d", f.dwords("keys", func(i int) uint32 { return uint32(i/4*8 + i%4) }), zKeys)
	f.op("VMOVUPS %s, Z%d", f.dwords("keys_high", func(i int) uint32 { return uint32(i/4*8 + i%4 + 4) }), zKeys+1)
	f.op("VPBROADCASTD %s, Z%d", f.dwords("group", func(int) uint32 { return flashGroup }), zNext)
	f.op("MOVQ $0x5555555555555555, AX")
	f.op("KMOVQ AX, K1")
}

// shrink makes what the last item's rows have summed relative to their new
// largest score.
func (f flash) shrink() {
	row, done := f.label("row"), f.label("kept")
	f.op("MOVL %d(SI), CX", partChanged)
	f.op("TESTL CX, CX")
	f.op("JEQ %s", done)
	f.op("MOVQ %d(R8), AX", itemO)
	f.mark(row)
	f.op("TZCNTL CX, DX")
	f.op("VBROADCASTSS %d(SI)(DX*4), Z0", partShrink)
	f.op("IMUL3Q $%d, DX, BX", f.outStride())
	for at := 0; at < f.outStride(); at += 64 {
		f.op("VMULPS %d(AX)(BX*1), Z0, Z1", at)
		f.op("VMOVUPS Z1, %d(AX)(BX*1)", at)
	}
	f.op("BLSRL CX, CX")
	f.op("JNZ %s", row)
	f.mark(done)
}

// product is a product of tiles: two accumulators t and t+1 that begin fills,
// steps of two TDPBF16PS each, and end, which stores them.
type product struct {
	begin, end func(t int)
	steps      []func(t int)
}

// products does the tiles' work of a stage. A product's end comes behind the steps of
// the next one, when it is done.
func (f flash) products() {
	all := f.jobs()
	slots := 0
	for _, p := range all {
		slots += len(p.steps)
	}
	row, slot := 0, 0
	for i, p := range all {
		t := 2 * (i % 2)
		p.begin(t)
		for _, step := range p.steps {
			step(t)
			slot++
			for ; row*slots < flashRows*slot; row++ {
				f.weights(row)
			}
		}
		if i > 0 {
			all[i-1].end(2 - t)
		}
	}
	all[len(all)-1].end(2 * ((len(all) - 1) % 2))
}

// jobs is the products, those of scores and of sums in turn.
func (f flash) jobs() []product {
	var scores, sums, all []product
	for group := range flashKeys / flashGroup {
		for half := range 2 {
			scores = append(scores, f.scores(group, half))
		}
	}
	for part := range f.d / 32 {
		for half := range 2 {
			sums = append(sums, f.sums(part, half))
		}
	}
	for len(scores)+len(sums) > 0 {
		if len(scores) > 0 {
			all, scores = append(all, scores[0]), scores[1:]
		}
		n := len(sums) / (len(scores) + 1)
		all, sums = append(all, sums[:n]...), sums[n:]
	}
	return append(all, f.totals())
}

// scores multiplies 16 rows of the next item's queries and 32 of its keys.
func (f flash) scores(group, half int) product {
	p := product{
		begin: func(t int) { f.zeroTile(t); f.zeroTile(t + 1) },
		end: func(t int) {
			at := partScores + half*amxRows*scoreStride + 128*group
			f.storeTileAt(t, "SI", "R15", at)
			f.storeTileAt(t+1, "SI", "R15", at+64)
		},
	}
	for s := range f.d / 32 {
		p.steps = append(p.steps, func(t int) {
			a, b := 4+s%2, group*f.d/2*panelStride+s*amxRows*panelStride
			f.loadTile("AX", "R13", (2*s+half)*amxRows*amxBytes, a)
			f.loadTile("BX", "R14", b, 6)
			f.dotTiles(a, 6, t)
			f.loadTile("BX", "R14", b+64, 7)
			f.dotTiles(a, 7, t+1)
		})
	}
	return p
}

// sums adds the last item's weights times 32 columns of its values to 16 rows.
func (f flash) sums(part, half int) product {
	at := half*amxRows*f.outStride() + 128*part
	p := product{
		begin: func(t int) { f.loadTile("CX", "R12", at, t); f.loadTile("CX", "R12", at+64, t+1) },
		end:   func(t int) { f.storeTileAt(t, "CX", "R12", at); f.storeTileAt(t+1, "CX", "R12", at+64) },
	}
	for s := range flashKeys / flashGroup {
		p.steps = append(p.steps, func(t int) {
			a, b := 4+s%2, (part*flashKeys/2+s*amxRows)*panelStride
			f.loadTile("SI", "R14", partWeights+half*amxRows*weightStride+64*s, a)
			f.loadTile("DX", "R14", b, 6)
			f.dotTiles(a, 6, t)
			f.loadTile("DX", "R14", b+64, 7)
			f.dotTiles(a, 7, t+1)
		})
	}
	return p
}

// totals adds the weights themselves: times a tile of ones.
func (f flash) totals() product {
	at := func(half int) int { return half*amxRows*f.outStride() + 4*f.d }
	p := product{
		begin: func(t int) {
			f.op("XORQ AX, AX")
			f.op("LEAQ %s, BX", f.dwords("pairs_of_ones", func(int) uint32 { return 0x3f803f80 }))
			f.loadTile("BX", "AX", 0, 7)
			f.loadTile("CX", "R12", at(0), t)
			f.loadTile("CX", "R12", at(1), t+1)
		},
		end: func(t int) { f.storeTileAt(t, "CX", "R12", at(0)); f.storeTileAt(t+1, "CX", "R12", at(1)) },
	}
	for s := range flashKeys / flashGroup {
		p.steps = append(p.steps, func(t int) {
			for half := range 2 {
				f.loadTile("SI", "R14", partWeights+half*amxRows*weightStride+64*s, 4+half)
				f.dotTiles(4+half, 7, t+half)
			}
		})
	}
	return p
}

// weights is a row of this item's weights.
func (f flash) weights(row int) {
	f.op("VBROADCASTSS %d(DI), Z8", partShift+4*row)
	for g := range flashKeys / flashGroup {
		r, at := 4*(g%2), partScores+row*scoreStride+128*g
		f.op("VMOVUPS %d(DI), Z%d", at, r)
		f.op("VMOVUPS %d(DI), Z%d", at+64, r+1)
		f.op("VFMADD213PS Z8, Z%d, Z%d", zLog, r)
		f.op("VFMADD213PS Z8, Z%d, Z%d", zLog, r+1)
		f.op("VCVTPS2DQ Z%d, Z%d", r, r)
		f.op("VCVTPS2DQ Z%d, Z%d", r+1, r+1)
		f.op("VPACKUSDW Z%d, Z%d, Z%d", r+1, r, r)
		f.op("VPSRLW $3, Z%d, Z%d", r, r+1)
		f.op("VPERMB.Z Z%d, Z%d, K1, Z%d", zTable, r+1, r+1)
		f.op("VPSUBUSW Z%d, Z%d, Z%d", r+1, r, r) // 0 stays 0
		f.op("VPSRLW $2, Z%d, Z%d", r, r)
		f.op("VMOVUPS Z%d, %d(DI)", r, partWeights+row*weightStride+64*g)
	}
}

// hide gives keys that a row of the next item does not see the score -Inf.
func (f flash) hide() {
	row, done := f.label("row"), f.label("hidden")
	f.op("MOVQ %d(R8), DX", 2*itemSize+itemSeen)
	f.op("TESTQ DX, DX")
	f.op("JEQ %s", done)
	f.op("XORQ AX, AX")
	f.mark(row)
	f.op("VPBROADCASTD (DX), Z0")
	f.op("LEAQ %d(SI)(AX*1), BX", partScores)
	for g := range flashKeys / flashGroup {
		for half := range 2 {
			f.op("VPCMPD $5, Z0, Z%d, K2", zKeys+half) // not less
			f.op("VMOVUPS Z%d, K2, %d(BX)", zLowest, 128*g+64*half)
		}
		f.op("VPSUBD Z%d, Z0, Z0", zNext)
	}
	f.op("ADDQ $4, DX")
	f.op("ADDQ $%d, AX", scoreStride)
	f.op("CMPQ AX, $%d", flashRows*scoreStride)
	f.op("JLT %s", row)
	f.mark(done)
}

// reference is the next item's shift of each row, from the largest score so far.
func (f flash) reference() {
	f.op("MOVQ %d(R8), AX", 2*itemSize+itemLargest)
	for half := range 2 {
		f.largest(half)
		f.update(half)
	}
}

// largest leaves the largest scores of 16 rows in register 16. The second source
// of VMAXPS, the first operand here, comes out where either is NaN.
func (f flash) largest(half int) {
	for r := range 16 {
		row := partScores + (16*half+r)*scoreStride
		f.op("VMOVUPS %d(SI), Z%d", row, 16+r)
		f.op("VMAXPS %d(SI), Z%d, Z%d", row+64, 16+r, 16+r)
		for g := 1; g < flashKeys/flashGroup; g++ {
			f.op("VMAXPS %d(SI), Z%d, Z%d", row+128*g, 16+r, 16+r)
			f.op("VMAXPS %d(SI), Z%d, Z%d", row+128*g+64, 16+r, 16+r)
		}
	}
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
}

// update makes the shift, and how what is summed so far shrinks, of 16 rows.
func (f flash) update(half int) {
	same := f.label("same")
	f.op("VMOVUPS %d(AX), Z17", 64*half) // the largest before
	f.op("VMAXPS Z17, Z16, Z18")
	f.op("VCMPPS $3, Z16, Z16, K2")
	f.op("VMOVAPS Z16, K2, Z18") // NaN stays
	f.op("VMOVUPS Z18, %d(AX)", 64*half)
	f.op("VMOVUPS %s, Z19", f.wide(weightOne+weightRound))
	f.op("VFNMADD231PS Z%d, Z18, Z19", zLog)
	f.op("VMOVUPS Z19, %d(SI)", partShift+64*half)
	f.op("VCMPPS $1, Z18, Z17, K2") // before < now
	f.op("KMOVW K2, %d(SI)", partChanged+2*half)
	f.op("KTESTW K2, K2")
	f.op("JEQ %s", same)
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
	f.op("VMOVUPS Z19, %d(SI)", partShrink+64*half)
	f.mark(same)
}
