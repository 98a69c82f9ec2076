package kern

import (
	"unsafe"

	"align/internal/device/cpu/feature"
)

// Tiles of AMX are of 16 rows of 16 words. Each call sets them up and gives them
// up again, so that none outlives it.

// tileConfig is what LDTILECFG reads (Intel's manual, volume 2): palette 1, and
// the bytes of a row and the rows of each tile.
type tileConfig struct {
	palette, start byte
	_              [14]byte
	rowBytes       [16]uint16
	rows           [16]byte
}

// tileConfigs is the configurations by the rows of c.
var tileConfigs = func() (all [MaxRows + 1]tileConfig) {
	for rows := 1; rows <= MaxRows; rows++ {
		low, high := byte(min(rows, 16)), byte(max(1, rows-16))
		all[rows] = tileConfig{palette: 1, rows: [16]byte{low, low, high, high, low, high, 16, 16}}
		for t := range 8 {
			all[rows].rowBytes[t] = 64
		}
	}
	return all
}()

func (s *Set) amx() {
	feature.Detect() // asks the system for the tiles, without which they are illegal
	p := &s.BF16
	p.Rows, p.Depth, p.SideCols = 32, 16, Cols
	p.Outer, p.OuterHalf, p.OuterKept = nil, nil, nil   // the tiles have turns
	p.RoundTile, p.KeepPanel, p.LowKept = nil, nil, nil // and spans, and panels of another form
	for _, b := range []*InBlocks{&s.Q8_0, &s.Q4_0, &s.NF4, &s.Q4_K, &s.Q6_K, &s.Int8} {
		b.Direct = nil // x has another form
	}
	s.spanBlocks()
	s.fewBlocks()
	p.Few = func(k int, a unsafe.Pointer, aStride int, b, c unsafe.Pointer, add int) {
		amxFew(unsafe.Pointer(&tileConfigs[MaxRows]), k/p.Depth, a, aStride, b, c, add)
	}
	p.Thin, p.ThinRows = thinAMX, thinRowsAMX
	p.Turn, p.TurnedOut, p.TurnedIn = turnAMX, turnedOut, turnedIn
	p.KeepLeft = amxKeep
	p.leftRows, p.leftColumns, p.leftHalf = leftRowsAMX, leftColumnsAMX, leftHalfAMX
	for rows := 1; rows <= p.Rows; rows++ {
		p.strip[rows] = func(k int, a, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int) {
			amxStrip(rows, k, a, b, bStep, c, ldc, add, panels, a)
		}
		p.Tile[rows] = func(k int, a, b, c unsafe.Pointer, ldc int, alpha float32, add int, next unsafe.Pointer) {
			if alpha == 1 {
				amxStrip(rows, k, a, b, 0, c, ldc, add, 1, next)
			} else {
				amxScaled(rows, k, a, b, c, ldc, alpha, add, next)
			}
		}
	}
	p.SpanRows, p.Span, p.TilesOut, p.TilesOutBehind, p.TilesOutHalf, p.TilesIn = 17, spanAMX, tilesOut, tilesOutBehind, tilesOutHalf, tilesIn
	config := unsafe.Pointer(&tileConfigs[MaxRows])
	s.flash = []Flash{{D: 64, stages: flash64, config: config, finish: flashFinish}, {D: 128, stages: flash128, config: config, finish: flashFinish}}
	s.gradWeights, s.leftColumnsHalf = gradWeights, leftColumnsHalfAMX
	s.gradScores, s.gradConfig = map[int]gradScores{64: gradScores64, 128: gradScores128}, config
	s.gradStrips = func(list unsafe.Pointer, n int) { gradStrips(config, list, n) }
	p.Peak, p.PeakFlops = func(n int) { peakAMX(unsafe.Pointer(&tileConfigs[MaxRows]), n) }, 8*16*16*32*2
}

func spanAMX(s *Span) {
	const depth = 16
	next := s.Next
	if next == nil {
		next = s.A
	}
	nextStep := min(SpanAhead, 64*s.Rows/s.Panels)
	amxSpan(unsafe.Pointer(&tileConfigs[s.Rows]), s.K/depth, s.A, 64*s.Rows, s.B, s.BStep, s.LowK/depth, s.LowA, s.LowB, s.LowStep, s.C, s.Panels, s.Add, s.Out, s.Tiles, s.OutRows, s.LDC, s.outBytes(), s.Behind, next, nextStep, s.Ahead)
}

