package kern

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"align/internal/device/cpu/feature"
)

// lengths are those where whole registers, unrolled steps and rests meet.
var lengths = []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 1000, 4096}

// forEachLevel runs a test on every level of the machine. A level that
// ALIGN_REQUIRE_KERNEL lists, separated by commas, must not be missing.
func forEachLevel(t *testing.T, run func(t *testing.T, s *Set)) {
	required := strings.Split(os.Getenv("ALIGN_REQUIRE_KERNEL"), ",")
	for level := feature.Generic; level <= feature.Highest; level++ {
		t.Run(level.String(), func(t *testing.T) {
			if !feature.Has(level) {
				if slices.Contains(required, level.String()) {
					t.Fatalf("the machine has %s at most, and ALIGN_REQUIRE_KERNEL asks for %s", feature.Detect(), level)
				}
				t.Skipf("the machine has %s at most", feature.Detect())
			}
			run(t, New(level))
		})
	}
}

func newRand(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 1)) }

// random is n floats of about normal size.
func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// guard is how many NaN stand before and behind a guarded array.
const guard = 32

// guarded is n elements between NaN, which check finds changed or not.
type guarded struct{ all []float32 }

func newGuarded(x []float32) guarded {
	g := guarded{make([]float32, len(x)+2*guard)}
	for i := range g.all {
		g.all[i] = float32(math.NaN())
	}
	copy(g.slice(), x)
	return g
}

func (g guarded) slice() []float32 { return g.all[guard : len(g.all)-guard] }

func (g guarded) check(t *testing.T, name string) {
	t.Helper()
	for _, edge := range [][]float32{g.all[:guard], g.all[len(g.all)-guard:]} {
		for _, x := range edge {
			if x == x {
				t.Fatalf("%s: a write outside the array", name)
			}
		}
	}
}

// near compares with a tolerance relative to the larger of scale and |want|.
func near(got, want, relative, scale float64) bool {
	if math.IsNaN(want) || math.IsInf(want, 0) {
		return got == want || math.IsNaN(got) && math.IsNaN(want)
	}
	return math.Abs(got-want) <= relative*max(math.Abs(want), scale)
}

func pointer[E any](x []E) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(x)) }
