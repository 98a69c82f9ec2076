package kern

import (
	"math"
	"slices"
	"testing"
)

// The known answers of Random123 (kat_vectors, philox 4x32 10).
func TestWords(t *testing.T) {
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1}, [2]uint32{1<<32 - 1, 1<<32 - 1},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		var d Draw
		d.SetKey(c.key)
		if got := d.Words(c.counter); got != c.want {
			t.Errorf("%x, %x: %x, want %x", c.counter, c.key, got, c.want)
		}
	}
}

// Elements are kept by their own words whatever the level: no element's value
// tells the draws of another.
func TestDropoutKeepsNaNApart(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		d := &Draw{Limit: 1 << 15, Scale: 2}
		d.SetKey([2]uint32{1, 2})
		x := make([]float32, 203)
		for i := range x {
			x[i] = 1
			if !d.Keeps(d.Words([4]uint32{uint32(i / PerDraw), 3, 4, 0}), i) {
				x[i] = float32(math.NaN())
			}
		}
		s.Dropout(x, x, d, [4]uint32{0, 3, 4, 0})
		for i, v := range x {
			if v != 0 && v != 2 {
				t.Fatalf("element %d is %g, want 0 or 2", i, v)
			}
		}
	})
}

// A mask says what Dropout keeps, at every level and length.
func TestDropoutMask(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		d := &Draw{Limit: 20000, Scale: 2}
		d.SetKey([2]uint32{1, 2})
		for _, words := range []int{0, 1, 2, 3, 5, 6, 7, 12, 24, 25} {
			x, mask := make([]float32, words*Cols), make([]uint32, words+1)
			for i := range x {
				x[i] = 1
			}
			counter := [4]uint32{1<<32 - 5, 3, 4, 0}
			s.Dropout(x, x, d, counter)
			mask[words] = 77
			s.DropoutMask(mask[:words], d, counter)
			for i, v := range x {
				if bit := mask[i/Cols] >> (i % Cols) & 1; float32(bit)*2 != v {
					t.Fatalf("words=%d: bit %d is %d, dropout gave %g", words, i, bit, v)
				}
			}
			if mask[words] != 77 {
				t.Fatalf("words=%d: one more is written", words)
			}
		}
	})
}

// Elements are kept where the mask has a 1.
func TestKeep(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, n := range []int{0, 1, 31, 32, 33, 64, 100, 768} {
			x, mask, half := random(newRand(1), n), make([]uint32, MaskWords(n)), make([]uint16, n)
			for i := range mask {
				mask[i] = uint32(i+1) * 0x9E3779B9
			}
			roundGeneric(first(half, n), first(x, n), n)
			y, h := make([]float32, n), make([]uint16, n)
			s.Keep(y, x, mask)
			s.KeepHalf(h, half, mask)
			for i := range x {
				bit := mask[i/Cols]>>(i%Cols)&1 == 1
				if bit && (y[i] != x[i] || h[i] != half[i]) || !bit && (y[i] != 0 || h[i] != 0) {
					t.Fatalf("n=%d: element %d of %g is %g and %x, kept: %v", n, i, x[i], y[i], h[i], bit)
				}
			}
		}
	})
}

// Rows are added to where the mask has a 1, whatever lies around them.
func TestAddKept(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, rows := range []int{1, 2, 7, MaxRows} {
			for _, columns := range []int{1, 5, Cols - 1, Cols} {
				checkAddKept(t, s, rows, columns)
			}
		}
	})
}

func checkAddKept(t *testing.T, s *Set, rows, columns int) {
	t.Helper()
	const ldc, maskStride = Cols + 16, 3
	c, low := newGuarded(random(newRand(1), rows*ldc)), random(newRand(2), rows*Cols)
	mask := make([]uint32, rows*maskStride)
	for i := range mask {
		mask[i] = uint32(i+1) * 0x9E3779B9
	}
	k := &Kept{C: pointer(c.slice()), Low: pointer(low), Mask: first(mask, 1), LDC: 4 * ldc, MaskStride: 4 * maskStride, Rows: rows, Scale: 1.25}
	want := slices.Clone(c.slice())
	for i := range rows * columns {
		if row, col := i/columns, i%columns; mask[row*maskStride]>>col&1 == 1 {
			want[row*ldc+col] += 1.25 * low[row*Cols+col]
		}
	}
	s.AddKept(k, columns)
	c.check(t, "c")
	if err := differ("AddKept", c.slice(), want); err != nil {
		t.Fatalf("rows=%d columns=%d: %v", rows, columns, err)
	}
}

// A y in bfloat16 is the rounded one, whatever its length.
func TestDropoutHalf(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		d := &Draw{Limit: 1 << 14, Scale: 1.25}
		d.SetKey([2]uint32{1, 2})
		for _, n := range []int{0, 1, 4, 15, 16, 17, 63, 64, 65, 80, 127, 128, 192, 203, 768} {
			x, wide, want := random(newRand(n), n), make([]float32, n), make([]uint16, n)
			y := make([]uint16, n+2) // one more on each side
			s.Dropout(wide, x, d, [4]uint32{7, 3, 4, 0})
			s.ToBF16(want, wide)
			s.DropoutHalf(y[1:n+1], x, make([]float32, n), d, [4]uint32{7, 3, 4, 0})
			if !slices.Equal(y[1:n+1], want) || y[0] != 0 || y[n+1] != 0 {
				t.Fatalf("n=%d: %v, want %v", n, y, want)
			}
		}
	})
}
