package kern

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"
)

// Panels of A from rows and from columns are the same, and what arranged says.
func TestPackLeft(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for lanes := 1; lanes <= p.Rows; lanes++ {
				for _, n := range []int{1, 2, 3, 31, 32, 33, 64, 95} {
					checkPackLeft(t, p, lanes, n)
				}
			}
		}
	})
}

func checkPackLeft(t *testing.T, p *Products, lanes, n int) {
	t.Helper()
	const stride = 41
	words := (n + p.PerWord - 1) / p.PerWord
	size := p.LeftWords(words)*lanes + Slack/4
	x := random(newRand(n), n*stride) // row k, column of lane
	across := make([]float32, lanes*n)
	var table [MaxRows]unsafe.Pointer
	for i := range lanes {
		for k := range n {
			across[i*n+k] = x[k*stride+i]
		}
		table[i] = pointer(across[i*n:])
	}
	want := make([]uint32, words*lanes)
	for w := range words {
		for i := range lanes {
			last := min((w+1)*p.PerWord, n)
			v := across[i*n:][w*p.PerWord : last]
			if want[w*lanes+i] = bits(v)[0]; p.PerWord == 2 {
				want[w*lanes+i] = pair(v)
			}
		}
	}
	want = arranged(p, want, words, lanes)
	rows, columns := newGuarded(make([]float32, size)), newGuarded(make([]float32, size))
	p.PackLeft(pointer(rows.slice()), &table, lanes, n)
	p.PackLeftColumns(pointer(columns.slice()), pointer(x), n, 4*stride, lanes)
	for name, g := range map[string]guarded{"rows": rows, "columns": columns} {
		g.check(t, name)
		if !slices.Equal(bits(g.slice())[:len(want)], want) {
			t.Fatalf("%s lanes=%d n=%d:\ngot  %x\nwant %x", name, lanes, n, bits(g.slice())[:len(want)], want)
		}
	}
}

// A panel of rows that are bfloat16 already has the bits of one that rounds them.
func TestPackLeftHalf(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for lanes := 1; lanes <= s.BF16.Rows; lanes++ {
			for _, n := range []int{32, 64, 96, 320} {
				x, half := random(newRand(n), lanes*n), make([]uint16, lanes*n)
				s.ToBF16(half, x)
				size := n/2*lanes + Slack/4
				want, got := newGuarded(make([]float32, size)), newGuarded(make([]float32, size))
				var table [MaxRows]unsafe.Pointer
				for i := range lanes {
					table[i] = pointer(x[i*n:])
				}
				s.BF16.PackLeft(pointer(want.slice()), &table, lanes, n)
				for i := range lanes {
					table[i] = unsafe.Pointer(&half[i*n])
				}
				s.PackLeftHalf(pointer(got.slice()), &table, lanes, n)
				got.check(t, "half")
				if words := n / 2 * lanes; !slices.Equal(bits(got.slice())[:words], bits(want.slice())[:words]) {
					t.Fatalf("lanes=%d n=%d: the panels differ", lanes, n)
				}
			}
		}
	})
}

// A panel of columns that are bfloat16 already has the bits of one that rounds them.
func TestPackLeftColumnsHalf(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		if s.leftColumnsHalf == nil {
			return
		}
		const stride = 48
		for _, lanes := range []int{16, 32} {
			for n := 1; n <= 97; n++ {
				x := random(newRand(n), (n-1)*stride+lanes)
				half := make([]uint16, len(x)) // nothing lies behind the last column
				s.ToBF16(half, x)
				size := s.BF16.LeftWords((n+1)/2)*lanes + Slack/4
				want, got := newGuarded(make([]float32, size)), newGuarded(make([]float32, size))
				s.BF16.PackLeftColumns(pointer(want.slice()), pointer(x), n, 4*stride, lanes)
				s.PackLeftColumnsHalf(pointer(got.slice()), unsafe.Pointer(&half[0]), n, 2*stride, lanes)
				got.check(t, "half")
				if words := size - Slack/4; !slices.Equal(bits(got.slice())[:words], bits(want.slice())[:words]) {
					t.Fatalf("lanes=%d n=%d: the panels differ", lanes, n)
				}
			}
		}
	})
}

// A strip gives the bits of its tiles.
func TestStrip(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for rows := 1; rows <= p.Rows; rows++ {
				for _, k := range []int{1, 16, 37} {
					const panels, ldc = 3, 3*Cols + 5
					a, b := arranged(p, randomPanel(1, k*rows, p.PerWord), k, rows), randomPanel(2, panels*k*Cols, p.PerWord)
					before := random(newRand(3), rows*ldc)
					for add := range 2 {
						g, want := newGuarded(before), slices.Clone(before)
						p.Strip(rows, k, pointer(a), pointer(b), k*Stride, pointer(g.slice()), 4*ldc, add, panels)
						for i := range panels {
							p.Tile[rows](k, pointer(a), pointer(b[i*k*Cols:]), pointer(want[i*Cols:]), 4*ldc, 1, add, nil)
						}
						name := fmt.Sprintf("rows=%d k=%d add=%d", rows, k, add)
						g.check(t, name)
						if !slices.Equal(g.slice(), want) {
							t.Fatalf("%s: a strip differs from its tiles", name)
						}
					}
				}
			}
		}
	})
}
