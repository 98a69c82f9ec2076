package kern

import (
	"fmt"
	"slices"
	"testing"
)

// Sums over rows have the bits of tiles, whatever they are cut into.
func TestOuter(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		p := &s.F32
		if p.Outer == nil {
			t.Skip("the level has none")
		}
		for _, n := range []int{1, 2, 7, 32, 33, 200} {
			for groups := 1; groups <= 3; groups++ {
				cols := groups * OuterCols
				x, u := random(newRand(n), n*cols), random(newRand(n+1), n*OuterCols)
				want := p.tilesOfOuter(n, x, cols, u)
				for _, cut := range []int{n, (n + 1) / 2} {
					c := newGuarded(random(newRand(3), cols*OuterCols))
					for from := 0; from < n; from += cut {
						add := min(from, 1)
						p.Outer(min(cut, n-from), pointer(x[from*cols:]), 4*cols, pointer(u[from*OuterCols:]), pointer(c.slice()), groups, add)
					}
					name := fmt.Sprintf("n=%d groups=%d cut=%d", n, groups, cut)
					c.check(t, name)
					if !slices.Equal(c.slice(), want) {
						t.Fatalf("%s: differs from tiles", name)
					}
				}
			}
		}
	})
}
