package kern

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

const (
	// elementTolerance bounds a handful of float32 roundings, of which exp
	// has the largest share, relative to the size of an element's terms.
	elementTolerance = 1e-6
	// sumTolerance bounds sums in lanes: the longest lane has 4096/64 terms.
	sumTolerance = 4e-6
	// tiny is below what a flush of subnormals changes.
	tiny = 1e-37
)

// apply runs a function on arrays whose first is the output; the others are
// inputs. It returns the results that are not arrays.
type apply func(s *Set, x [][]float32) []float64

// vectorCase is one function: outs arrays it writes, ins more that it reads.
type vectorCase struct {
	name      string
	outs, ins int
	run       apply
	exact     bool
}

func vectorCases() []vectorCase {
	adam := &AdamW{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, LearningRate: 1e-2, Clip: 0.5, Bias1: 0.1, Bias2: 0.001}
	draw := &Draw{Limit: 1 << 14, Scale: 4. / 3}
	draw.SetKey([2]uint32{7, 11})
	one := func(f func(s *Set, x [][]float32) float64) apply {
		return func(s *Set, x [][]float32) []float64 { return []float64{f(s, x)} }
	}
	none := func(f func(s *Set, x [][]float32)) apply {
		return func(s *Set, x [][]float32) []float64 { f(s, x); return nil }
	}
	return []vectorCase{
		{"Max", 0, 1, one(func(s *Set, x [][]float32) float64 { return float64(s.Max(x[0])) }), true},
		{"Dot", 0, 2, one(func(s *Set, x [][]float32) float64 { return float64(s.Dot(x[0], x[1])) }), false},
		{"Dot3", 0, 3, one(func(s *Set, x [][]float32) float64 { return float64(s.Dot3(x[0], x[1], x[2])) }), false},
		{"SumSquares", 0, 1, one(func(s *Set, x [][]float32) float64 { return s.SumSquares(x[0]) }), false},
		{"ExpSum", 1, 1, one(func(s *Set, x [][]float32) float64 { return float64(s.ExpSum(x[0], x[1], 3, 0.5)) }), false},
		{"ExpMoments", 0, 1, func(s *Set, x [][]float32) []float64 {
			sum, moment := s.ExpMoments(x[0], 1.5, 2)
			return []float64{float64(sum), float64(moment)}
		}, false},
		{"SoftmaxGrad", 1, 2, none(func(s *Set, x [][]float32) { s.SoftmaxGrad(x[0], x[1], x[2], 0.25, 0.125) }), false},
		{"Scale", 1, 1, none(func(s *Set, x [][]float32) { s.Scale(x[0], x[1], 0.7) }), true},
		{"Add", 1, 2, none(func(s *Set, x [][]float32) { s.Add(x[0], x[1], x[2]) }), true},
		{"Axpy", 1, 1, none(func(s *Set, x [][]float32) { s.Axpy(x[0], x[1], 0.7) }), false},
		{"MulAdd", 1, 2, none(func(s *Set, x [][]float32) { s.MulAdd(x[0], x[1], x[2], 0.7) }), false},
		{"RMSNorm", 1, 2, one(func(s *Set, x [][]float32) float64 { return s.RMSNorm(x[0], x[1], x[2], 1e-5) }), false},
		{"RMSNormGrad", 1, 3, one(func(s *Set, x [][]float32) float64 { return s.RMSNormGrad(x[0], x[1], x[2], x[3], 1e-5) }), false},
		{"Dropout", 1, 1, none(func(s *Set, x [][]float32) { s.Dropout(x[0], x[1], draw, [4]uint32{1<<32 - 3, 5, 6, 7}) }), true},
		{"SwiGLU", 1, 2, none(func(s *Set, x [][]float32) { s.SwiGLU(x[0], x[1], x[2]) }), false},
		{"SwiGLUGrad", 2, 3, none(func(s *Set, x [][]float32) { s.SwiGLUGrad(x[0], x[1], x[2], x[3], x[4]) }), false},
		{"AdamW", 3, 1, none(func(s *Set, x [][]float32) {
			for i, v := range x[2] {
				x[2][i] = v * v // a second moment is not negative
			}
			s.AdamW(x[0], x[1], x[2], x[3], adam)
		}), false},
	}
}

func TestVectors(t *testing.T) {
	oracle := generic()
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, c := range vectorCases() {
			for _, n := range lengths {
				if n == 0 && (c.name == "RMSNorm" || c.name == "RMSNormGrad") {
					continue // the mean of nothing
				}
				checkVector(t, c, s, oracle, n)
			}
		}
	})
}

