package kern

import (
	"math"
	"unsafe"
)

// trialThin is a thin product, of panels and of plain rows, and the tiles that it
// stands for.
func (p *Products) trialThin() (got, want []float32) {
	const k = MaxDepth
	words := k * p.Rows
	a, b := pairWave(2*words, 1), pairWave(k*Cols, 2)
	got = make([]float32, 2*p.Rows*ThinCols)
	p.Thin(k, first(a, 1), 4*words, first(b, 1), first(got, 1), 1, 0)
	for half := range 2 {
		tile := make([]float32, p.Rows*Cols)
		p.Tile[p.Rows](k, first(a[half*words:], 1), first(b, 1), first(tile, 1), Stride, 1, 0, nil)
		for i := range p.Rows {
			want = append(want, tile[i*Cols:][:ThinCols]...)
		}
	}
	if p.ThinRows == nil {
		return got, want
	}
	rows := make([]float32, len(got))
	p.ThinRows(k, first(plainRows(a, p.Rows, p.Depth), 1), 4*k, first(b, 1), first(rows, 1), 1, 0)
	return append(got, rows...), append(want, want...)
}

// plainRows is the rows of panels of MaxDepth words.
func plainRows[E any](panels []E, rows, depth int) []E {
	plain := make([]E, len(panels))
	for i := range plain {
		row, word := i/MaxDepth, i%MaxDepth
		plain[i] = panels[row/rows*rows*MaxDepth+word/depth*depth*rows+row%rows*depth+word%depth]
	}
	return plain
}

// trialPlain is plain tiles, of rows and of columns, and the tile that both stand for: its
// left side has as many rows as columns.
func (p *Products) trialPlain(rows int) (got, want []float32) {
	a, b := pairWave(rows*rows, 1), pairWave(rows*Cols, 2) // fair float32 as well
	across := make([]float32, len(a))
	for i := range a {
		across[i%rows*rows+i/rows] = a[i]
	}
	got, want = make([]float32, 2*rows*Cols), make([]float32, rows*Cols)
	p.PlainRows(rows, rows, first(across, 1), 4*rows, first(b, 1), 0, first(got, 1), Stride, 0, 1)
	p.PlainColumns(rows, rows, first(a, 1), 4*rows, first(b, 1), 0, first(got[rows*Cols:], 1), Stride, 0, 1)
	p.Tile[rows](rows, first(a, 1), first(b, 1), first(want, 1), Stride, 1, 0, nil)
	return got, append(want, want...)
}

// trialOuter is sums over rows in two goes, and the tiles that they stand for.
func (p *Products) trialOuter() (got, want []float32) {
	const n, cut, cols = 9, 4, 2 * OuterCols
	x, u := wave(n*cols, 1), p.wordsOf(wave(n*OuterCols, 2), n)
	rest := u[cut/p.PerWord*OuterCols:]
	got = make([]float32, cols*OuterCols)
	p.Outer(cut, first(x, 1), 4*cols, first(u, 1), first(got, 1), cols/OuterCols, 0)
	p.Outer(n-cut, first(x[cut*cols:], 1), 4*cols, first(rest, 1), first(got, 1), cols/OuterCols, 1)
	want = p.tilesOfOuter(n, x, cols, u)
	add := func(sums, of []float32) { got, want = append(got, sums...), append(want, of...) }
	sums := want[:len(want):len(want)]
	mask := make([]uint32, n)
	for i := range mask {
		mask[i] = ^uint32(0)
	}
	if p.KeepRows != nil {
		add(p.trialRows(x, u, mask), sums)
	}
	if p.OuterKept != nil {
		kept := make([]float32, len(sums))
		p.OuterKept(n, p.side(x), cols*p.sideBytes(), first(mask, 1), 4, first(u, 1), first(kept, 1), cols/OuterCols, 0)
		add(kept, sums)
	}
	if p.ThinKept != nil {
		thin := make([]float32, 2*p.Rows*ThinCols)
		p.ThinKept(Cols, first(x, 1), 0, first(wave(Cols*Cols, 3), 1), first(thin, 1), 0)
		add(thin, p.tilesOfThin(x))
	}
	if p.OuterHalf != nil {
		half := make([]float32, len(sums))
		p.OuterHalf(n, p.side(x), cols*p.sideBytes(), first(u, 1), first(half, 1), cols/OuterCols, 0)
		add(half, sums)
	}
	return got, want
}

// side is x as the type that the products round it to, and sideBytes an element of it.
func (p *Products) side(x []float32) unsafe.Pointer {
	if p.PerWord == 1 {
		return first(x, len(x))
	}
	half := make([]uint16, len(x))
	roundGeneric(first(half, 1), first(x, 1), len(x))
	return first(half, len(half))
}