// turnConfigs is the configurations of amxTurn by the rows of c: tiles 0 to 3
// are its, 4 is a's and 5 to 7 are b's.
var turnConfigs = func() (all [TurnRows + 1]tileConfig) {
	for rows := 1; rows <= TurnRows; rows++ {
		c := byte(rows)
		all[rows] = tileConfig{palette: 1, rows: [16]byte{c, c, c, c, c, 16, 16, 16}}
		for t := range 8 {
			all[rows].rowBytes[t] = 64
		}
	}
	return all
}()

func turnAMX(t *Turn) {
	config := unsafe.Pointer(&turnConfigs[t.Rows])
	switch {
	case t.BRow > 0 && t.Mask != nil:
		amxTurnRowsKept(config, t.Panels, t.A, 64*t.Rows, t.B, t.BNext, t.C, t.Add, t.Work, t.BRow, t.Mask, t.MaskRow)
	case t.BRow > 0:
		amxTurnRows(config, t.Panels, t.A, 64*t.Rows, t.B, t.BNext, t.C, t.Add, t.Work, t.BRow)
	case t.Mask != nil:
		amxTurnKept(config, t.Panels, t.A, 64*t.Rows, t.B, t.BNext, t.C, t.Add, t.Work, t.Mask, t.MaskRow)
	default:
		amxTurn(config, t.Panels, t.A, 64*t.Rows, t.B, t.BNext, t.C, t.Add, t.Work)
	}
}

func thinAMX(k int, a unsafe.Pointer, aNext int, b, c unsafe.Pointer, alpha float32, add int) {
	config, steps := unsafe.Pointer(&tileConfigs[MaxRows]), k/MaxDepth
	if alpha == 1 {
		amxThin(config, steps, a, aNext, b, c, add)
		return
	}
	var tile [2 * MaxRows * ThinCols]float32
	amxThin(config, steps, a, aNext, b, unsafe.Pointer(&tile), 0)
	scaleTile(c, unsafe.Pointer(&tile), len(tile)/Cols, Stride, alpha, add)
}

func thinRowsAMX(k int, a unsafe.Pointer, aRow int, b, c unsafe.Pointer, alpha float32, add int) {
	config, steps := unsafe.Pointer(&tileConfigs[MaxRows]), k/MaxDepth
	if alpha == 1 {
		amxThinRows(config, steps, a, aRow, b, c, add)
		return
	}
	var tile [2 * MaxRows * ThinCols]float32
	amxThinRows(config, steps, a, aRow, b, unsafe.Pointer(&tile), 0)
	scaleTile(c, unsafe.Pointer(&tile), len(tile)/Cols, Stride, alpha, add)
}

// amxStrip takes whole tiles of K, then what is left.
func amxStrip(rows, k int, a, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int, next unsafe.Pointer) {
	const depth = 16
	whole := k / depth
	if whole > 0 || k == 0 {
		amxWhole(rows, whole, a, b, bStep, c, ldc, add, panels, next)
		add = 1
	}
	if rest := k % depth; rest > 0 {
		a, b = at(a, 64*rows*whole), at(b, depth*Stride*whole)
		amxRest(rows, rest, a, b, bStep, c, ldc, add, panels)
	}
}

func amxWhole(rows, steps int, a, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int, next unsafe.Pointer) {
	config := unsafe.Pointer(&tileConfigs[rows])
	if rows <= 16 {
		amxLow(config, steps, a, 64*rows, b, bStep, c, ldc, panels, add, next)
	} else {
		amxTall(config, steps, a, 64*rows, b, bStep, c, ldc, panels, add, next)
	}
}

// amxRest is the last words of K: a has zeros behind them, and b's rows move to
// where zeros follow them as well.
func amxRest(rows, words int, a, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int) {
	var filled [16 * Cols]uint32
	for i := range panels {
		copy(filled[:], unsafe.Slice((*uint32)(at(b, i*bStep)), words*Cols))
		amxWhole(rows, 1, a, unsafe.Pointer(&filled), 0, at(c, i*Stride), ldc, add, 1, a)
	}
}

// amxScaled multiplies by alpha behind the tiles.
func amxScaled(rows, k int, a, b, c unsafe.Pointer, ldc int, alpha float32, add int, next unsafe.Pointer) {
	var tile [MaxRows * Cols]float32
	amxStrip(rows, k, a, b, 0, unsafe.Pointer(&tile), Stride, 0, 1, next)
	scaleTile(c, unsafe.Pointer(&tile), rows, ldc, alpha, add)
}
