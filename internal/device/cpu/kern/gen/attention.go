package main

import (
	"fmt"
	"math"
)

// Attention's forward pass on AMX goes over items: 32 rows of queries against
// up to 64 keys. A stage does three of them at once: the scores of the next, the
// weights of this one, the sums of the last, so that the tiles multiply while
// the vectors exponentiate.
//
// Weights are relative to a reference of their row: the score of the first key that
// it sees. Only where a score is 2^flashRoom times larger does the reference move to the
// largest of the item, which hardly ever happens: then nothing has to wait for
// the largest score of an item, and what is summed stays as it is.
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
	// flashRoom is the powers of two by which a score may exceed its reference,
	// whose weight is 2^-flashRoom.
	flashRoom     = 32
	weightOfRefer = weightOne - 512*flashRoom + weightRound

	// The workspace: scores, those of an item that are computed again, the shift and
	// the shrinking of each row, and the weights of two items. It is small, since a store
	// of a tile that misses the first cache holds up the others.
	partScores  = 0
	partAgain   = partScores + flashRows*scoreStride
	partShift   = partAgain + flashRows*scoreStride
	partShrink  = partShift + 4*flashRows
	partWeights = partShrink + 4*flashRows
	itemWeights = flashRows * weightStride

	// An item's fields, package kern's FlashItem.
	itemQ, itemK, itemV, itemO, itemRefer, itemSeen, itemSize = 0, 8, 16, 24, 32, 40, 48
)

// Registers: DI the workspace, R10 the weights of this item, SI those of the last, R8
// the items, R9 the stages left; AX and BX the next item's q and k, CX and DX the last
// one's o and v; R12 to R15 the distances of rows of o, q, panels and scores.
const (
	zLog    = 9 // 512 log2(e) scale
	zTable  = 10
	zLowest = 11
	zKeys   = 12 // the keys of a group's first 16 columns, and of the others
	zNext   = 14
	zLimit  = 15 // the word of a score that exceeds its reference too far
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
	f.op("LEAQ %d(DI), R10", partWeights)
	f.op("LEAQ %d(DI), SI", partWeights+itemWeights)
	f.op("VBROADCASTSS %s, Z%d", fr.slot("scale"), zLog)
	f.loadConfig("AX")
	f.constants()
	for _, m := range []struct {
		stride   int
		register string
	}{{amxBytes, "R13"}, {panelStride, "R14"}, {scoreStride, "R15"}, {f.outStride(), "R12"}} {
		f.op("MOVQ $%d, %s", m.stride, m.register)
	}
	stage, slow, next := f.label("stage"), f.label("exceeded"), f.label("next")
	f.mark(stage)
	f.shifts("AX", itemSize)
	for _, m := range []struct {
		field    int
		register string
	}{{2*itemSize + itemQ, "AX"}, {2*itemSize + itemK, "BX"}, {itemO, "CX"}, {itemV, "DX"}} {
		f.op("MOVQ %d(R8), %s", m.field, m.register)
	}
	f.op("KXNORW K3, K3, K3")
	f.op("KXNORW K4, K4, K4")
	f.products()
	f.hide(2*itemSize, partScores)
	f.op("KANDW K3, K4, K3")
	f.op("KORTESTW K3, K3")
	f.op("JCC %s", slow)
	f.mark(next)
	f.first()
	f.op("XCHGQ R10, SI")
	f.op("ADDQ $%d, R8", itemSize)
	f.op("DECQ R9")
	f.op("JNZ %s", stage)
	f.releaseTiles()
	f.ret()
	f.mark(slow)
	f.exceeded(next)
	f.op("JMP %s", next)
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
	f.op("VMOVUPS %s, Z%d", f.wide(weightOne), zLimit)
	f.op("MOVQ $0x5555555555555555, AX")
	f.op("KMOVQ AX, K1")
}

// product is a product of tiles with 32 rows and 16 or 32 columns. Its corners are
// tiles of 16 by 16, those of the first rows first.
type product struct {
	steps, cols  int
	fill, keep   func(corner, t int)
	loadA, loadB func(step, half, t int)
}

// weave interleaves products and the weights. A tile's store comes some
// multiplications later: before its sum is there it would take the place, where instructions
// wait, of those that could go on.
type weave struct {
	*file
	total, dots   int
	weights, made int
	weigh         func(i int)
	next          int // accumulator
	late          []lateStore
}

// lateStore stores tile t, last written by multiplication dot.
type lateStore struct {
	dot, t int
	store  func()
}

