package gemm

import (
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// A gradient of a weight has the same bits from panels that another product has
// left, for any number of rows and threads.
func TestTurnedLeft(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if !engine(t, set, typ, 1).TurnsLeft() {
			t.Skip("the level does not turn left sides")
		}
		for _, s := range [][3]int{{16, 96, 1}, {16, 40, 33}, {5, 130, 75}, {16, 768, 1000}, {70, 288, 2091}, {33, 64, 64}} {
			for _, alpha := range []float32{1, 0.75} {
				for threads := 1; threads <= 3; threads++ {
					checkTurned(t, set, typ, s, alpha, threads)
				}
			}
		}
	})
}

func checkTurned(t *testing.T, set *kern.Set, typ device.Type, s [3]int, alpha float32, threads int) {
	t.Helper()
	m, n, depth := s[0], s[1], s[2]
	tr := newTrial(t, set, kind{xAcross: true, across: true, accumulate: true}, m, n, depth)
	e, p := engine(t, set, typ, threads), &tr.p
	p.Alpha = alpha
	run1(t, e, p)
	want := slices.Clone(p.Y.Data)
	before := newTrial(t, set, kind{}, depth, 3, n)
	before.p.X = p.W.Plain
	where := space(e, &before.p)
	if err := e.Run(&before.p, where); err != nil {
		t.Fatal(err)
	}
	copy(p.Y.Data, tr.initial)
	p.W.Left = where.Shared
	p.W.Plain.Data = make([]float32, len(p.W.Plain.Data))
	run1(t, e, p)
	if where := space(e, p); threads == 1 && depth < 100 {
		copied := *p
		copied.Y.Data = slices.Clone(p.Y.Data)
		if got := testing.AllocsPerRun(3, func() { _ = e.Run(&copied, where) }); got != 0 {
			t.Errorf("%v: %v allocations", s, got)
		}
	}
	for i := range m {
		row := i * p.Y.Stride
		if !slices.Equal(p.Y.Data[row:row+n], want[row:row+n]) {
			t.Fatalf("%v, alpha %v, %d threads: row %d differs", s, alpha, threads, i)
		}
	}
}

// A product of few columns has the bits that these columns have among others.
func TestThin(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, form := range []kind{{name: "nt", bias: true}, {name: "nn", across: true, accumulate: true}} {
			for _, m := range []int{1, 16, 45, 100} {
				all := newTrial(t, set, form, m, 70, 2100)
				run1(t, engine(t, set, typ, 1), &all.p)
				thin := all.p
				thin.N, thin.Y.Data = 16, slices.Clone(all.initial)
				run1(t, engine(t, set, typ, 2), &thin)
				for i := range m {
					row := i * thin.Y.Stride
					if !slices.Equal(thin.Y.Data[row:row+16], all.p.Y.Data[row:row+16]) {
						t.Fatalf("%s: row %d of %d differs", form.name, i, m)
					}
				}
			}
		}
	})
}
