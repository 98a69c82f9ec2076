package kern

import (
	"fmt"
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
	left, right := make([]uint32, panels*next), make([]uint32, 2*words*Cols)
	var table [MaxRows]unsafe.Pointer
	for i := range panels {
		for j := range p.Rows {
			table[j] = pointer(x[(i*p.Rows+j)*stride:])
		}
		p.PackLeft(pointer(left[i*next:]), &table, p.Rows, stride)
	}
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
	checkTurnRows(t, p, turn, x, stride, sums)
	name := fmt.Sprintf("rows=%d panels=%d add=%d alpha=%v", rows, panels, turn.Add+add, alpha)
	c.check(t, name)
	if !slices.Equal(c.slice(), want) {
		t.Fatalf("%s: a turn differs from its tiles", name)
	}
}

// checkTurnRows compares the turn with one of the rows that its left side was
// packed from, which are rounded already.
func checkTurnRows(t *testing.T, p *Products, turn Turn, x []float32, stride int, sums []float32) {
	t.Helper()
	half := make([]uint16, len(x))
	roundGeneric(first(half, len(half)), first(x, len(x)), len(x))
	turn.Add = 0
	p.Turn(&turn)
	want := slices.Clone(sums)
	turn.B, turn.BRow, turn.BNext = unsafe.Pointer(&half[0]), 2*stride, 2*stride*p.Rows
	p.Turn(&turn)
	if !slices.Equal(sums, want) {
		t.Fatalf("rows=%d panels=%d: a turn of plain rows differs", turn.Rows, turn.Panels)
	}
}
