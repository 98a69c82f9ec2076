package kern

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// unit is half the distance of float32 neighbours at 1.
const unit = 0x1p-24

// element is element k of lane i in a panel of the given width, in float64.
func element(panel []uint32, perWord, width, k, i int) float64 {
	w := panel[k/perWord*width+i]
	switch {
	case perWord == 1:
		return float64(math.Float32frombits(w))
	case k%2 == 0:
		return float64(math.Float32frombits(w << 16))
	}
	return float64(math.Float32frombits(w & 0xffff0000))
}

func randomPanel(seed, n, perWord int) []uint32 {
	r := newRand(seed)
	panel := make([]uint32, n)
	for i := range panel {
		panel[i] = math.Float32bits(float32(r.NormFloat64()))
		if perWord == 2 {
			panel[i] = pair(random(r, 2))
		}
	}
	return panel
}

// arranged is a panel of A [k][rows] as p wants it.
func arranged(p *Products, panel []uint32, k, rows int) []uint32 {
	if p.Depth <= 1 {
		return panel
	}
	out := make([]uint32, p.LeftWords(k)*rows)
	for i, w := range panel {
		word, row := i/rows, i%rows
		out[(word/p.Depth*rows+row)*p.Depth+word%p.Depth] = w
	}
	return out
}

func TestTiles(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for name, p := range map[string]*Products{"f32": &s.F32, "bf16": &s.BF16} {
			for rows := 1; rows <= p.Rows; rows++ {
				for _, k := range []int{0, 1, 2, 3, 4, 5, 7, 8, 33, 200} {
					checkTile(t, fmt.Sprintf("%s rows=%d k=%d", name, rows, k), p, rows, k)
				}
			}
		}
	})
}

// checkTile compares with float64. Each of the two roundings of a term is at
// most unit times the sum of the magnitudes so far.
func checkTile(t *testing.T, name string, p *Products, rows, k int) {
	t.Helper()
	const ldc, alpha = Cols + 5, 0.75
	a, b := randomPanel(1, k*rows, p.PerWord), randomPanel(2, k*Cols, p.PerWord)
	before := random(newRand(3), rows*ldc)
	for add := range 2 {
		g := newGuarded(before)
		p.Tile[rows](k, pointer(arranged(p, a, k, rows)), pointer(b), pointer(g.slice()), 4*ldc, alpha, add, nil)
		g.check(t, name)
		for i := range rows * ldc {
			row, col := i/ldc, i%ldc
			want, size := float64(before[i]), math.Abs(float64(before[i]))
			if col < Cols {
				if add == 0 {
					want, size = 0, 0
				}
				for e := range k * p.PerWord {
					term := alpha * element(a, p.PerWord, rows, e, row) * element(b, p.PerWord, Cols, e, col)
					want, size = want+term, size+math.Abs(term)
				}
			}
			tolerance := float64(2*k*p.PerWord+3) * unit * size
			if got := float64(g.slice()[i]); !(math.Abs(got-want) <= tolerance) {
				t.Fatalf("%s add=%d: c[%d,%d] = %g, want %g within %g", name, add, row, col, got, want, tolerance)
			}
		}
	}
}

// A row's bits must not depend on the tile's height.
func TestTileRowsAreIndependentOfHeight(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for rows := 1; rows <= p.Rows; rows++ {
				const k = 37
				one, b := randomPanel(1, k, p.PerWord), randomPanel(2, k*Cols, p.PerWord)
				a := make([]uint32, k*rows)
				for i := range a {
					a[i] = one[i/rows]
				}
				want, got := make([]float32, Cols), make([]float32, rows*Cols)
				p.Tile[1](k, pointer(arranged(p, one, k, 1)), pointer(b), pointer(want), Stride, 1, 0, nil)
				p.Tile[rows](k, pointer(arranged(p, a, k, rows)), pointer(b), pointer(got), Stride, 1, 0, nil)
				for i, x := range got {
					if x != want[i%Cols] {
						t.Fatalf("rows=%d: row %d column %d is %g, alone %g", rows, i/Cols, i%Cols, x, want[i%Cols])
					}
				}
			}
		}
	})
}

