package kern

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"
)

// Sums over rows have the bits of tiles, whatever they are cut into.
func TestOuter(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			if p.Outer == nil {
				continue
			}
			for _, n := range []int{1, 2, 7, 32, 33, 200} {
				for groups := 1; groups <= 3; groups++ {
					checkOuter(t, p, n, groups)
				}
			}
		}
	})
}

func checkOuter(t *testing.T, p *Products, n, groups int) {
	t.Helper()
	cols := groups * OuterCols
	x, u := random(newRand(n), n*cols), p.wordsOf(random(newRand(n+1), n*OuterCols), n)
	half := make([]uint16, len(x))
	roundGeneric(pointer(half), pointer(x), len(x))
	want := p.tilesOfOuter(n, x, cols, u)
	for _, cut := range []int{n, (n + 3) / 4 * 2} {
		for i, outer := range []func(int, unsafe.Pointer, int, unsafe.Pointer, unsafe.Pointer, int, int){p.Outer, p.OuterHalf} {
			if outer == nil {
				continue
			}
			c := newGuarded(random(newRand(3), cols*OuterCols))
			for from := 0; from < n; from += cut {
				rows, xRow := pointer(x[from*cols:]), 4*cols
				if i == 1 {
					rows, xRow = pointer(half[from*cols:]), 2*cols
				}
				outer(min(cut, n-from), rows, xRow, pointer(u[from/p.PerWord*OuterCols:]), pointer(c.slice()), groups, from)
			}
			name := fmt.Sprintf("n=%d groups=%d cut=%d form=%d", n, groups, cut, i)
			c.check(t, name)
			if !slices.Equal(bits(c.slice()), bits(want)) {
				t.Fatalf("%s: differs from tiles", name)
			}
		}
	}
}