const (
	weaveSums = 5 // accumulators, which take turns
	weaveLate = 4
)

func (f flash) products() {
	// Those of each row's first keys come first, so that the next item's scores can take
	// their place.
	w := weave{file: f.file, weights: 2 * flashRows, weigh: func(i int) { f.weights(i%flashRows, i/flashRows, i%4*2) }}
	w.through(f.jobs())
}

func (w *weave) through(jobs []product) {
	for _, p := range jobs {
		w.total += p.steps * 2 * p.cols
	}
	for _, p := range jobs {
		w.product(p)
	}
	w.settle(w.total)
}

func (w *weave) product(p product) {
	first := w.next
	tile := func(corner int) int { return (first + corner) % weaveSums }
	w.next = tile(2 * p.cols)
	for s := range p.steps {
		for half := range 2 {
			p.loadA(s, half, weaveSums)
			for col := range p.cols {
				if half == 0 {
					p.loadB(s, col, weaveSums+1+col)
				}
				corner := half*p.cols + col
				if s == 0 {
					w.free(tile(corner))
					p.fill(corner, tile(corner))
				}
				w.dotTiles(weaveSums, weaveSums+1+col, tile(corner))
				w.dots++
				if s == p.steps-1 {
					w.late = append(w.late, lateStore{w.dots, tile(corner), func() { p.keep(corner, tile(corner)) }})
				}
				w.settle(w.dots - weaveLate)
				w.due()
			}
		}
	}
}

// settle stores the tiles that multiplications up to one have written.
func (w *weave) settle(dot int) {
	for len(w.late) > 0 && w.late[0].dot <= dot {
		w.late[0].store()
		w.late = w.late[1:]
	}
}

// free stores what is in a tile.
func (w *weave) free(t int) {
	for _, l := range w.late {
		if l.t == t {
			w.settle(l.dot)
			return
		}
	}
}

// due makes the weights that are due.
func (w *weave) due() {
	for ; w.made < w.weights && w.made*w.total < w.weights*w.dots; w.made++ {
		w.weigh(w.made)
	}
}

// jobs is the sums of the last item, then the scores of the next.
func (f flash) jobs() []product {
	var jobs []product
	for part := range f.d / 32 {
		jobs = append(jobs, f.sums(part))
	}
	jobs = append(jobs, f.totals())
	for group := range flashKeys / flashGroup {
		jobs = append(jobs, f.scores(group, partScores))
	}
	return jobs
}

// scores multiplies the queries of AX and 32 of the keys of BX.
func (f flash) scores(group, part int) product {
	return product{
		steps: f.d / 32, cols: 2,
		fill: func(_, t int) { f.zeroTile(t) },
		keep: func(corner, t int) {
			f.storeTileAt(t, "DI", "R15", part+corner/2*amxRows*scoreStride+128*group+corner%2*64)
		},
		loadA: func(s, half, t int) { f.loadTile("AX", "R13", (2*s+half)*amxRows*amxBytes, t) },
		loadB: func(s, col, t int) { f.loadTile("BX", "R14", (group*f.d/2+s*amxRows)*panelStride+64*col, t) },
	}
}

// sums adds the last item's weights times 32 columns of its values.
func (f flash) sums(part int) product {
	at := func(corner int) int { return corner/2*amxRows*f.outStride() + 128*part + corner%2*64 }
	return product{
		steps: flashKeys / flashGroup, cols: 2,
		fill:  func(corner, t int) { f.loadTile("CX", "R12", at(corner), t) },
		keep:  func(corner, t int) { f.storeTileAt(t, "CX", "R12", at(corner)) },
		loadA: f.loadWeights,
		loadB: func(s, col, t int) { f.loadTile("DX", "R14", (part*flashKeys/2+s*amxRows)*panelStride+64*col, t) },
	}
}

func (f flash) loadWeights(group, half, t int) {
	f.loadTile("SI", "R14", half*amxRows*weightStride+64*group, t)
}

// totals adds the weights themselves: times a tile of ones.
func (f flash) totals() product {
	at := func(half int) int { return half*amxRows*f.outStride() + 4*f.d }
	return product{
		steps: flashKeys / flashGroup, cols: 1,
		fill:  func(half, t int) { f.loadTile("CX", "R12", at(half), t) },
		keep:  func(half, t int) { f.storeTileAt(t, "CX", "R12", at(half)) },
		loadA: f.loadWeights,
		loadB: func(_, _, t int) {
			f.op("LEAQ %s, R11", f.dwords("pairs_of_ones", func(int) uint32 { return 0x3f803f80 }))
			f.op("XORQ DX, DX")
			f.loadTile("R11", "DX", 0, t)
		},
	}
}

