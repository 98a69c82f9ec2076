package cpu

import (
	"math"
	"testing"
)

// expUlps is the bound of exp's float32 error that its comment states.
const expUlps = 1

func TestExp32(t *testing.T) {
	worst := 0.0
	for x := float32(-110); x < 95; x += 0.000731 {
		want := math.Exp(float64(x))
		got := exp(x)
		if want > math.MaxFloat32 {
			if !math.IsInf(float64(got), 1) && float64(x) > expMax {
				t.Fatalf("exp(%v) is %v, want +Inf", x, got)
			}
			continue
		}
		ulp := float64(math.Nextafter32(float32(want), float32(math.Inf(1))) - float32(want))
		worst = max(worst, math.Abs(float64(got)-want)/ulp)
	}
	if worst > expUlps {
		t.Errorf("the largest error is %.3f ulp, want at most %d", worst, expUlps)
	}
}

func TestExpEdges(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct{ x, want float64 }{{0, 1}, {-inf, 0}, {inf, inf}, {-1000, 0}, {1000, inf}} {
		if got := exp(float32(c.x)); float64(got) != c.want {
			t.Errorf("float32: exp(%v) is %v, want %v", c.x, got, c.want)
		}
		if got := exp(c.x); got != c.want {
			t.Errorf("float64: exp(%v) is %v, want %v", c.x, got, c.want)
		}
	}
	if !math.IsNaN(float64(exp(float32(math.NaN())))) {
		t.Error("exp of NaN is a number")
	}
	if got, want := exp(0.75), math.Exp(0.75); got != want {
		t.Errorf("float64: exp(0.75) is %v, want math.Exp's %v", got, want)
	}
}

func BenchmarkExp32(b *testing.B) {
	var sum float32
	for i := 0; b.Loop(); i++ {
		sum += exp(float32(i&1023) * -0.01)
	}
	_ = sum
}
