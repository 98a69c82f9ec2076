package ppo

import (
	"math"
	"strings"
	"testing"
)

// Weighed by π, k1 and k3 give the KL divergence itself: here of (0.5, 0.3,
// 0.2) to (0.2, 0.2, 0.6).
func TestEstimatorsAreUnbiased(t *testing.T) {
	p, q := []float64{0.5, 0.3, 0.2}, []float64{0.2, 0.2, 0.6}
	want, one, three := 0.0, 0.0, 0.0
	for i := range p {
		l := math.Log(p[i] / q[i])
		want += p[i] * math.Log(p[i]/q[i])
		one += p[i] * k1(l)
		three += p[i] * k3(l)
	}
	near(t, "k1, k3", []float64{one, three}, []float64{want, want})
}

func TestTokenKLIsBounded(t *testing.T) {
	for _, name := range []string{"k1", "k2", "k3"} {
		estimate, err := estimatorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, kl := range tokenKL(estimate, []float64{-1e9, 0, -1}, []float64{0, -1e9, -1}) {
			if !(math.Abs(kl) <= maxKL) {
				t.Errorf("%s: KL of a token is %v, limit %v", name, kl, maxKL)
			}
		}
	}
	if _, err := estimatorByName("k4"); err == nil || !strings.Contains(err.Error(), `got "k4"`) {
		t.Errorf("got %v", err)
	}
}

func TestScoreLandsOnTheLastToken(t *testing.T) {
	near(t, "rewards", tokenRewards([]float64{0.2, 0, -0.4}, 5, 0.5), []float64{-0.1, 0, 5.2})
	if got := tokenRewards(nil, 5, 0.5); len(got) != 0 {
		t.Errorf("an empty response has rewards %v", got)
	}
}

// At target 6 and horizon 10000: a KL of 12 is clipped to +20%, of 6.6 is +10%,
// of 0 is -20%, each of them times n/horizon = 0.01.
func TestAdaptiveKL(t *testing.T) {
	for kl, want := range map[float64]float64{12: 0.05 * 1.002, 6.6: 0.05 * 1.001, 6: 0.05, 0: 0.05 * 0.998} {
		a := adaptiveKL{Coef: 0.05, Target: 6, Horizon: 10000}
		a.update(kl, 100)
		near(t, "coefficient", []float64{a.Coef}, []float64{want})
	}
}

func TestOverlongPenalty(t *testing.T) {
	for length, want := range map[int]float64{0: 0, 80: 0, 90: -0.25, 100: -0.5, 150: -0.5} {
		near(t, "penalty", []float64{overlongPenalty(length, 100, 20, 0.5)}, []float64{want})
	}
	near(t, "no buffer", []float64{overlongPenalty(200, 100, 0, 1)}, []float64{0})
}

func TestRunningMoments(t *testing.T) {
	var m runningMoments
	near(t, "before any", []float64{m.normalise(3)}, []float64{3})
	scores := []float64{2, -1, 7, 7, 0.5}
	m.add(scores[:2]...)
	m.add(scores[2:]...)
	mean, variance := moments([][]float64{scores})
	near(t, "moments", []float64{m.Mean, m.SquareSum / (m.Count - 1)}, []float64{mean, variance})
	near(t, "normalised", []float64{m.normalise(7)}, []float64{(7 - mean) / math.Sqrt(variance+1e-8)})
}
