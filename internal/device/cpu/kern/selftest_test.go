package kern

import (
	"strings"
	"testing"
	"unsafe"
)

func TestSelfTest(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		if err := s.SelfTest(); err != nil {
			t.Fatal(err)
		}
		s.dot = func(x, _ unsafe.Pointer, n int) float32 { return s.dot3(x, x, x, n) }
		s.F32.Tile[2] = s.F32.Tile[1]
		err := s.SelfTest()
		if err == nil || !strings.Contains(err.Error(), "Dot gives") || !strings.Contains(err.Error(), "tile of 2 rows") {
			t.Errorf("two wrong functions: error %v", err)
		}
	})
}

// What a product of an adapter goes by is tried in both of its forms.
func TestSelfTestFindsWrongRows(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		if s.BF16.ThinRows == nil {
			t.Skip("the level has none")
		}
		thin, turn := s.BF16.ThinRows, s.BF16.Turn
		s.BF16.ThinRows = func(k int, a unsafe.Pointer, aRow int, b, c unsafe.Pointer, alpha float32, add int) {
			thin(k, a, aRow, b, c, 2*alpha, add)
		}
		if turn != nil {
			s.BF16.Turn = func(p *Turn) {
				turn(p)
				if p.BRow > 0 {
					*(*float32)(p.C) += 1
				}
			}
		}
		err := s.SelfTest()
		if err == nil || !strings.Contains(err.Error(), "thin product gives") || turn != nil && !strings.Contains(err.Error(), "turned product gives") {
			t.Errorf("two wrong functions: error %v", err)
		}
	})
}
