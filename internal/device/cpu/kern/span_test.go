package kern

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"align/internal/half"
)

// A span gives the bits of its tiles, and copies finished ones.
func TestSpan(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for rows := p.SpanRows; p.Span != nil && rows <= p.Rows; rows++ {
				for _, k := range []int{0, 16, 64} {
					for low := 0; low <= 16; low += 16 {
						for add := range 2 {
							checkSpan(t, p, rows, k, low, add)
						}
					}
				}
			}
		}
	})
}

func checkSpan(t *testing.T, p *Products, rows, k, low, add int) {
	t.Helper()
	const panels, ldc = 3, 4 * Cols // of the rows copied to, a panel wider than they are
	random := func(seed, words int) []uint32 { return append(randomPanel(seed, words, p.PerWord), 0) }
	a, b := random(1, k*rows), random(2, panels*k*Cols)
	lowA, lowB := random(3, low*rows), random(4, panels*low*Cols)
	c := newGuarded(floats(pointer(random(5, panels*MaxRows*Cols)), panels*MaxRows*Cols))
	want := slices.Clone(c.slice())
	finished := slices.Clone(want)
	for i := range panels {
		tile := pointer(want[i*MaxRows*Cols:])
		p.Tile[rows](k, pointer(a), pointer(b[i*k*Cols:]), tile, Stride, 1, add, nil)
		if low > 0 {
			p.Tile[rows](low, pointer(lowA), pointer(lowB[i*low*Cols:]), tile, Stride, 1, 1, nil)
		}
	}
	out := aligned(rows * ldc)
	p.Span(&Span{
		Rows: rows, K: k, LowK: low, A: pointer(a), B: pointer(b), LowA: pointer(lowA), LowB: pointer(lowB),
		BStep: k * Stride, LowStep: low * Stride, C: pointer(c.slice()), Panels: panels, Add: add,
		Out: pointer(out), Tiles: pointer(finished), OutRows: rows, LDC: 4 * ldc, Next: pointer(a), Ahead: k * Stride,
	})
	name := fmt.Sprintf("rows=%d k=%d low=%d add=%d", rows, k, low, add)
	c.check(t, name)
	if !slices.Equal(c.slice(), want) {
		t.Fatalf("%s: a span differs from its tiles", name)
	}
	checkHalfTiles(t, p, rows, panels, finished)
	checkSumTiles(t, p, rows, panels, finished)
	copied, back := aligned(rows*ldc), make([]float32, len(finished))
	p.TilesOut(pointer(copied), 4*ldc, pointer(finished), rows, panels)
	p.TilesIn(pointer(copied), 4*ldc, pointer(back), rows, panels)
	for i := range rows {
		for j := range panels * Cols {
			at := j/Cols*MaxRows*Cols + i*Cols + j%Cols
			if v := finished[at]; out[i*ldc+j] != v || copied[i*ldc+j] != v || back[at] != v {
				t.Fatalf("%s: row %d column %d of the finished tiles was copied as %v, %v and %v: want %v", name, i, j, out[i*ldc+j], copied[i*ldc+j], back[at], v)
			}
		}
		if out[i*ldc+panels*Cols] != 0 || copied[i*ldc+panels*Cols] != 0 {
			t.Fatalf("%s: a write behind row %d", name, i)
		}
	}
}

// checkSumTiles compares the two ways into rows of sums with what lies behind them.
func checkSumTiles(t *testing.T, p *Products, rows, panels int, finished []float32) {
	t.Helper()
	ldc := (panels + 1) * Cols
	all := aligned(3 * rows * ldc)
	out, copied, behind := all[:rows*ldc], all[rows*ldc:2*rows*ldc], all[2*rows*ldc:]
	copy(behind, random(newRand(6), rows*ldc))
	p.Span(&Span{
		Rows: rows, A: pointer(finished), B: pointer(finished), C: pointer(make([]float32, panels*MaxRows*Cols)), Panels: panels,
		Out: pointer(out), Tiles: pointer(finished), OutRows: rows, LDC: 4 * ldc, Behind: 8 * rows * ldc,
	})
	p.TilesOutBehind(pointer(copied), 4*ldc, pointer(finished), rows, panels, 4*rows*ldc)
	for i := range rows * ldc {
		row, col := i/ldc, i%ldc
		want := float32(0)
		if col < panels*Cols {
			want = finished[col/Cols*MaxRows*Cols+row*Cols+col%Cols] + behind[i]
		}
		if out[i] != want || copied[i] != want {
			t.Fatalf("rows=%d: row %d column %d is %v and %v: want %v", rows, row, col, out[i], copied[i], want)
		}
	}
}

