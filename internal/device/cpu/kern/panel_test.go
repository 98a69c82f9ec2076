package kern

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"
)

// A panel under a mask is the panel of rows under it.
func TestKeepPanel(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for rows := 1; p.KeepPanel != nil && rows <= p.Rows; rows++ {
				for _, words := range []int{1, 2, 15, 16, 17, 31, 32, 33, 70} {
					checkKeepPanel(t, s, p, rows, words)
				}
			}
		}
	})
}

func checkKeepPanel(t *testing.T, s *Set, p *Products, rows, words int) {
	t.Helper()
	name, n := fmt.Sprintf("%d a word, rows=%d words=%d", p.PerWord, rows, words), words*p.PerWord
	x, maskWords := random(newRand(rows), rows*n), MaskWords(n)
	mask, kept := make([]uint32, rows*maskWords), make([]float32, rows*n)
	for i := range mask {
		mask[i] = uint32(i+words) * 0x9E3779B9
	}
	across := make([]uint32, maskWords*MaxLanes)
	for i := range rows {
		KeepRow(kept[i*n:][:n], x[i*n:], mask[i*maskWords:])
		for j := range maskWords {
			across[j*MaxLanes+i] = mask[i*maskWords+j]
		}
	}
	panel, want := packedLeft(p, x, rows, n), packedLeft(p, kept, rows, n)
	size := rows * words
	y := newGuarded(make([]float32, size+Slack/4))
	p.KeepPanel(pointer(y.slice()), pointer(panel), pointer(across), 4*rows, words)
	y.check(t, name)
	if !slices.Equal(bits(y.slice()[:size]), want[:size]) {
		t.Fatalf("%s: differs from a panel of rows under the mask", name)
	}
}

// packedLeft is a panel of n elements of rows, and what its packer may write behind it.
func packedLeft(p *Products, x []float32, rows, n int) []uint32 {
	panel := make([]uint32, rows*n/p.PerWord+Slack/4)
	var table [MaxRows]unsafe.Pointer
	for i := range rows {
		table[i] = pointer(x[i*n:])
	}
	p.PackLeft(pointer(panel), &table, rows, n)
	return panel
}

// A product of few words under a mask has the bits of a tile that is added under it.
func TestLowKept(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			for rows := 1; p.LowKept != nil && rows <= p.Rows; rows++ {
				for _, k := range []int{1, 2, 8, LowWords} {
					const ldc, maskRow, scale = Cols + 5, 3, 1.25
					a, b := randomPanel(1, k*rows, p.PerWord), randomPanel(2, k*Cols, p.PerWord)
					mask, low := randomPanel(3, rows*maskRow, 1), make([]float32, rows*Cols)
					got, want := newGuarded(random(newRand(4), rows*ldc)), newGuarded(random(newRand(4), rows*ldc))
					p.LowKept(k, pointer(a), rows, pointer(b), pointer(got.slice()), 4*ldc, pointer(mask), 4*maskRow, scale)
					p.Tile[rows](k, pointer(a), pointer(b), pointer(low), Stride, 1, 0, nil)
					s.AddKept(&Kept{C: pointer(want.slice()), LDC: 4 * ldc, Low: pointer(low), Mask: pointer(mask), MaskStride: 4 * maskRow, Rows: rows, Scale: scale}, Cols)
					name := fmt.Sprintf("%d a word, rows=%d k=%d", p.PerWord, rows, k)
					got.check(t, name)
					if !slices.Equal(bits(got.slice()), bits(want.slice())) {
						t.Fatalf("%s: differs", name)
					}
				}
			}
		}
	})
}

// Rows of a tile are rounded as other rows are.
func TestRoundTile(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		p := &s.BF16
		for rows := 1; p.RoundTile != nil && rows <= p.Rows; rows++ {
			const stride = Cols + 32
			c, y := random(newRand(rows), rows*Cols), make([]uint16, (rows+2)*stride)
			want := slices.Clone(y)
			for i := range rows {
				s.ToBF16(want[(i+1)*stride:][:Cols], c[i*Cols:][:Cols])
			}
			p.RoundTile(pointer(y[stride:]), 2*stride, pointer(c), rows)
			if !slices.Equal(y, want) {
				t.Fatalf("rows=%d: differs from rounded rows", rows)
			}
		}
	})
}