func checkVector(t *testing.T, c vectorCase, s, oracle *Set, n int) {
	t.Helper()
	name := fmt.Sprintf("%s n=%d", c.name, n)
	var arrays []guarded
	var got, want, before [][]float32
	for i := range c.outs + c.ins {
		x := random(newRand(10*n+i), n)
		g := newGuarded(x)
		arrays, got = append(arrays, g), append(got, g.slice())
		want, before = append(want, append([]float32(nil), x...)), append(before, x)
	}
	results, expected := c.run(s, got), c.run(oracle, want)
	for i, r := range results {
		scale := math.Sqrt(float64(n))
		if c.exact && r != expected[i] || !near(r, expected[i], sumTolerance, scale) {
			t.Fatalf("%s: result %d is %g, want %g", name, i, r, expected[i])
		}
	}
	for i, a := range arrays {
		a.check(t, name)
		for j, x := range got[i] {
			w := want[i][j]
			if i >= c.outs {
				w = before[i][j] // an input stays
			}
			if (c.exact || i >= c.outs) && x != w || !near(float64(x), float64(w), elementTolerance, 1) {
				t.Fatalf("%s: array %d element %d is %g, want %g", name, i, j, x, w)
			}
		}
	}
}

func TestExp(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		var x []float32
		for v := float32(-120); v < 95; v += 0.0137 {
			x = append(x, v)
		}
		x = append(x, 0, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 88.72, 88.73, 1e30, -1e30)
		y := make([]float32, len(x))
		s.ExpSum(y, x, 1, 0)
		var worst float64
		for i, v := range x {
			want := math.Exp(float64(v))
			if want > math.MaxFloat32 {
				want = math.Inf(1)
			}
			if !near(float64(y[i]), want, elementTolerance, tiny/elementTolerance) {
				t.Fatalf("exp(%g) = %g, want %g", v, y[i], want)
			}
			if want > tiny && !math.IsInf(want, 1) {
				worst = max(worst, math.Abs(float64(y[i])/want-1))
			}
		}
		t.Logf("largest relative error %.3g", worst)
	})
}

// A row that is masked out as a whole, or in part, must not give NaN.
func TestExpOfMaskedElements(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		x := []float32{float32(math.Inf(-1)), 0, float32(math.Inf(-1)), -200}
		if sum := s.ExpSum(make([]float32, 4), x, 1, 0); sum != 1 {
			t.Errorf("the sum is %g, want 1", sum)
		}
		if sum, moment := s.ExpMoments(x, 1, 0); sum != 1 || math.Abs(float64(moment)) > 1e-7 {
			t.Errorf("the moments are %g and %g, want 1 and 0", sum, moment)
		}
	})
}

func TestInPlace(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		const n = 77
		r := newRand(5)
		g, u, dy := random(r, n), random(r, n), random(r, n)
		dg, du := make([]float32, n), make([]float32, n)
		s.SwiGLUGrad(dg, du, g, u, dy)
		s.SwiGLUGrad(g, u, g, u, dy)
		for i := range g {
			if g[i] != dg[i] || u[i] != du[i] {
				t.Fatalf("element %d in place is %g, %g, else %g, %g", i, g[i], u[i], dg[i], du[i])
			}
		}
	})
}

// Weights that are kept while they are summed have the bits of those in two passes.
func TestExpWeights(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, n := range []int{16, 48, 160} {
			if !s.HasExpWeights(n) {
				t.Skip("the level has none")
			}
			x, wide := random(newRand(n), n), make([]float32, n)
			copy(x, []float32{float32(math.Inf(-1)), -1e9, 2})
			got, want := make([]uint16, n+1), make([]uint16, n+1)
			sum, moment := s.ExpWeights(got, x, 1.5, 3)
			s.ExpSum(wide, x, 1.5, 3)
			s.ToBF16(want[:n], wide)
			if wantSum, wantMoment := s.ExpMoments(x, 1.5, 3); sum != wantSum || moment != wantMoment || !slices.Equal(got, want) {
				t.Errorf("n=%d: %v, %v and %x, want %v, %v and %x", n, sum, moment, got, wantSum, wantMoment, want)
			}
		}
	})
}

// Sums of rows of bfloat16 have the bits of those of what they widen to.
func TestDotRows(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, n := range []int{16, 32, 48, 64, 80, 160, 4096} {
			if !s.HasDotRows(n) {
				t.Skip("the level has none")
			}
			for _, rows := range []int{0, 1, 2, 5} {
				x, y := random(newRand(n), rows*n), random(newRand(n+1), rows*n)
				half := [2][]uint16{make([]uint16, rows*n), make([]uint16, rows*n)}
				for i, v := range [][]float32{x, y} {
					s.ToBF16(half[i], v)
					s.FromBF16(v, half[i])
				}
				sums := newGuarded(make([]float32, rows))
				s.DotRows(sums.slice(), half[0], half[1], n)
				sums.check(t, "DotRows")
				for i, got := range sums.slice() {
					if want := s.Dot(x[i*n:][:n], y[i*n:][:n]); got != want {
						t.Errorf("n=%d: the sum of row %d is %v, want %v", n, i, got, want)
					}
				}
			}
		}
	})
}

