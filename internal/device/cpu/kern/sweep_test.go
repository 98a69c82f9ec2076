package kern

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"
)

// A sweep gives the bits of its tiles, and of those that add the low-rank sums.
func TestSweeps(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for rows := range p.sweep {
				if !p.HasSweep(rows) {
					continue
				}
				for _, k := range []int{0, 1, 3, 4, 37, 200} {
					for _, lowK := range []int{0, 1, 8} {
						checkSweep(t, p, rows, k, lowK)
					}
				}
			}
		}
	})
}

func checkSweep(t *testing.T, p *Products, rows, k, lowK int) {
	t.Helper()
	const panels, ldc = 3, 3*Cols + 5
	a, b := randomPanel(1, k*rows, p.PerWord), randomPanel(2, panels*k*Cols, p.PerWord)
	lowA, lowB := randomPanel(4, lowK*rows, p.PerWord), randomPanel(5, panels*lowK*Cols, p.PerWord)
	before := random(newRand(3), rows*ldc)
	if p.SweepsHalf() {
		checkHalfSweep(t, p, rows, k, lowK)
	}
	for add := range 2 {
		for _, alpha := range []float32{1, 0.75} {
			g, work, want := newGuarded(before), newGuarded(make([]float32, rows*Cols)), slices.Clone(before)
			s := Sweep{
				K: k, A: pointer(a), B: pointer(b), BStep: k * Stride, LowK: lowK, LowA: pointer(lowA), LowB: pointer(lowB), LowStep: lowK * Stride,
				C: pointer(g.slice()), LDC: 4 * ldc, Panels: panels, Alpha: alpha, Add: add, Work: pointer(work.slice()), NextPanels: 2,
			}
			p.Sweep(rows, &s)
			for i := range panels {
				c := pointer(want[i*Cols:])
				p.Tile[rows](k, pointer(a), at(pointer(b), i*k*Stride), c, 4*ldc, alpha, add, nil)
				if lowK > 0 {
					p.Tile[rows](lowK, pointer(lowA), at(pointer(lowB), i*lowK*Stride), c, 4*ldc, alpha, 1, nil)
				}
			}
			name := fmt.Sprintf("rows=%d k=%d lowK=%d alpha=%g add=%d", rows, k, lowK, alpha, add)
			g.check(t, name)
			work.check(t, name)
			if !slices.Equal(g.slice(), want) {
				t.Fatalf("%s: a sweep differs from its tiles", name)
			}
			checkBehindSweep(t, p, rows, s, before, want, panels*Cols)
			if p.HasSweepRows(rows) {
				s.A, s.ARow = pointer(rowsOfPanel(a, rows, k, k+3)), 4*(k+3)
				checkBehindSweep(t, p, rows, s, before, want, panels*Cols)
				s.C = pointer(g.slice())
				copy(g.slice(), before)
				p.Sweep(rows, &s)
				g.check(t, name)
				work.check(t, name)
				if !slices.Equal(g.slice(), want) {
					t.Fatalf("%s: a sweep of plain rows differs from its tiles", name)
				}
			}
		}
	}
}

// rowsOfPanel is the rows of k words whose panel a is, stride words apart.
func rowsOfPanel(a []uint32, rows, k, stride int) []uint32 {
	plain := make([]uint32, rows*stride)
	for i := range k * rows {
		plain[i%rows*stride+i/rows] = a[i]
	}
	return plain
}

// checkBehindSweep compares s, whose rows of c have so many columns, with one that adds.
func checkBehindSweep(t *testing.T, p *Products, rows int, s Sweep, before, sums []float32, cols int) {
	t.Helper()
	c, behind, want := newGuarded(before), random(newRand(6), len(sums)), slices.Clone(sums)
	for i := range want {
		if i%(s.LDC/4) < cols {
			want[i] += behind[i]
		}
	}
	s.C = pointer(c.slice())
	s.Behind = int(uintptr(pointer(behind)) - uintptr(s.C))
	p.Sweep(rows, &s)
	c.check(t, "a sum behind")
	if !slices.Equal(bits(c.slice()), bits(want)) {
		t.Fatalf("rows=%d k=%d lowK=%d alpha=%g add=%d: what lies behind is not added", rows, s.K, s.LowK, s.Alpha, s.Add)
	}
}

// checkHalfSweep compares with the sweep of float32, rounded.
func checkHalfSweep(t *testing.T, p *Products, rows, k, lowK int) {
	t.Helper()
	const panels, ldc = 3, 3*Cols + 6
	a, b := randomPanel(1, k*rows, p.PerWord), randomPanel(2, panels*k*Cols, p.PerWord)
	lowA, lowB := randomPanel(4, lowK*rows, p.PerWord), randomPanel(5, panels*lowK*Cols, p.PerWord)
	wide, work, before := make([]float32, rows*ldc), make([]float32, rows*Cols), random(newRand(3), rows*ldc/2)
	g := newGuarded(before)
	s := Sweep{
		K: k, A: pointer(a), B: pointer(b), BStep: k * Stride, LowK: lowK, LowA: pointer(lowA), LowB: pointer(lowB), LowStep: lowK * Stride,
		C: pointer(wide), LDC: 4 * ldc, Panels: panels, Alpha: 0.75, Work: pointer(work),
	}
	p.Sweep(rows, &s)
	s.C, s.LDC, s.Half = pointer(g.slice()), 2*ldc, true
	p.Sweep(rows, &s)
	g.check(t, "rounded")
	got, kept := unsafe.Slice((*uint16)(pointer(g.slice())), rows*ldc), unsafe.Slice((*uint16)(pointer(before)), rows*ldc)
	for i, h := range got {
		want := uint16(round(wide[i]))
		if i%ldc >= panels*Cols {
			want = kept[i]
		}
		if h != want {
			t.Fatalf("rows=%d k=%d lowK=%d: element %d is %#x, want %#x", rows, k, lowK, i, h, want)
		}
	}
}
