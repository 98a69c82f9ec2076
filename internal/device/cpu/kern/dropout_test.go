package kern

import (
	"math"
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
		d := &Draw{Limit: 1 << 31, Scale: 2}
		d.SetKey([2]uint32{1, 2})
		x := make([]float32, 203)
		for i := range x {
			x[i] = 1
			if d.Words([4]uint32{uint32(i / 4), 3, 4, 0})[i%4] < d.Limit {
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
