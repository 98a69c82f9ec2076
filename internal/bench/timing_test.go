package bench

import (
	"math"
	"testing"
)

// Work of others lengthens steps by the clock and moves the estimate little.
func TestQuietSeconds(t *testing.T) {
	for _, tc := range []struct {
		name       string
		wall, core []float64
		want       float64
	}{
		{"a quiet machine", []float64{1, 1.01}, []float64{1.9, 1.9}, 1},
		{"others in every step but one", []float64{2, 1.9, 1.02}, []float64{1.9, 1.95, 1.9}, 1.02},
		{"others in every step", []float64{2, 1.5, 2}, []float64{1.9, 2.4, 1.9}, 1.9 / 2 / 0.8},
		{"steps below the resolution", []float64{0.002, 0.003}, []float64{0.00001, 0.01}, 0.002},
		{"no processor time", []float64{3, 2}, []float64{0, 0}, 2},
	} {
		if got := quietSeconds(tc.wall, tc.core, 2); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