// weights is 32 of a row's weights of this item, in registers r and r+1. K3 and K4
// lose the bits of scores that exceed their reference too far, and of NaN.
func (f flash) weights(row, group, r int) {
	f.op("VBROADCASTSS %d(DI), Z8", partShift+4*row)
	f.weigh("DI", partScores+row*scoreStride+128*group, "R10", row*weightStride+64*group, r, func() {
		f.op("VCMPPS $1, Z%d, Z%d, K3, K3", zLimit, r)
		f.op("VCMPPS $1, Z%d, Z%d, K4, K4", zLimit, r+1)
	})
}

// weigh makes 32 scores weights, with the shift in register 8.
func (f flash) weigh(from string, at int, to string, place, r int, check func()) {
	f.op("VMOVUPS %d(%s), Z%d", at, from, r)
	f.op("VMOVUPS %d(%s), Z%d", at+64, from, r+1)
	f.op("VFMADD213PS Z8, Z%d, Z%d", zLog, r)
	f.op("VFMADD213PS Z8, Z%d, Z%d", zLog, r+1)
	check()
	f.op("VCVTPS2DQ Z%d, Z%d", r, r)
	f.op("VCVTPS2DQ Z%d, Z%d", r+1, r+1)
	f.op("VPACKUSDW Z%d, Z%d, Z%d", r+1, r, r)
	f.op("VPSRLW $3, Z%d, Z%d", r, r+1)
	f.op("VPERMB.Z Z%d, Z%d, K1, Z%d", zTable, r+1, r+1)
	f.op("VPSUBUSW Z%d, Z%d, Z%d", r+1, r, r) // 0 stays 0
	f.op("VPSRLW $2, Z%d, Z%d", r, r)
	f.op("VMOVUPS Z%d, %d(%s)", r, place, to)
}

// hide gives keys of an item that a row does not see the score -Inf.
func (f flash) hide(item, part int) {
	row, done := f.label("row"), f.label("hidden")
	f.op("MOVQ %d(R8), DX", item+itemSeen)
	f.op("TESTQ DX, DX")
	f.op("JEQ %s", done)
	f.op("XORQ AX, AX")
	f.mark(row)
	f.op("VPBROADCASTD (DX), Z0")
	for g := range flashKeys / flashGroup {
		for half := range 2 {
			f.op("VPCMPD $5, Z0, Z%d, K2", zKeys+half) // not less
			f.op("VMOVUPS Z%d, K2, %d(DI)(AX*1)", zLowest, part+128*g+64*half)
		}
		f.op("VPSUBD Z%d, Z0, Z0", zNext)
	}
	f.op("ADDQ $4, DX")
	f.op("ADDQ $%d, AX", scoreStride)
	f.op("CMPQ AX, $%d", flashRows*scoreStride)
	f.op("JLT %s", row)
	f.mark(done)
}

// shifts is this item's shift of each row; item is its place behind R8.
func (f flash) shifts(register string, item int) {
	f.op("MOVQ %d(R8), %s", item+itemRefer, register)
	for half := range 2 {
		f.op("VMOVUPS %s, Z%d", f.wide(weightOfRefer), half)
		f.op("VFNMADD231PS %d(%s), Z%d, Z%d", 64*half, register, zLog, half)
		f.op("VMOVUPS Z%d, %d(DI)", half, partShift+64*half)
	}
}

// first is the reference of the next item's rows that have none: their first score.
func (f flash) first() {
	f.op("MOVQ %d(R8), AX", 2*itemSize+itemRefer)
	for half := range 2 {
		known := f.label("known")
		f.op("VMOVUPS %d(AX), Z0", 64*half)
		f.op("VCMPPS $0, Z%d, Z0, K2", zLowest)
		f.op("KTESTW K2, K2")
		f.op("JEQ %s", known)
		f.op("VMOVUPS %s, Z1", f.dwords("score_rows", func(i int) uint32 { return uint32(scoreStride * i) }))
		f.op("VGATHERDPS %d(DI)(Z1*1), K2, Z0", partScores+half*amxRows*scoreStride)
		f.op("VMOVUPS Z0, %d(AX)", 64*half)
		f.mark(known)
	}
}
