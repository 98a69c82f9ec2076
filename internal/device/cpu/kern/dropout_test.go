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

// What is dropped is -0 and what is kept never is, at every level.
func TestDropoutMarksWhatItDrops(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		d := &Draw{Limit: 1 << 15, Scale: 2}
		d.SetKey([2]uint32{1, 2})
		x := make([]float32, 203)
		for i := range x {
			x[i] = []float32{1, 0, float32(math.Copysign(0, -1)), -3}[i/7%4]
		}
		y := make([]float32, len(x))
		s.Dropout(y, x, d, [4]uint32{0, 3, 4, 0})
		for i, v := range y {
			drops := !d.Keeps(d.Words([4]uint32{uint32(i / PerDraw), 3, 4, 0}), i)
			if want := 2 * x[i]; drops != (v == 0 && math.Signbit(float64(v))) || !drops && v != want {
				t.Fatalf("element %d of %g is %g, dropped: %v", i, x[i], v, drops)
			}
		}
	})
}

// Rows are added to where the mask is not -0, whatever lies around them.
func TestAddKept(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, rows := range []int{1, 2, 7, MaxRows} {
			for _, columns := range []int{1, 5, Cols - 1, Cols} {
				for _, half := range []bool{false, true} {
					checkAddKept(t, s, rows, columns, half)
				}
			}
		}
	})
}

func checkAddKept(t *testing.T, s *Set, rows, columns int, half bool) {
	t.Helper()
	const ldc, maskStride = Cols + 16, Cols + 8
	c, low := newGuarded(random(newRand(1), rows*ldc)), random(newRand(2), rows*Cols)
	mask := random(newRand(3), rows*maskStride)
	for i := range mask {
		if i%3 > 0 {
			mask[i] = float32(math.Copysign(0, float64(i%3)-1.5))
		}
	}
	k := &Kept{C: pointer(c.slice()), Low: pointer(low), Mask: pointer(mask), LDC: 4 * ldc, MaskStride: 4 * maskStride, Rows: rows, Scale: 1.25, Half: half}
	halves := make([]uint16, len(mask))
	if half {
		roundGeneric(first(halves, len(halves)), pointer(mask), len(mask))
		k.Mask, k.MaskStride = first(halves, 1), 2*maskStride
	}
	want := slices.Clone(c.slice())
	for i := range rows * columns {
		row, col := i/columns, i%columns
		if m := mask[row*maskStride+col]; m != 0 || !math.Signbit(float64(m)) {
			want[row*ldc+col] += 1.25 * low[row*Cols+col]
		}
	}
	s.AddKept(k, columns)
	c.check(t, "c")
	if err := differ("AddKept", c.slice(), want); err != nil {
		t.Fatalf("rows=%d columns=%d half=%v: %v", rows, columns, half, err)
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
