package ptxsim

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What an instruction adds at once has no order, is exact where nothing is cut off,
// and is otherwise at most a unit of each summand and one of the result too near to 0.
func TestSumsOfCards(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	draw := func(bits int) float32 {
		return float32(rng.IntN(2<<bits)-1<<bits) * float32(math.Ldexp(1, rng.IntN(6)))
	}
	for _, s := range []Sums{AmpereSums, HopperSums} {
		for range 2000 {
			var left [16]float32
			var right [16][8]float32
			sum := draw(18) / 3
			want, largest := float64(sum), math.Abs(float64(sum))
			for k := range left {
				left[k], right[k][5] = draw(7), draw(7)
				p := float64(left[k]) * float64(right[k][5])
				want, largest = want+p, max(largest, math.Abs(p))
			}
			got := s.add(sum, left[:], &right, 5)
			unit := math.Ldexp(2*largest, -s.Bits) * float64(16+16/s.Terms)
			if bound := unit + math.Ldexp(max(math.Abs(want), 16*largest), -22)*float64(16/s.Terms); math.Abs(float64(got)-want) > bound {
				t.Fatalf("%+v: %v, want %v within %g", s, got, want, bound)
			}
			rng.Shuffle(s.Terms, func(i, j int) {
				left[i], left[j], right[i], right[j] = left[j], left[i], right[j], right[i]
			})
			if again := s.add(sum, left[:], &right, 5); again != got {
				t.Fatalf("%+v: %v in another order, %v before", s, again, got)
			}
		}
		var right [16][8]float32
		right[0][0], right[1][0], right[2][0] = 1, 1, 1
		for _, c := range []struct {
			sum, want float32
			left      []float32
		}{
			{1, 3.5, []float32{2, 0.5}},
			{1 << 24, 1 << 24, []float32{0.999}},      // below what the largest keeps
			{-(1 << 24), -(1 << 24), []float32{-1}},   // toward 0, where the nearest is a tie
			{0, 0, []float32{1 << 30, 1, -(1 << 30)}}, // cut off in between
			{3, float32(math.Inf(1)), []float32{float32(math.Inf(1)), 1}},
			{0x1p-140, 0x1p-139, []float32{0x1p-140}}, // subnormal numbers count
		} {
			if got := s.add(c.sum, c.left, &right, 0); got != c.want {
				t.Errorf("%+v: %v and %v: %v, want %v", s, c.sum, c.left, got, c.want)
			}
		}
	}
}

// A function's result is off by no more than it may, in both directions, and the same
// every time.
func TestApproximationsStayNear(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 9))
	least, most := 0, 0
	for range 10000 {
		v := rng.Uint32()
		got := off(v, 2, false)
		if got != off(v, 2, false) {
			t.Fatalf("%#x: another result the second time", v)
		}
		n := int(int32(got - v))
		if x := f32(v); n != 0 && (x-x != 0 || math.Signbit(float64(x)) != math.Signbit(float64(f32(got)))) {
			t.Fatalf("%#x became %#x", v, got)
		}
		least, most = min(least, n), max(most, n)
		if x := rng.Float32()*2 - 1; math.Abs(float64(f32(off(bits32(x), 2, true))-x)) > 0x1p-22 {
			t.Fatalf("the logarithm %v is off by more than 2^-22", x)
		}
	}
	if least != -2 || most != 2 {
		t.Errorf("off by %d to %d: want -2 to 2", least, most)
	}
}