func TestTileKeepsNaN(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			if p.Rows == 0 {
				continue
			}
			a, b := randomPanel(1, 4*2, p.PerWord), randomPanel(2, 4*Cols, p.PerWord)
			a[2] = 0xffffffff // NaN in row 0 in either type
			c := make([]float32, 2*Cols)
			p.Tile[2](4, pointer(arranged(p, a, 4, 2)), pointer(b), pointer(c), Stride, 1, 0, nil)
			for j, x := range c {
				if (x != x) != (j < Cols) {
					t.Fatalf("c[%d] = %g", j, x)
				}
			}
		}
	})
}

// A sum that is cut and goes on has the bits of the whole.
func TestTilesGoOn(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			if p.Depth != 1 {
				continue
			}
			for rows := 1; rows <= p.Rows; rows++ {
				const k = 37
				a, b := randomPanel(1, k*rows, p.PerWord), randomPanel(2, k*Cols, p.PerWord)
				want := make([]float32, rows*Cols)
				p.Tile[rows](k, pointer(a), pointer(b), pointer(want), Stride, 1, 0, nil)
				for _, cut := range []int{1, 4, 32, k - 1} {
					g := newGuarded(make([]float32, rows*Cols))
					p.Tile[rows](cut, pointer(a), pointer(b), pointer(g.slice()), Stride, 1, 0, nil)
					p.Tile[rows](k-cut, pointer(a[cut*rows:]), pointer(b[cut*Cols:]), pointer(g.slice()), Stride, 1, Onward, nil)
					g.check(t, "onward")
					if !slices.Equal(g.slice(), want) {
						t.Fatalf("rows=%d: cut at %d the sums have other bits", rows, cut)
					}
				}
			}
		}
	})
}

// An eager tile has the bits of the tile.
func TestEagerTiles(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for rows, eager := range p.Eager {
				if eager == nil {
					continue
				}
				for _, k := range []int{0, 1, 3, 4, 37, 200} {
					for add := range 2 {
						a, b, before := randomPanel(1, k*rows, p.PerWord), randomPanel(2, k*Cols, p.PerWord), random(newRand(3), rows*Cols)
						want, g := slices.Clone(before), newGuarded(before)
						p.Tile[rows](k, pointer(a), pointer(b), pointer(want), Stride, 0.75, add, nil)
						eager(k, pointer(a), pointer(b), pointer(g.slice()), Stride, 0.75, add, nil)
						g.check(t, "eager")
						if !slices.Equal(g.slice(), want) {
							t.Fatalf("rows=%d k=%d add=%d: other bits than the tile", rows, k, add)
						}
					}
				}
			}
		}
	})
}

// A wide tile has the bits of the tile on the widened panel, also where a sum goes on.
func TestWideTiles(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for rows, wide := range s.F32.Wide {
			if wide == nil {
				continue
			}
			for _, k := range []int{0, 2, 4, 6, 34, 200} {
				for _, add := range []int{0, 1, Onward} {
					checkWideTile(t, s, rows, k, add)
				}
			}
		}
	})
}

func checkWideTile(t *testing.T, s *Set, rows, k, add int) {
	t.Helper()
	const ldc = Cols + 5
	alpha := float32(0.75)
	if add == Onward {
		alpha = 1
	}
	a, pairs, before := randomPanel(1, k*rows, 1), randomPanel(2, k/2*Cols, 2), random(newRand(3), rows*ldc)
	b := make([]float32, k*Cols)
	if k > 0 {
		s.Widen(pointer(b), pointer(pairs), k/2)
	}
	want, g := slices.Clone(before), newGuarded(before)
	s.F32.Tile[rows](k, pointer(a), pointer(b), pointer(want), 4*ldc, alpha, add, nil)
	s.F32.Wide[rows](k, pointer(a), pointer(pairs), pointer(g.slice()), 4*ldc, alpha, add, nil)
	what := fmt.Sprintf("rows=%d k=%d add=%d", rows, k, add)
	g.check(t, what)
	sameBits(t, what, g.slice(), want)
}
