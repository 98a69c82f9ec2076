package gemm

import (
	"fmt"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// An x that lies across its panels gives the bits of its transpose, whatever ends
// within the rows that are packed at a time, on any number of threads.
func TestStrided(t *testing.T) {
	const n = 2*kern.Cols + 6
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, s := range [][2]int{{1, 1}, {15, 63}, {45, stridedRows}, {100, stridedRows + 1}, {121, 3*stridedRows - 2}} {
			m, k := s[0], s[1]
			along := newTrial(t, set, kind{}, m, n, k)
			across := randomMatrix(newRand(1), k, m, 3)
			for i := range m {
				for j := range k {
					across.Data[j*across.Stride+i] = along.p.X.Data[i*along.p.X.Stride+j]
				}
			}
			run1(t, engine(t, set, typ, 1), &along.p)
			want := slices.Clone(along.p.Y.Data)
			along.p.X, along.p.XAcross = across, true
			for threads := 1; threads <= 3; threads++ {
				run1(t, engine(t, set, typ, threads), &along.p)
				checkSame(t, fmt.Sprintf("%dx%dx%d on %d threads", m, n, k, threads), &along.p, want)
			}
		}
	})
}

func checkSame(t *testing.T, name string, p *Product, want []float32) {
	t.Helper()
	for i := range p.M {
		at := i * p.Y.Stride
		if !slices.Equal(p.Y.Data[at:at+p.N], want[at:at+p.N]) {
			t.Errorf("%s: row %d differs", name, i)
			return
		}
	}
}
