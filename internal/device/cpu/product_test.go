package cpu

import (
	"math"
	"testing"

	"align/internal/half"

	"pgregory.net/rapid"
)

// TestHalfToFloat goes through every binary16.
func TestHalfToFloat(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		sign := math.Copysign(1, float64(int16(h)))
		exponent, mantissa := int(h>>10&31), float64(h&1023)
		want := sign * math.Ldexp(1024+mantissa, exponent-25)
		switch {
		case exponent == 0:
			want = sign * math.Ldexp(mantissa, -24)
		case exponent == 31 && mantissa == 0:
			want = math.Inf(int(sign))
		case exponent == 31:
			want = math.NaN()
		}
		got := float64(half.FromF16(h))
		if math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("half %#04x is %v, want %v", h, got, want)
		}
	}
}

// TestTileIsOneSum: every element of a tile of any size has the bits of the
// plain ascending sum.
func TestTileIsOneSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, n, k := rapid.IntRange(1, 20).Draw(t, "m"), rapid.IntRange(1, 20).Draw(t, "n"), rapid.IntRange(0, 40).Draw(t, "k")
		values := rapid.SliceOfN(rapid.Float32Range(-4, 4), (m+n)*k, (m+n)*k).Draw(t, "values")
		a, b, c := values[:m*k], values[m*k:], make([]float32, m*n)
		tile(c, n, a, k, m, b, k, n, k, false)
		for i := range m {
			for j := range n {
				var want float32
				for l := range k {
					want += a[i*k+l] * b[j*k+l]
				}
				if c[i*n+j] != want {
					t.Fatalf("element (%d,%d) is %v, want %v", i, j, c[i*n+j], want)
				}
			}
		}
	})
}
