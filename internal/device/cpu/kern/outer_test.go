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
	of := outerTrial{t: t, n: n, groups: groups, u: u, perWord: p.PerWord, want: p.tilesOfOuter(n, x, cols, u)}
	of.run("float32", pointer(x), 4*cols, p.Outer)
	of.run("bfloat16", p.side(x), 2*cols, p.OuterHalf)
	if p.OuterNext != nil {
		of.run("next", pointer(x), 4*cols, func(n int, x unsafe.Pointer, xRow int, u, c unsafe.Pointer, groups, add int) {
			p.OuterNext(n, x, xRow, u, c, groups, add, x, xRow)
		})
	}
	if p.OuterKept != nil {
		checkOuterKept(p, of, x)
	}
}

// checkOuterKept is checkOuter of x under a mask.
func checkOuterKept(p *Products, of outerTrial, x []float32) {
	cols, maskWords := of.groups*OuterCols, MaskWords(of.groups*OuterCols)+1
	mask, kept := make([]uint32, of.n*maskWords), make([]float32, len(x))
	for i := range mask {
		mask[i] = uint32(i+1) * 0x9E3779B9
	}
	for i := range of.n {
		KeepRow(kept[i*cols:][:cols], x[i*cols:], mask[i*maskWords:])
	}
	row := 0
	of.want = p.tilesOfOuter(of.n, kept, cols, of.u)
	of.run("masked", p.side(x), cols*p.sideBytes(), func(n int, x unsafe.Pointer, xRow int, u, c unsafe.Pointer, groups, add int) {
		if add == 0 {
			row = 0
		}
		p.OuterKept(n, x, xRow, pointer(mask[row*maskWords:]), 4*maskWords, u, c, groups, add)
		row += n
	})
}

// outerTrial is sums over n rows and what they should be.
type outerTrial struct {
	t                  *testing.T
	n, groups, perWord int
	u, want            []float32
}

// run calls outer for all of the rows, and cut in two, where the level has it.
func (o *outerTrial) run(name string, x unsafe.Pointer, xRow int, outer func(n int, x unsafe.Pointer, xRow int, u, c unsafe.Pointer, groups, add int)) {
	o.t.Helper()
	if outer == nil {
		return
	}
	for _, cut := range []int{o.n, (o.n + 3) / 4 * 2} {
		c := newGuarded(random(newRand(3), len(o.want)))
		for from := 0; from < o.n; from += cut {
			outer(min(cut, o.n-from), at(x, from*xRow), xRow, pointer(o.u[from/o.perWord*OuterCols:]), pointer(c.slice()), o.groups, from)
		}
		name := fmt.Sprintf("%s: n=%d groups=%d cut=%d", name, o.n, o.groups, cut)
		c.check(o.t, name)
		if !slices.Equal(bits(c.slice()), bits(o.want)) {
			o.t.Fatalf("%s: differs from tiles", name)
		}
	}
}

// Sums of a thin product that go on have the bits of a tile, from rows of any distance.
func TestThinKept(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		p := &s.F32
		if p.ThinKept == nil {
			t.Skip("the level has none")
		}
		for _, k := range []int{32, 64, 160} {
			for _, cut := range []int{k, 32} {
				checkThinKept(t, p, k, cut)
			}
		}
	})
}

func checkThinKept(t *testing.T, p *Products, k, cut int) {
	t.Helper()
	stride, rows := k+8, 2*p.Rows
	a, b := random(newRand(k), rows*stride), random(newRand(1), k*Cols)
	c := newGuarded(random(newRand(2), rows*ThinCols))
	for at := 0; at < k; at += cut {
		p.ThinKept(cut, pointer(a[at:]), 4*stride, pointer(b[at*Cols:]), pointer(c.slice()), at)
	}
	var want []float32
	tile := make([]float32, Cols)
	for i := range rows {
		p.Tile[1](k, pointer(a[i*stride:]), pointer(b), pointer(tile), Stride, 1, 0, nil)
		want = append(want, tile[:ThinCols]...)
	}
	c.check(t, fmt.Sprintf("k=%d cut=%d", k, cut))
	if !slices.Equal(bits(c.slice()), bits(want)) {
		t.Fatalf("k=%d cut=%d: differs from tiles", k, cut)
	}
}

// Rows come side by side, under a mask or all of them.
func TestKeepRows(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		if s.F32.KeepRows == nil {
			t.Skip("the level has none")
		}
		for _, rows := range []int{1, 2, 7} {
			for words := 1; words <= 5; words++ {
				checkKeepRows(t, s, rows, words)
			}
		}
	})
}

func checkKeepRows(t *testing.T, s *Set, rows, words int) {
	t.Helper()
	n, stride := words*Cols, words*Cols+8
	x, mask := random(newRand(rows), rows*stride), make([]uint32, rows*(words+1))
	for i := range mask {
		mask[i] = uint32(i+1) * 0x9E3779B9
	}
	for _, masked := range []bool{false, true} {
		want := make([]float32, rows*n)
		for i := range rows {
			if copy(want[i*n:], x[i*stride:][:n]); masked {
				KeepRow(want[i*n:][:n], x[i*stride:][:n], mask[i*(words+1):])
			}
		}
		y, at := newGuarded(random(newRand(3), rows*n)), unsafe.Pointer(nil)
		if masked {
			at = pointer(mask)
		}
		s.F32.KeepRows(pointer(y.slice()), pointer(x), 4*stride, at, 4*(words+1), rows, words)
		y.check(t, fmt.Sprintf("rows=%d words=%d", rows, words))
		if !slices.Equal(bits(y.slice()), bits(want)) {
			t.Fatalf("rows=%d words=%d masked=%v: differs", rows, words, masked)
		}
	}
}
