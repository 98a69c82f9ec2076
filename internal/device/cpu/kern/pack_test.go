package kern

import (
	"slices"
	"testing"
	"unsafe"
)

// bits is the words of a float32 array.
func bits(x []float32) []uint32 { return unsafe.Slice((*uint32)(pointer(x)), len(x)) }

// twin is the functions in Go for products like p, which takes lanes fewer.
func twin(p *Products) *Products {
	s := generic()
	if p.PerWord == 2 {
		return &s.BF16
	}
	return &s.F32
}

func TestPackRows(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for _, n := range lengths[1:] {
				for _, width := range []int{1, min(p.Rows, 14), Cols} {
					if p.Rows > 0 {
						checkPackRows(t, p, n, width)
					}
				}
			}
		}
	})
}

func checkPackRows(t *testing.T, p *Products, n, width int) {
	t.Helper()
	var rows [MaxLanes]unsafe.Pointer
	sources := make([]guarded, MaxLanes)
	for i := range rows {
		sources[i] = newGuarded(random(newRand(i), n))
		rows[i] = pointer(sources[i].slice())
	}
	words := (n + p.PerWord - 1) / p.PerWord
	size := words*width + MaxLanes
	got, want := newGuarded(make([]float32, size)), make([]float32, size)
	p.PackRows(pointer(got.slice()), unsafe.Pointer(&rows), n, 4*width)
	got.check(t, "PackRows")
	twin(p).PackRows(pointer(want), unsafe.Pointer(&rows), n, 4*width)
	for k := range words {
		used := min(width, p.Lanes)
		g, w := bits(got.slice())[k*width:][:used], bits(want)[k*width:][:used]
		if !slices.Equal(g, w) {
			t.Fatalf("n=%d width=%d word %d:\ngot  %x\nwant %x", n, width, k, g, w)
		}
	}
}

func TestPackColumns(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for _, n := range []int{1, 2, 3, 8, 31, 64} {
				for cols := 1; cols <= p.Lanes; cols++ {
					const stride = 41
					src := newGuarded(random(newRand(n), n*stride))
					words := (n + p.PerWord - 1) / p.PerWord
					got := newGuarded(make([]float32, words*Cols))
					want := make([]float32, words*Cols)
					p.PackColumns(pointer(got.slice()), pointer(src.slice()), n, 4*stride, cols, Stride)
					got.check(t, "PackColumns")
					twin(p).PackColumns(pointer(want), pointer(src.slice()), n, 4*stride, cols, Stride)
					if !slices.Equal(bits(got.slice()), bits(want)) {
						t.Fatalf("n=%d cols=%d:\ngot  %x\nwant %x", n, cols, bits(got.slice()), bits(want))
					}
				}
			}
		}
	})
}

func TestPackPanels(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		p := &s.F32
		if p.PackPanels == nil {
			t.Skip("the level packs columns")
		}
		for _, n := range []int{1, 2, 7, 32} {
			for panels := 1; panels <= 3; panels++ {
				const stride, step = 3*Cols + 5, 33 * Cols
				src := newGuarded(random(newRand(n), n*stride))
				got, want := newGuarded(make([]float32, panels*step)), make([]float32, panels*step)
				p.PackPanels(pointer(got.slice()), pointer(src.slice()), n, 4*stride, panels, 4*step)
				got.check(t, "PackPanels")
				for col := 0; col < panels*Cols; col += p.Lanes {
					to := want[col/Cols*step+col%Cols:]
					p.PackColumns(pointer(to), pointer(src.slice()[col:]), n, 4*stride, p.Lanes, Stride)
				}
				if !slices.Equal(bits(got.slice()), bits(want)) {
					t.Fatalf("n=%d panels=%d differ from packed columns", n, panels)
				}
			}
		}
	})
}

func TestFlips(t *testing.T) {
	const blocks = 3
	forEachLevel(t, func(t *testing.T, s *Set) {
		oracle := generic()
		cases := []struct {
			name      string
			got, want Flip
			src, dst  int // words of a block
		}{
			{"words", s.F32.Flip, oracle.F32.Flip, Cols * Cols, Cols * Cols},
			{"widen", s.FlipWiden, oracle.FlipWiden, Cols * Cols / 2, Cols * Cols},
			{"pairs", s.BF16.Flip, oracle.BF16.Flip, Cols * Cols / 2, Cols * Cols / 2},
		}
		for _, c := range cases {
			if c.got == nil {
				continue
			}
			src := randomPanel(7, blocks*c.src, 1)
			got, want := newGuarded(make([]float32, blocks*c.dst)), make([]float32, blocks*c.dst)
			c.got(pointer(got.slice()), pointer(src), blocks, 4*c.dst, 64)
			c.want(pointer(want), pointer(src), blocks, 4*c.dst, 64)
			got.check(t, c.name)
			if !slices.Equal(bits(got.slice()), bits(want)) {
				t.Errorf("%s differs from its twin", c.name)
			}
		}
	})
}

func TestWiden(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, n := range []int{1, 2, 5} {
			src := randomPanel(7, n*Cols, 2)
			got, want := newGuarded(make([]float32, 2*n*Cols)), make([]float32, 2*n*Cols)
			s.Widen(pointer(got.slice()), pointer(src), n)
			widenGeneric(pointer(want), pointer(src), n)
			got.check(t, "Widen")
			if !slices.Equal(bits(got.slice()), bits(want)) {
				t.Errorf("n=%d differs from its twin", n)
			}
		}
	})
}