func (p *Products) sideBytes() int { return 4 / p.PerWord }

// trialRows is Outer by OuterNext, of rows of a word that KeepRows brings side by side.
func (p *Products) trialRows(x, u []float32, mask []uint32) []float32 {
	n, rows, sums := len(mask), make([]float32, len(x)), make([]float32, Cols*OuterCols)
	p.KeepRows(first(rows, 1), first(x, 1), Stride, first(mask, 1), 4, n, 1)
	p.OuterNext(n, first(rows, 1), Stride, first(u, 1), first(sums, 1), Cols/OuterCols, 0, nil, 0)
	return sums
}

// trialPanel is two words of a panel of 16 rows of which every other row is kept, and a
// tile that is rounded, and what they should be.
func (p *Products) trialPanel() (got, want []float32) {
	x, masks := pairWave(2*MaxLanes, 1), make([]uint32, MaxLanes)
	got = make([]float32, len(x))
	for i := range masks {
		masks[i] = -uint32(i % 2)
	}
	for i, v := range x {
		want = append(want, v*float32(i%2))
	}
	p.KeepPanel(first(got, 1), first(x, 1), first(masks, 1), 4*MaxLanes, 2)
	low, tile := p.trialLowKept(masks)
	got, want = append(got, low...), append(want, tile...)
	if p.RoundTile == nil {
		return got, want
	}
	half := make([]uint16, Cols)
	p.RoundTile(first(half, 1), 2*Cols, first(x, Cols), 1)
	for i, h := range half {
		got = append(got, math.Float32frombits(uint32(h)<<16))
		want = append(want, math.Float32frombits(uint32(round(x[i]))<<16))
	}
	return got, want
}

// trialLowKept is a product of two words and a tile's rows, every other of which is kept.
func (p *Products) trialLowKept(masks []uint32) (got, want []float32) {
	const k = 2
	a, b := pairWave(k*p.Rows, 1), pairWave(k*Cols, 2)
	got, want = make([]float32, p.Rows*Cols), make([]float32, p.Rows*Cols)
	p.LowKept(k, first(a, 1), p.Rows, first(b, 1), first(got, 1), Stride, first(masks, 1), 4, 1)
	p.Tile[p.Rows](k, first(a, 1), first(b, 1), first(want, 1), Stride, 1, 0, nil)
	for i := range want {
		want[i] *= float32(masks[i/Cols] & 1)
	}
	return got, want
}

// tilesOfThin is the rows of a thin product, which are all one.
func (p *Products) tilesOfThin(x []float32) (c []float32) {
	tile := make([]float32, Cols)
	p.Tile[1](Cols, first(x, 1), first(wave(Cols*Cols, 3), 1), first(tile, 1), Stride, 1, 0, nil)
	for range 2 * p.Rows {
		c = append(c, tile[:ThinCols]...)
	}
	return c
}

// wordsOf is n rows of OuterCols columns as words along the rows.
func (p *Products) wordsOf(u []float32, n int) []float32 {
	words := make([]float32, (n+p.PerWord-1)/p.PerWord*OuterCols)
	for col := 0; col < OuterCols; col += p.Lanes {
		p.PackColumns(first(words[col:], 1), first(u[col:], 1), n, 4*OuterCols, p.Lanes, 4*OuterCols)
	}
	return words
}

// tilesOfOuter is Outer by tiles of one row.
func (p *Products) tilesOfOuter(n int, x []float32, cols int, u []float32) (c []float32) {
	words := len(u) / OuterCols
	b, tile := make([]float32, words*Cols), make([]float32, Cols)
	for group := 0; group < cols; group += OuterCols {
		for col := 0; col < OuterCols; col += p.Lanes {
			p.PackColumns(first(b[col:], 1), first(x[group+col:], 1), n, 4*cols, p.Lanes, Stride)
		}
		for row := range OuterCols {
			a := make([]float32, words)
			for k := range a {
				a[k] = u[k*OuterCols+row]
			}
			p.Tile[1](words, first(a, 1), first(b, 1), first(tile, 1), Stride, 1, 0, nil)
			c = append(c, tile[:OuterCols]...)
		}
	}
	return c
}

// pairWave is n words of two bfloat16 between -1 and 1.
func pairWave(n int, phase float64) []float32 {
	x := wave(n, phase)
	for i, v := range x {
		x[i] = math.Float32frombits(uint32(round(v)) * 0x10001)
	}
	return x
}

