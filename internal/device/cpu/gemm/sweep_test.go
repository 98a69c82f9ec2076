package gemm

import (
	"fmt"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// A product that goes by sweeps gives the bits that its rows have a few at a time.
func TestSweepsHaveTheBitsOfTiles(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, k := range kinds {
			if k.xAcross || k.packed == device.F32 && typ != device.F32 {
				continue
			}
			for _, depth := range []int{41, 2100} {
				t.Run(fmt.Sprintf("%s/k=%d", k.name, depth), func(t *testing.T) { checkSweeps(t, set, typ, k, depth) })
			}
		}
	})
}

func checkSweeps(t *testing.T, set *kern.Set, typ device.Type, k kind, depth int) {
	const m, n, few = 170, 70, 5
	e, tr := engine(t, set, typ, 2), newTrial(t, set, k, m, n, depth)
	initial := tr.p.Y
	tr.p.Y.Data = slices.Clone(initial.Data)
	run1(t, e, &tr.p)
	if e.tiles.HasSweep(14) && !e.run.sweeping {
		t.Error("the product does not sweep")
	}
	for row := 0; row < m; row += few * 3 {
		q := tr.p.Rows(row, few)
		q.Y = initial.from(row)
		run1(t, e, &q)
		for i := range few {
			at := (row + i) * initial.Stride
			if !slices.Equal(tr.p.Y.Data[at:at+n], initial.Data[at:at+n]) {
				t.Fatalf("row %d differs", row+i)
			}
		}
	}
}