// checkHalfTiles compares the two ways into rows of bfloat16, a panel wider than the tiles,
// with their rounded values.
func checkHalfTiles(t *testing.T, p *Products, rows, panels int, finished []float32) {
	t.Helper()
	ldc := (panels + 1) * Cols
	out, copied := aligned(rows*ldc/2), aligned(rows*ldc/2)
	p.Span(&Span{
		Rows: rows, A: pointer(finished), B: pointer(finished), C: pointer(make([]float32, panels*MaxRows*Cols)), Panels: panels,
		Out: pointer(out), Tiles: pointer(finished), OutRows: rows, LDC: 2 * ldc, Half: true,
	})
	p.TilesOutHalf(pointer(copied), 2*ldc, pointer(finished), rows, panels)
	halves := func(x []float32) []uint16 { return unsafe.Slice((*uint16)(pointer(x)), 2*len(x)) }
	want := make([]uint16, Cols)
	for i := range rows {
		for j := range panels + 1 {
			if clear(want); j < panels {
				for c := range want {
					want[c] = half.ToBF16(finished[j*MaxRows*Cols+i*Cols+c])
				}
			}
			at := i*ldc + j*Cols
			if !slices.Equal(halves(out)[at:at+Cols], want) || !slices.Equal(halves(copied)[at:at+Cols], want) {
				t.Fatalf("rows=%d: row %d of tile %d is not the rounded one", rows, i, j)
			}
		}
	}
}

// aligned is n zeros from a multiple of 64 bytes on.
func aligned(n int) []float32 {
	const line = 16
	x := make([]float32, n+line)
	for uintptr(unsafe.Pointer(unsafe.SliceData(x)))%64 != 0 {
		x = x[1:]
	}
	return x[:n]
}

// A thin product gives the bits of its tiles.
func TestThin(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			if p.Thin == nil {
				continue
			}
			for _, k := range []int{p.Depth, 3 * p.Depth, 16, 64} {
				for add := range 2 {
					checkThin(t, p, k, 1, add)
					checkThin(t, p, k, 0.75, add)
				}
			}
		}
	})
}

func checkThin(t *testing.T, p *Products, k int, alpha float32, add int) {
	t.Helper()
	const gap = 48 // words between the panels of a
	a, b := randomPanel(1, 2*k*p.Rows+gap, p.PerWord), randomPanel(2, k*Cols, p.PerWord)
	before := random(newRand(3), 2*p.Rows*ThinCols)
	c, next := newGuarded(before), 4*(k*p.Rows+gap)
	p.Thin(k, pointer(a), next, pointer(b), pointer(c.slice()), alpha, add)
	name := fmt.Sprintf("k=%d add=%d alpha=%v", k, add, alpha)
	c.check(t, name)
	if p.ThinRows != nil {
		checkThinRows(t, p, k, a, next, b, before, c.slice(), alpha, add)
	}
	for half := range 2 {
		want := make([]float32, p.Rows*Cols)
		for i := range p.Rows {
			copy(want[i*Cols:], before[(half*p.Rows+i)*ThinCols:][:ThinCols])
		}
		p.Tile[p.Rows](k, pointer(a[half*next/4:]), pointer(b), pointer(want), Stride, alpha, add, nil)
		for i := range p.Rows {
			if got := c.slice()[(half*p.Rows+i)*ThinCols:][:ThinCols]; !slices.Equal(got, want[i*Cols:][:ThinCols]) {
				t.Fatalf("%s: row %d of panel %d differs from a tile", name, i, half)
			}
		}
	}
}

// checkThinRows compares a thin product with one of the plain rows whose panels a
// is.
func checkThinRows(t *testing.T, p *Products, k int, a []uint32, next int, b []uint32, before, want []float32, alpha float32, add int) {
	t.Helper()
	stride := k + 16 // in words
	rows := make([]uint32, 2*p.Rows*stride)
	for i := range 2 * p.Rows {
		panel := a[i/p.Rows*next/4:]
		for word := range k {
			rows[i*stride+word] = panel[word/p.Depth*p.Depth*p.Rows+i%p.Rows*p.Depth+word%p.Depth]
		}
	}
	c := newGuarded(before)
	p.ThinRows(k, pointer(rows), 4*stride, pointer(b), pointer(c.slice()), alpha, add)
	c.check(t, "rows")
	if !slices.Equal(bits(c.slice()), bits(want)) {
		t.Fatalf("k=%d add=%d alpha=%v: plain rows differ from their panels", k, add, alpha)
	}
}
