package kern

import (
	"fmt"
	"slices"
	"testing"
)

// A plain left side gives the bits of a packed one.
func TestPlain(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for rows := 1; p.HasPlain() && rows <= p.Rows; rows++ {
				for _, k := range []int{1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 512} {
					for _, add := range []int{0, 1} {
						checkPlain(t, p, rows, k, add)
					}
				}
			}
		}
	})
}

func checkPlain(t *testing.T, p *Products, rows, k, add int) {
	t.Helper()
	const panels, ldc = 2, 2*Cols + 3
	packed, b := randomPanel(k, rows*k, p.PerWord), randomPanel(1, panels*k*Cols, p.PerWord)
	upright, across := make([]uint32, rows*(k+5)), make([]uint32, k*(rows+2))
	for i := range packed {
		upright[i%rows*(k+5)+i/rows], across[i/rows*(rows+2)+i%rows] = packed[i], packed[i]
	}
	want := random(newRand(2), rows*ldc)
	sums := [2]guarded{newGuarded(want), newGuarded(want)}
	for panel := range panels {
		p.Tile[rows](k, pointer(packed), pointer(b[panel*k*Cols:]), pointer(want[panel*Cols:]), 4*ldc, 1, add, nil)
	}
	p.PlainRows(rows, k, pointer(upright), 4*(k+5), pointer(b), 4*k*Cols, pointer(sums[0].slice()), 4*ldc, add, panels)
	p.PlainColumns(rows, k, pointer(across), 4*(rows+2), pointer(b), 4*k*Cols, pointer(sums[1].slice()), 4*ldc, add, panels)
	for i, c := range sums {
		name := fmt.Sprintf("rows=%d k=%d add=%d form=%d", rows, k, add, i)
		c.check(t, name)
		if !slices.Equal(bits(c.slice()), bits(want)) {
			t.Fatalf("%s: differs from tiles", name)
		}
	}
}
