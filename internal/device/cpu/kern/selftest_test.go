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