// trialSweep is a sweep over two panels and a sum behind it, and the tiles that it stands for. Two words of
// its K are the low-rank product as well, whose rows are packed where those of a are plain.
func (p *Products) trialSweep(rows int, plain bool) (got, want []float32) {
	const words, low, panels = selfTestSize / 2, 2, 2
	a, b, work := pairWave(words*rows, 1), pairWave(panels*words*Cols, 2), make([]float32, rows*Cols)
	got = make([]float32, rows*panels*Cols)
	want = make([]float32, len(got))
	left, row := a, 0
	if plain {
		left, row = make([]float32, len(a)), 4*words
		for i := range a {
			left[i%rows*words+i/rows] = a[i]
		}
	}
	behind := wave(len(got), 3)
	s := Sweep{
		K: words, A: first(left, 1), ARow: row, B: first(b, 1), BStep: words * Stride, LowK: low, LowA: first(a, 1), LowB: first(b, 1), LowStep: words * Stride,
		C: first(got, 1), LDC: panels * Stride, Panels: panels, Alpha: 0.5, Work: first(work, 1), Next: first(a, 1),
	}
	s.Behind = int(uintptr(first(behind, 1)) - uintptr(s.C))
	p.Sweep(rows, &s)
	for i := range panels {
		b, c := first(b[i*words*Cols:], 1), first(want[i*Cols:], 1)
		p.Tile[rows](words, first(a, 1), b, c, panels*Stride, 0.5, 0, nil)
		p.Tile[rows](low, first(a, 1), b, c, panels*Stride, 0.5, 1, nil)
	}
	for i := range want {
		want[i] += behind[i]
	}
	return got, want
}

// trialTurn is a turn over one panel, one over its plain rows, and the tiles that
// they stand for.
func (p *Products) trialTurn() (got, want []float32) {
	words := p.Rows / p.PerWord
	x, a := wave(p.Rows*TurnCols, 1), pairWave(words*TurnRows, 2)
	left, right := make([]float32, p.Rows*TurnCols/p.PerWord), make([]float32, words*TurnCols)
	var table [MaxRows]unsafe.Pointer
	for i := range p.Rows {
		table[i] = unsafe.Pointer(&x[i*TurnCols])
	}
	p.PackLeft(first(left, 1), &table, p.Rows, TurnCols)
	for col := 0; col < TurnCols; col += p.Lanes {
		to := right[col/Cols*words*Cols+col%Cols:]
		p.PackColumns(first(to, 1), first(x[col:], 1), p.Rows, 4*TurnCols, p.Lanes, Stride)
	}
	half := make([]uint16, len(x))
	roundGeneric(first(half, 1), first(x, 1), len(x))
	sums, work := make([]float32, TurnRows*TurnCols), make([]float32, TurnWork/4)
	got, want = make([]float32, 2*TurnRows*TurnCols), make([]float32, TurnRows*TurnCols)
	for i, t := range []Turn{{B: first(left, 1)}, {B: first(half, 1), BRow: 2 * TurnCols}} {
		t.Rows, t.Panels, t.A, t.C, t.Work = TurnRows, 1, first(a, 1), first(sums, 1), first(work, 1)
		p.Turn(&t)
		p.TurnedOut(first(got[i*len(want):], 1), 4*TurnCols, first(sums, 1), TurnRows, 1, 0)
	}
	for j := range TurnCols / Cols {
		p.Tile[TurnRows](words, first(a, 1), first(right[j*words*Cols:], 1), first(want[j*Cols:], 1), 4*TurnCols, 1, 0, nil)
	}
	want = append(want, want...)
	if p.KeepLeft != nil {
		kept, plain := p.trialKept(left, half, first(a, 1))
		got, want = append(got, kept...), append(want, plain...)
	}
	return got, want
}

// trialKept is turns under a mask, of a panel and of its plain rows, and turns over
// what the mask keeps.
func (p *Products) trialKept(left []float32, half []uint16, a unsafe.Pointer) (got, want []float32) {
	const words = TurnCols / Cols
	mask, kept := make([]uint32, p.Rows*words), make([]float32, len(left))
	for i := range mask {
		mask[i] = uint32(i+1) * 0x9E3779B9
	}
	p.KeepLeft(first(kept, 1), first(left, 1), first(mask, 1), 4*words, p.Rows, words)
	work := make([]float32, TurnWork/4)
	turn := func(t Turn) []float32 {
		sums := make([]float32, TurnRows*TurnCols)
		t.Rows, t.Panels, t.A, t.C, t.Work, t.MaskRow = TurnRows, 1, a, first(sums, 1), first(work, 1), 4*words
		p.Turn(&t)
		return sums
	}
	got = append(turn(Turn{B: first(left, 1), Mask: first(mask, 1)}), turn(Turn{B: first(half, 1), BRow: 2 * TurnCols, Mask: first(mask, 1)})...)
	want = turn(Turn{B: first(kept, 1)})
	return got, append(want, want...)
}