// The gates on bfloat16 have the bits of those between a widening and a rounding.
func TestHalfGates(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, n := range []int{16, 48, 160} {
			if !s.HasHalfGates(n) {
				t.Skip("the level has none")
			}
			r := newRand(n)
			wide := func() (x []float32, half []uint16) {
				x, half = random(r, n), make([]uint16, n)
				copy(x, []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 0, -100, 100})
				s.ToBF16(half, x)
				s.FromBF16(x, half)
				return x, half
			}
			g, halfG := wide()
			u, halfU := wide()
			dy, halfDY := wide()
			y, dg, du := make([]float32, n), make([]float32, n), make([]float32, n)
			s.SwiGLU(y, g, u)
			s.SwiGLUGrad(dg, du, g, u, dy)
			got, want := make([]uint16, n+1), make([]uint16, n+1)
			s.ToBF16(want[:n], y)
			if s.SwiGLUHalf(got[:n], halfG, halfU); !slices.Equal(got, want) {
				t.Errorf("n=%d: y is %x, want %x", n, got, want)
			}
			again, grads := make([]uint16, n), [2][]uint16{make([]uint16, n), make([]uint16, n)}
			s.SwiGLUGradHalf(grads[0], grads[1], again, halfG, halfU, halfDY)
			s.SwiGLUGradHalf(halfG, halfU, nil, halfG, halfU, halfDY) // in place
			if !slices.Equal(again, want[:n]) || !slices.Equal(grads[0], halfG) || !slices.Equal(grads[1], halfU) {
				t.Errorf("n=%d: y and the gradients at once differ from those by themselves", n)
			}
			for i, x := range [][]float32{dg, du} {
				if s.ToBF16(want[:n], x); !slices.Equal([][]uint16{halfG, halfU}[i], want[:n]) {
					t.Errorf("n=%d: gradient %d differs", n, i)
				}
			}
		}
	})
}

func TestRope(t *testing.T) {
	oracle := generic()
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, half := range []int{1, 4, 8, 16, 24, 32, 64} {
			r := newRand(half)
			x, cos, sin := random(r, 2*half), random(r, half), random(r, half)
			for _, sign := range []float32{1, -1} {
				got, want := newGuarded(x), make([]float32, 2*half)
				s.Rope(got.slice(), got.slice(), cos, sin, sign)
				oracle.Rope(want, x, cos, sin, sign)
				got.check(t, "Rope")
				for i, w := range want {
					if !near(float64(got.slice()[i]), float64(w), elementTolerance, 1) {
						t.Fatalf("half=%d sign=%g element %d: got %g, want %g", half, sign, i, got.slice()[i], w)
					}
				}
				if !s.HasRopeHalf(half) {
					continue
				}
				const heads = 3
				rounded, of := make([]uint16, 2*half*heads+1), make([]uint16, 2*half*heads+1)
				s.RopeHalf(rounded, slices.Concat(x, x, x), cos, sin, heads, sign)
				if s.ToBF16(of[:2*half*heads], slices.Concat(got.slice(), got.slice(), got.slice())); !slices.Equal(rounded, of) {
					t.Fatalf("half=%d sign=%g: the bfloat16 is not the rounded one", half, sign)
				}
			}
		}
	})
}

func TestBF16(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		x := random(newRand(9), 1031)
		copy(x, []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
			math.Float32frombits(0x7f800001), math.Float32frombits(0xffffffff), math.MaxFloat32,
			math.Float32frombits(0x3f808000), math.Float32frombits(0x3f818000), math.Float32frombits(0x3f808001)})
		for _, n := range append([]int{len(x)}, lengths[:12]...) {
			y := make([]uint16, n+1)
			y[n] = 0x1234
			s.ToBF16(y[:n], x[:n])
			if y[n] != 0x1234 {
				t.Fatalf("n=%d: a write past the end", n)
			}
			back := make([]float32, n)
			s.FromBF16(back, y[:n])
			for i, v := range x[:n] {
				want := math.Float32frombits(uint32(round(v)) << 16)
				if back[i] != want && !(v != v && back[i] != back[i]) {
					t.Fatalf("n=%d: %x becomes %x, want %x", n, math.Float32bits(v), math.Float32bits(back[i]), math.Float32bits(want))
				}
			}
		}
	})
}
