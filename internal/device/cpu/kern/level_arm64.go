package kern

import "align/internal/device/cpu/feature"

// raise replaces the functions that a level has assembly for.
func (s *Set) raise(level feature.Level) {
	if level == feature.NEON {
		s.neon()
	}
}

// neon multiplies float32, to which bfloat16 is widened; packers and functions
// on vectors are portable Go.
func (s *Set) neon() {
	p := &s.F32
	p.Rows = 8
	p.Tile = [MaxRows + 1]Tile{
		1: tileNEONx1, 2: tileNEONx2, 3: tileNEONx3, 4: tileNEONx4,
		5: tileNEONx5, 6: tileNEONx6, 7: tileNEONx7, 8: tileNEONx8,
	}
	p.Peak, p.PeakFlops = peakNEON, 24*4*2
	s.BF16 = Products{}
	s.Widen = widenNEON
}
