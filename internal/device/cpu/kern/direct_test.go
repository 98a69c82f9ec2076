package kern

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"
)

// Ensure that Ahead lies where the functions read it.
func TestAheadOfDirectWork(t *testing.T) {
	if at := unsafe.Offsetof(DirectWork{}.Ahead); at != 84*64 {
		t.Fatalf("Ahead lies at %d", at)
	}
}

// Ensure that direct products, and panels that are made in registers, have the
// bits of decoded rows that are packed and multiplied by a tile.
func TestDirect(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, d := range s.directTrials() {
			for _, n := range []int{1, 2, 3, 17} {
				for _, m := range []int{1, 3, 4, 5, 9, 14} {
					checkDirect(t, s, &s.F32, d, n, m)
					if d.Pack != nil {
						checkDirect(t, s, &s.BF16, d, n, m)
					}
				}
			}
		}
	})
}

func checkDirect(t *testing.T, s *Set, p *Products, d directTrial, n, m int) {
	t.Helper()
	k, step := n*d.elements, blockBack+n*d.bytes+3
	words, size := k/p.PerWord, 4/p.PerWord
	src := randomBlocks(DirectRows * step)
	first := unsafe.Pointer(&src[blockBack])
	rows, b := make([]uint32, DirectRows*words), make([]uint32, words*Cols)
	decoders, direct, pack := &s.Floats, d.DirectFloat, d.PackFloat
	if p == &s.BF16 {
		decoders, direct, pack = &s.Halves, d.Direct, d.Pack
	}
	d.decoder(decoders)(pointer(rows), first, n, DirectRows, size*k, step, 0, blockBack)
	var table [MaxRows]unsafe.Pointer
	for lane := 0; lane < Cols; lane += p.Lanes {
		for i := range p.Lanes {
			table[i] = pointer(rows[(lane+i)*words:])
		}
		s.Words(pointer(b[lane:]), unsafe.Pointer(&table), words, Stride)
	}
	work := workOf(src, step)
	what := fmt.Sprintf("%s, %d blocks, %d rows, %d elements to a word", d.name, n, m, p.PerWord)
	if pack != nil {
		panel := make([]uint32, len(b)+Cols)
		pack(pointer(panel), first, n, step, &work)
		if !slices.Equal(panel[:len(b)], b) || panel[len(b)] != 0 {
			t.Fatalf("%s: the panel differs from decoded rows, packed", what)
		}
	}
	if direct == nil || m > p.Rows || p == &s.F32 && !d.takes(m) {
		return
	}
	x := random(newRand(m), m*k)
	for i := range m {
		table[i] = pointer(x[i*k:])
	}
	a := make([]uint32, m*words+Slack)
	p.PackLeft(pointer(a), &table, m, k)
	want, got := make([]float32, m*Cols), newGuarded(make([]float32, m*Cols))
	p.Tile[m](words, pointer(a), pointer(b), pointer(want), Stride, 1, 0, pointer(b))
	direct(pointer(got.slice()), pointer(a), first, n, step, m, &work)
	got.check(t, what)
	sameBits(t, what, got.slice(), want)
}

// Ensure that products of few rows with blocks have the bits of Few on the decoded
// rows, neighbours or every other one, and write no more.
func TestFewBlocks(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, d := range s.directTrials() {
			for _, n := range []int{1, 2, 3, 17} {
				for m := 1; m <= FewRows && d.Few != nil; m++ {
					for add := range 2 {
						checkFewBlocks(t, s, d, n, m, add, false)
						checkFewBlocks(t, s, d, n, m, add, true)
					}
				}
			}
		}
	})
}

func checkFewBlocks(t *testing.T, s *Set, d directTrial, n, m, add int, apart bool) {
	t.Helper()
	k, step := n*d.elements, blockBack+n*d.bytes+3
	src := randomBlocks(DirectRows * step)
	if m%2 > 0 { // a block of zeros in each group, whose scale is zero too
		clear(src[5*step+blockBack:][:d.bytes])
		clear(src[20*step+blockBack+(n-1)*d.bytes:][:d.bytes])
	}
	first := unsafe.Pointer(&src[blockBack])
	rows, wide := make([]uint16, DirectRows*k), make([]uint32, k/2*FewRows)
	d.decoder(&s.Halves)(pointer(rows), first, n, DirectRows, 2*k, step, 0, blockBack)
	work := workOf(src, step)
	srcStep, next := step, FewGroup*step
	if apart {
		srcStep, next = 2*step, step
		inOrder, scales := slices.Clone(rows), work.Scales
		for i := range DirectRows {
			row := i%FewGroup*2 + i/FewGroup
			copy(rows[i*k:], inOrder[row*k:][:k])
			work.Scales[i] = scales[row]
		}
	}
	x := randomPanel(m, k/2*m, 2)
	for i, word := range x {
		wide[i/m*FewRows+i%m] = word
	}
	what := fmt.Sprintf("%s, %d blocks, %d rows, add %d, apart %v", d.name, n, m, add, apart)
	want := random(newRand(m), DirectRows*FewRows)
	got, space := newGuarded(make([]float32, DirectRows*m)), newGuarded(make([]float32, FewSpace/4))
	for i := range got.slice() {
		got.slice()[i] = want[i/m*FewRows+i%m]
	}
	s.BF16.Few(k/2, pointer(rows), 2*k, pointer(wide), pointer(want), add)
	d.Few(pointer(got.slice()), pointer(x), first, n, srcStep, next, DirectRows/FewGroup, m, add, &work, pointer(space.slice()))
	got.check(t, what)
	space.check(t, what)
	for i := range DirectRows {
		sameBits(t, what, got.slice()[i*m:][:m], want[i*FewRows:][:m])
	}
}

// workOf has the distances of Int8.
func workOf(src []byte, step int) (work DirectWork) {
	for i := range work.Scales {
		work.Scales[i] = *(*float32)(unsafe.Pointer(&src[i*step])) / 127
	}
	return work
}
