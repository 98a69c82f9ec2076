package kern

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"
)

// A Turn gives the bits of tiles whose right side is packed from the same rows.
func TestTurn(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		p := &s.BF16
		if p.Turn == nil {
			t.Skip("the level has none")
		}
		for rows := 1; rows <= TurnRows; rows++ {
			for panels := 1; panels <= 3; panels++ {
				for add := range 2 {
					for _, alpha := range []float32{1, 0.75} {
						checkTurn(t, p, rows, panels, add, alpha)
					}
				}
			}
		}
	})
}

func checkTurn(t *testing.T, p *Products, rows, panels, add int, alpha float32) {
	t.Helper()
	const stride, gap, ldc = 3 * Cols, 16, TurnCols + 16 // the last step of the left side takes no part
	n := panels * p.Rows
	words := n / p.PerWord
	x := random(newRand(n), n*stride)
	next := p.Rows*stride/p.PerWord + gap
	left, right := leftPanels(p, x, panels, stride, next), make([]uint32, 2*words*Cols)
	for lane := 0; lane < TurnCols; lane += p.Lanes {
		p.PackColumns(pointer(right[lane/Cols*words*Cols+lane%Cols:]), pointer(x[lane:]), n, 4*stride, p.Lanes, Stride)
	}
	a := arranged(p, randomPanel(1, words*rows, p.PerWord), words, rows)
	c := newGuarded(random(newRand(2), rows*ldc))
	want := slices.Clone(c.slice())
	for j := range 2 {
		p.Tile[rows](words, pointer(a), pointer(right[j*words*Cols:]), pointer(want[j*Cols:]), 4*ldc, alpha, add, nil)
	}
	sums, work := aligned(TurnRows*TurnCols), aligned(TurnWork/4)
	turn := Turn{Rows: rows, Panels: panels, BNext: 4 * next, A: pointer(a), B: pointer(left), C: pointer(sums), Work: pointer(work)}
	if alpha == 1 && add == 1 {
		p.TurnedIn(pointer(c.slice()), 4*ldc, turn.C, rows)
		turn.Add, add = 1, 0
	}
	p.Turn(&turn)
	p.TurnedOut(pointer(c.slice()), 4*ldc, turn.C, rows, alpha, add)
	checkTurnForms(t, p, turn, x, stride)
	name := fmt.Sprintf("rows=%d panels=%d add=%d alpha=%v", rows, panels, turn.Add+add, alpha)
	c.check(t, name)
	if !slices.Equal(c.slice(), want) {
		t.Fatalf("%s: a turn differs from its tiles", name)
	}
}

// leftPanels packs panels of a left side next words apart.
func leftPanels(p *Products, x []float32, panels, stride, next int) []uint32 {
	left := make([]uint32, panels*next)
	var table [MaxRows]unsafe.Pointer
	for i := range panels {
		for j := range p.Rows {
			table[j] = pointer(x[(i*p.Rows+j)*stride:])
		}
		p.PackLeft(pointer(left[i*next:]), &table, p.Rows, stride)
	}
	return left
}

// checkTurnForms compares the turn of panels with that of the rows they were packed
// from, which are rounded already, and turns under a mask with those of zeros in the
// place of what it hides, which is NaN.
func checkTurnForms(t *testing.T, p *Products, turn Turn, x []float32, stride int) {
	t.Helper()
	const maskRow = 12 // bytes
	n, r := turn.Panels*p.Rows, newRand(turn.Rows)
	mask, kept, hidden := make([]byte, n*maskRow), slices.Clone(x), slices.Clone(x)
	for i := range n * TurnCols {
		row, col := i/TurnCols, i%TurnCols
		if bit := byte(r.IntN(2)); bit > 0 {
			mask[row*maskRow+col/8] |= bit << (col % 8)
		} else {
			kept[row*stride+col], hidden[row*stride+col] = 0, float32(math.NaN())
		}
	}
	panels := func(x []float32) Turn {
		form := turn
		form.B = pointer(leftPanels(p, x, turn.Panels, stride, turn.BNext/4))
		return form
	}
	rows := func(x []float32) Turn {
		form, half := turn, make([]uint16, len(x))
		roundGeneric(first(half, len(half)), first(x, len(x)), len(x))
		form.B, form.BRow, form.BNext = pointer(half), 2*stride, 2*stride*p.Rows
		return form
	}
	masked := func(form Turn) Turn {
		form.Mask, form.MaskRow = pointer(mask), maskRow
		return form
	}
	run := func(form Turn, add int) []float32 {
		sums := aligned(TurnRows * TurnCols)
		copy(sums, random(newRand(3), len(sums)))
		form.C, form.Add = pointer(sums), add
		p.Turn(&form)
		return sums
	}
	for add := range 2 {
		name := fmt.Sprintf("rows=%d panels=%d add=%d", turn.Rows, turn.Panels, add)
		sameBits(t, name+", plain rows", run(rows(x), add), run(panels(x), add))
		want := run(panels(kept), add)
		sameBits(t, name+", masked panels", run(masked(panels(hidden)), add), want)
		sameBits(t, name+", masked rows", run(masked(rows(hidden)), add), want)
	}
}
